package io.uwfq.spark.conversation;

import io.grpc.Server;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.StreamObserver;
import io.uwfq.v1.AddStagesRequest;
import io.uwfq.v1.AddStagesResponse;
import io.uwfq.v1.CancelJobRequest;
import io.uwfq.v1.CancelJobResponse;
import io.uwfq.v1.CloseJobRequest;
import io.uwfq.v1.CloseJobResponse;
import io.uwfq.v1.DropStagesRequest;
import io.uwfq.v1.DropStagesResponse;
import io.uwfq.v1.GetJobRequest;
import io.uwfq.v1.GetJobResponse;
import io.uwfq.v1.Job;
import io.uwfq.v1.JobState;
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.NextTaskResponse;
import io.uwfq.v1.Ranking;
import io.uwfq.v1.SchedulerServiceGrpc;
import io.uwfq.v1.SplitStageRequest;
import io.uwfq.v1.SplitStageResponse;
import io.uwfq.v1.StageSplit;
import io.uwfq.v1.SubmitJobRequest;
import io.uwfq.v1.SubmitJobResponse;
import io.uwfq.v1.TaskResultAck;
import io.uwfq.v1.TaskResultStatus;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;

/**
 * A service in this process that writes down what it is told, and answers as a test wants.
 *
 * <p>{@link #behaviour} sees each request first: a status refuses it, null lets it through, and
 * {@link #SILENCE} leaves it unanswered.
 */
