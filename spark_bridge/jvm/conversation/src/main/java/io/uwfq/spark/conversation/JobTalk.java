package io.uwfq.spark.conversation;

import io.grpc.Status;
import io.uwfq.v1.AddStagesRequest;
import io.uwfq.v1.CancelJobRequest;
import io.uwfq.v1.CloseJobRequest;
import io.uwfq.v1.DropStagesRequest;
import io.uwfq.v1.SchedulerServiceGrpc.SchedulerServiceStub;
import io.uwfq.v1.SubmitJobRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the service of jobs and their stages, one call per job at a time, the next step of each
 * being read off its mirror.
 *
 * <p>Nothing is remembered of what is still to be said but the mirror itself, so that saying it all
 * again is no other case than saying it for the first time. Confined to the speaker's thread.
 */
final class JobTalk {
  private static final Logger LOG = LoggerFactory.getLogger(JobTalk.class);
  private static final long FIRST_DELAY_MILLIS = 100;
  private static final long LAST_DELAY_MILLIS = 5_000;
  private static final int MAX_LIVES = 5;
  private static final int MAX_REASON_CHARACTERS = 1_000;

  /** What follows from answers, for the rest of the conversation. */
  interface Listener {
    /** The service has answered. */
    void heard();

    /** The service is out of reach. */
    void lost(Status status);

    /** The service has acknowledged a stage: its attempts can be reported. */
    void announced(JobMirror job, StageMirror stage);

    /** The service's deadline of a job has become known or has changed. */
    void placed(JobMirror job);

    /** Whether attempts of the job are still to be reported or acknowledged. */
    boolean isReporting(JobMirror job);

    /** Nothing more will be said of the job. */
    void settled(JobMirror job);
  }

  private final Settings settings;
  private final String engineId;
  private final Service service;
  private final ScheduledExecutorService speaker;
  private final Listener listener;
  private boolean refusalLogged;

  JobTalk(
      Settings settings,
      String engineId,
      Service service,
      ScheduledExecutorService speaker,
      Listener listener) {
    this.settings = settings;
    this.engineId = engineId;
    this.service = service;
    this.speaker = speaker;
    this.listener = listener;
  }

  /** Says the next thing that is to be said of a job, if none is being said. */
  void advance(JobMirror job) {
    if (job.calling) {
      return;
    }
    switch (job.step) {
      case UNKNOWN -> submit(job);
      case OPEN -> {
        if (!addStages(job) && !dropStages(job) && job.end != null && !listener.isReporting(job)) {
          end(job);
        }
      }
      case SETTLED -> {
        if (job.end != null) {
          listener.settled(job);
        }
      }
    }
  }

  private void submit(JobMirror job) {
    if (job.end != null && job.stages.isEmpty()) {
      settle(job); // It has come and gone, and took no slot.
      return;
    }
    if (job.shape == null) {
      job.shape = shapeOf(job.facts);
    }
    SubmitJobRequest.Builder request =
        SubmitJobRequest.newBuilder()
            .setPool(settings.pool())
            .setUser(job.facts.user())
            .setJobId(job.wireId())
            .setKind("spark")
            .setSignature(job.wireSignature())
            .putAllLabels(job.facts.labels())
            .setOpen(true)
            .setEngineId(engineId);
    job.facts.weight().ifPresent(request::setJobWeight);
    job.shape.inputBytes().ifPresent(request::setInputBytes);
    call(
        job,
        SchedulerServiceStub::submitJob,
        request.build(),
        answer -> {
          job.step = JobMirror.Step.OPEN;
          if (answer.hasVirtualDeadline()) {
            place(job, answer.getVirtualDeadline());
          }
        });
  }

  private static JobShape shapeOf(JobFacts facts) {
    try {
      return facts.shape().get();
    } catch (RuntimeException | LinkageError broken) {
      LOG.warn(
          "what job {} runs cannot be told; it is scheduled without history",
          facts.jobId(),
          broken);
      return JobShape.UNKNOWN;
    }
  }