final class ScriptedService extends SchedulerServiceGrpc.SchedulerServiceImplBase
    implements AutoCloseable {
  static final Status SILENCE = Status.UNKNOWN.withDescription("silence");

  /** All requests but polls that wait, in the order of their arrival. */
  final BlockingQueue<Object> heard = new LinkedBlockingQueue<>();

  volatile Function<Object, Status> behaviour = request -> null;
  volatile Ranking ranking = Ranking.getDefaultInstance();

  /** What each start or result is acknowledged with. */
  volatile Function<Object, TaskResultStatus> acks =
      report -> TaskResultStatus.TASK_RESULT_STATUS_ACCEPTED;

  /** How each job stands when it is asked for, by its name here. */
  volatile Function<String, JobState> states = jobId -> JobState.JOB_STATE_RUNNING;

  /** The clock that the age of an answer is measured by; it stands unless a test moves it. */
  final AtomicLong nanos = new AtomicLong();

  /**
   * How long the end of a conversation that begins now may take: as long as a busy machine wants.
   */
  long closeMillis = 60_000;

  /** Polls for the order that were heard. */
  final AtomicInteger polls = new AtomicInteger();

  private final Set<String> submitted = ConcurrentHashMap.newKeySet();

  private final String name = "scripted-" + UUID.randomUUID();
  private final AtomicLong deadlines = new AtomicLong();
  private final List<StreamObserver<?>> parked = new ArrayList<>();
  private final Server server;

  ScriptedService() throws IOException {
    server = InProcessServerBuilder.forName(name).addService(this).build().start();
  }

  GrpcConversation converse(String... settings) {
    Map<String, String> conf = new HashMap<>();
    conf.put("spark.uwfq.target", "in-process:1");
    conf.put("spark.uwfq.rpcTimeout", "20s");
    for (int i = 0; i < settings.length; i += 2) {
      conf.put(settings[i], settings[i + 1]);
    }
    GrpcConversation conversation =
        new GrpcConversation(
            Settings.of(conf, List.of()),
            "engine",
            InProcessChannelBuilder.forName(name).build(),
            nanos::get,
            closeMillis);
    conversation.start();
    return conversation;
  }

  /** The next request of this type; the ones before it are dropped. */
  <Q> Q next(Class<Q> type) throws InterruptedException {
    while (true) {
      Object request = heard.poll(30, TimeUnit.SECONDS);
      if (request == null) {
        throw new AssertionError("in vain awaited: a " + type.getSimpleName());
      }
      if (type.isInstance(request)) {
        return type.cast(request);
      }
    }
  }

  /** The next submission of this job; what else comes before it is dropped. */
  SubmitJobRequest nextSubmission(String jobId) throws InterruptedException {
    while (true) {
      SubmitJobRequest request = next(SubmitJobRequest.class);
      if (request.getJobId().equals(jobId)) {
        return request;
      }
    }
  }

  /** Whether a request is left unanswered. */
  boolean isSilent() {
    synchronized (parked) {
      return !parked.isEmpty();
    }
  }

  private <Q, A> void answer(Q request, StreamObserver<A> observer, A answer) {
    Status status = behaviour.apply(request);
    if (status == SILENCE) {
      synchronized (parked) {
        parked.add(observer);
      }
    } else if (status != null) {
      observer.onError(new StatusRuntimeException(status));
    } else {
      observer.onNext(answer);
      observer.onCompleted();
    }
  }

  @Override
  public void submitJob(SubmitJobRequest request, StreamObserver<SubmitJobResponse> observer) {
    heard.add(request);
    double deadline = deadlines.incrementAndGet();
    answer(
        request,
        observer,
        SubmitJobResponse.newBuilder()
            .setVirtualDeadline(deadline)
            .setDuplicate(!submitted.add(request.getJobId()))
            .build());
  }

  @Override
  public void addStages(AddStagesRequest request, StreamObserver<AddStagesResponse> observer) {
    heard.add(request);
    answer(request, observer, AddStagesResponse.getDefaultInstance());
  }

  @Override
  public void dropStages(DropStagesRequest request, StreamObserver<DropStagesResponse> observer) {
    heard.add(request);
    answer(request, observer, DropStagesResponse.getDefaultInstance());
  }

  @Override
  public void closeJob(CloseJobRequest request, StreamObserver<CloseJobResponse> observer) {
    heard.add(request);
    answer(request, observer, CloseJobResponse.getDefaultInstance());
  }

  @Override
  public void cancelJob(CancelJobRequest request, StreamObserver<CancelJobResponse> observer) {
    heard.add(request);
    answer(request, observer, CancelJobResponse.getDefaultInstance());
  }

  @Override
  public void splitStage(SplitStageRequest request, StreamObserver<SplitStageResponse> observer) {
    heard.add(request);
    StageSplit split = StageSplit.newBuilder().setTaskCount(7).build();
    answer(request, observer, SplitStageResponse.newBuilder().setSplit(split).build());
  }

  @Override
  public void nextTask(NextTaskRequest request, StreamObserver<NextTaskResponse> observer) {
    if (request.getWaitSeconds() > 0) {
      polls.incrementAndGet();
    } else {
      heard.add(request);
    }
    NextTaskResponse.Builder answer = NextTaskResponse.newBuilder().setRanking(ranking);
    request.getStartedList().forEach(start -> answer.addStartedAcks(ack(start)));
    request.getDoneList().forEach(result -> answer.addDoneAcks(ack(result)));
    answer(request, observer, answer.build());
  }

  private TaskResultAck ack(Object report) {
    return TaskResultAck.newBuilder().setStatus(acks.apply(report)).build();
  }

  @Override
  public void getJob(GetJobRequest request, StreamObserver<GetJobResponse> observer) {
    heard.add(request);
    Job job =
        Job.newBuilder()
            .setJobId(request.getJobId())
            .setState(states.apply(request.getJobId()))
            .build();
    answer(request, observer, GetJobResponse.newBuilder().setJob(job).build());
  }

  /** The next report of attempts; what else comes before it is dropped. */
  NextTaskRequest nextReport() throws InterruptedException {
    while (true) {
      NextTaskRequest request = next(NextTaskRequest.class);
      if (request.getStartedCount() + request.getDoneCount() > 0) {
        return request;
      }
    }
  }

  /** Forgets all jobs, as a service that has lost its data. */
  void forget() {
    submitted.clear();
  }

  @Override
  public void close() {
    server.shutdownNow();
  }
}