  private boolean addStages(JobMirror job) {
    List<StageMirror> fresh = new ArrayList<>();
    AddStagesRequest.Builder request = AddStagesRequest.newBuilder().setJobId(job.wireId());
    for (StageMirror stage : job.stages.values()) {
      if (!stage.announced
          && !(stage.dropped && stage.startedAtNanos.isEmpty() && stage.done.isEmpty())) {
        fresh.add(stage);
        request.addStages(stage.spec(job.wireSignature()));
      }
    }
    if (fresh.isEmpty()) {
      return false;
    }
    call(
        job,
        SchedulerServiceStub::addStages,
        request.setOmitRanges(true).build(),
        answer -> {
          for (StageMirror stage : fresh) {
            stage.announced = true;
            listener.announced(job, stage);
          }
          if (answer.hasVirtualDeadline()) {
            place(job, answer.getVirtualDeadline());
          }
        });
    return true;
  }

  private boolean dropStages(JobMirror job) {
    List<StageMirror> left = new ArrayList<>();
    DropStagesRequest.Builder request = DropStagesRequest.newBuilder().setJobId(job.wireId());
    for (StageMirror stage : job.stages.values()) {
      if (stage.announced && stage.dropped && !stage.dropTold && job.end == null) {
        left.add(stage);
        request.addStages(stage.facts.key().stage());
      }
    }
    if (left.isEmpty() || listener.isReporting(job)) {
      return false;
    }
    call(
        job,
        SchedulerServiceStub::dropStages,
        request.build(),
        answer -> left.forEach(stage -> stage.dropTold = true));
    return true;
  }

  private void end(JobMirror job) {
    if (job.end.succeeded()) {
      var request = CloseJobRequest.newBuilder().setJobId(job.wireId()).setFinished(true).build();
      call(job, SchedulerServiceStub::closeJob, request, answer -> settle(job));
    } else {
      String reason = job.end.reason();
      var request =
          CancelJobRequest.newBuilder()
              .setJobId(job.wireId())
              .setReason(reason.substring(0, Math.min(reason.length(), MAX_REASON_CHARACTERS)))
              .build();
      call(job, SchedulerServiceStub::cancelJob, request, answer -> settle(job));
    }
  }

  private void place(JobMirror job, double deadline) {
    job.deadline = deadline;
    listener.placed(job);
  }

  private void settle(JobMirror job) {
    job.step = JobMirror.Step.SETTLED;
  }

  private <Q, A> void call(
      JobMirror job, Service.Call<Q, A> call, Q request, Consumer<A> answered) {
    int life = job.life;
    job.calling = true;
    service.call(
        call,
        request,
        settings.rpcTimeoutMillis(),
        answer -> {
          job.calling = false;
          job.refusals = 0;
          listener.heard();
          if (life == job.life) { // Else: all is being said again, this answer is of before.
            answered.accept(answer);
          }
          advance(job);
        },
        status -> {
          job.calling = false;
          refused(job, status);
        });
  }

  /** A call about a job has failed: goes on in the way that the status asks for. */
  private void refused(JobMirror job, Status status) {
    if (Service.isOutOfReach(status)) {
      listener.lost(status);
      later(job, delayMillis(job));
      return;
    }
    listener.heard();
    switch (status.getCode()) {
      case RESOURCE_EXHAUSTED ->
          later(job, Service.retryDelayMillis(status).orElse(delayMillis(job)));
      case NOT_FOUND -> {
        if (job.end != null && job.refusals > 0) {
          settle(job);
        } else {
          job.sayAgain();
        }
        later(job, delayMillis(job));
      }
      case ALREADY_EXISTS, FAILED_PRECONDITION -> {
        // The service has ended this life of the job, having heard nothing of us for too long.
        if (job.end != null || job.incarnation >= MAX_LIVES) {
          settle(job);
        } else {
          job.reincarnate();
        }
        later(job, delayMillis(job));
      }
      default -> {
        if (!refusalLogged) {
          refusalLogged = true;
          LOG.warn(
              "UWFQ service refuses job {} of user {}: {}. It runs behind its user's other jobs"
                  + " (said once)",
              job.facts.jobId(),
              job.facts.user(),
              Service.describe(status));
        }
        settle(job);
        advance(job);
      }
    }
  }

  private static long delayMillis(JobMirror job) {
    return Math.min(LAST_DELAY_MILLIS, FIRST_DELAY_MILLIS << Math.min(job.refusals++, 10));
  }

  private void later(JobMirror job, long delayMillis) {
    if (!speaker.isShutdown()) {
      speaker.schedule(() -> advance(job), delayMillis, TimeUnit.MILLISECONDS);
    }
  }
}
