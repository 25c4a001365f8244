package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.Code;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import io.uwfq.v1.AddStagesRequest;
import io.uwfq.v1.CancelJobRequest;
import io.uwfq.v1.CloseJobRequest;
import io.uwfq.v1.GetJobRequest;
import io.uwfq.v1.JobState;
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.RankedStage;
import io.uwfq.v1.Ranking;
import io.uwfq.v1.SplitStageRequest;
import io.uwfq.v1.SubmitJobRequest;
import io.uwfq.v1.TaskResultStatus;
import io.uwfq.v1.TaskStart;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What follows when the service refuses, hangs, is away or forgets. */
class TroubledServiceTest extends ConversationFixture {
  @Test
  void aRefusedJobDoesNotKeepTheOthers() throws Exception {
    service.behaviour =
        request ->
            request instanceof SubmitJobRequest submit && submit.getUser().equals("odd")
                ? Status.INVALID_ARGUMENT.withDescription("user: too odd")
                : null;
    job("q1", "odd");
    stage("q1", "0.0", 1);
    job("q2", "alice");
    stage("q2", "0.0", 1);
    assertEquals("q2", service.next(AddStagesRequest.class).getJobId());
    conversation.jobEnded("q1", JobEnd.SUCCEEDED);
    conversation.jobEnded("q2", new JobEnd(false, "no luck"));
    CancelJobRequest cancelled = service.next(CancelJobRequest.class);
    assertEquals("q2", cancelled.getJobId());
    assertEquals("no luck", cancelled.getReason());
    assertEquals(0, conversation.figures().fallbacks.sum());
  }

  /** No other name would help: it is no former life of the job that is in the way. */
  @Test
  void aJobThatIsRefusedBeforeItIsKnownIsGivenUp() throws Exception {
    service.behaviour =
        request ->
            request instanceof SubmitJobRequest submit && submit.getUser().equals("one too many")
                ? Status.FAILED_PRECONDITION.withDescription("the pool has 1 users")
                : null;
    job("q1", "one too many");
    stage("q1", "0.0", 1);
    Waiting.until("q1 is given up", () -> conversation.figures().givenUpJobs.sum() == 1);
    job("q2", "alice");
    stage("q2", "0.0", 1);
    assertEquals("q2", service.next(AddStagesRequest.class).getJobId());
  }

  @Test
  void aFullServiceIsAskedAgain() throws Exception {
    AtomicInteger refusals = new AtomicInteger();
    service.behaviour =
        request ->
            request instanceof SubmitJobRequest && refusals.incrementAndGet() <= 2
                ? Status.RESOURCE_EXHAUSTED
                : null;
    job("q1", "alice");
    stage("q1", "0.0", 1);
    service.next(AddStagesRequest.class);
    assertEquals(3, refusals.get());
    assertEquals(0, conversation.figures().fallbacks.sum());
  }

  /** A restarted service may have no room for the application any more: that is a loss, too. */
  @Test
  void aServiceWithoutRoomForTheApplicationIsLost() throws Exception {
    Waiting.until("the first answer", () -> conversation.standings().reachable());
    AtomicInteger polls = new AtomicInteger();
    service.behaviour =
        request -> polls.incrementAndGet() == 1 ? Status.UNAVAILABLE : Status.RESOURCE_EXHAUSTED;
    Waiting.until("a fallback", () -> conversation.figures().fallbacks.sum() == 1);
    service.behaviour = request -> null;
    Waiting.until("the rejoin", () -> conversation.figures().rejoins.sum() == 1);
  }

  /** The time to wait travels in the details of the refusal. */
  @Test
  void aFullServiceSaysWhenToComeAgain() {
    RetryInfo soon =
        RetryInfo.newBuilder()
            .setRetryDelay(Duration.newBuilder().setSeconds(1).setNanos(20_000_000))
            .build();
    Throwable full =
        StatusProto.toStatusRuntimeException(
            com.google.rpc.Status.newBuilder()
                .setCode(Code.RESOURCE_EXHAUSTED_VALUE)
                .addDetails(Any.pack(soon))
                .build());
    assertEquals(
        OptionalLong.of(1_020),
        Service.retryDelayMillis(Status.fromThrowable(full).withCause(full)));
    assertEquals(OptionalLong.empty(), Service.retryDelayMillis(Status.RESOURCE_EXHAUSTED));
  }

  /** A service that answers nothing in time is given up, and told everything when it is back. */
  @Test
  void aHangingServiceIsLostAndFoundAgain() throws Exception {
    conversation.close();
    conversation =
        service.converse("spark.uwfq.staleAfter", "100ms", "spark.uwfq.rpcTimeout", "100ms");
    job("q1", "alice");
    stage("q1", "0.0", 4);
    service.next(AddStagesRequest.class);
    service.behaviour = request -> ScriptedService.SILENCE;
    conversation.taskStarted(new TaskKey(new StageKey("q1", "0.0"), 2, 1));
    job("q2", "bob");
    conversation.jobEnded("q2", JobEnd.SUCCEEDED);
    // A machine that stands still for as long has been lost, and found, before.
    Figures figures = conversation.figures();
    Waiting.until("a fallback", () -> figures.fallbacks.sum() > figures.rejoins.sum());
    service.heard.clear();
    service.behaviour = request -> null;
    Waiting.until("the rejoin", () -> figures.fallbacks.sum() == figures.rejoins.sum());
    service.nextSubmission("q1");
    assertEquals("0.0", service.next(AddStagesRequest.class).getStages(0).getStage());
    assertEquals(2, service.nextReport().getStarted(0).getTaskIndex());
    assertTrue(conversation.standings().reachable());
  }

  /** While nobody listens nothing but the poll is sent, and the mirror alone is kept. */
  @Test
  void aLostServiceIsToldNothingUntilItIsFound() throws Exception {
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 100);
    service.next(AddStagesRequest.class);
    service.behaviour = request -> Status.UNAVAILABLE;
    Waiting.until("a fallback", () -> conversation.figures().fallbacks.sum() == 1);
    service.heard.clear();
    for (int index = 0; index < 50; index++) {
      conversation.taskStarted(new TaskKey(key, index, 1));
      if (index == 7) {
        conversation.taskEnded(new TaskKey(key, 7, 1), new TaskOutcome.Failure(1, "lost"));
        conversation.taskStarted(new TaskKey(key, 7, 2));
        conversation.taskEnded(new TaskKey(key, 7, 2), DONE);
      } else if (index != 49) {
        conversation.taskEnded(new TaskKey(key, index, 1), DONE);
      }
    }
    job("q2", "bob");
    int polls = service.polls.get();
    Waiting.until("two more polls", () -> service.polls.get() >= polls + 2);
    assertEquals(List.of(), List.copyOf(service.heard));

    service.behaviour = request -> null;
    service.nextSubmission("q1");
    NextTaskRequest report = service.nextReport();
    assertEquals(50, report.getDoneCount());
    assertEquals(1, report.getDone(0).getFailure().getRuntimeSeconds(), "the one that has failed");
    assertEquals(0.25, report.getDone(1).getSuccess().getRuntimeSeconds(), 1e-9);
    assertEquals(2, report.getDone(8).getAttempt(), "the attempt that has succeeded");
    assertEquals(
        List.of(7, 49), report.getStartedList().stream().map(TaskStart::getTaskIndex).toList());
  }

  /** What one job meets with says nothing about the service. */
  @Test
  void aFaultInOneJobIsNoLoss() throws Exception {
    AtomicInteger faults = new AtomicInteger();
    CountDownLatch othersGoOn = new CountDownLatch(1);
    service.behaviour =
        request -> {
          if (request instanceof SubmitJobRequest submit && submit.getUser().equals("odd")) {
            if (faults.incrementAndGet() <= 3) {
              return Status.INTERNAL.withDescription("division by zero");
            }
            await(othersGoOn);
          }
          return null;
        };
    job("q1", "odd");
    stage("q1", "0.0", 1);
    job("q2", "alice");
    stage("q2", "0.0", 1);
    assertEquals("q2", service.next(AddStagesRequest.class).getJobId());
    othersGoOn.countDown();
    assertEquals("q1", service.next(AddStagesRequest.class).getJobId());
    assertEquals(4, faults.get());
    assertEquals(0, conversation.figures().fallbacks.sum());
    assertTrue(conversation.standings().reachable());
  }

  /** A stage that the service does not take leaves the job open there: its end is still told. */
  @Test
  void aRefusedStageLeavesNoJobOpen() throws Exception {
    service.behaviour =
        request -> request instanceof AddStagesRequest ? Status.INVALID_ARGUMENT : null;
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 2);
    service.next(AddStagesRequest.class);
    conversation.taskStarted(new TaskKey(key, 0, 1));
    conversation.jobEnded("q1", JobEnd.SUCCEEDED);
    assertEquals("q1", service.next(CloseJobRequest.class).getJobId());
  }

  /** The service has ended the job while nobody could hear of it. */
  @Test
  void aJobThatIsOverThereGetsAnotherLife() throws Exception {
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 2);
    service.next(AddStagesRequest.class);
    conversation.taskStarted(new TaskKey(key, 1, 1));
    service.nextReport();
    service.states =
        id -> id.equals("q1") ? JobState.JOB_STATE_CANCELLED : JobState.JOB_STATE_RUNNING;
    service.behaviour = request -> Status.UNAVAILABLE;
    Waiting.until("a fallback", () -> conversation.figures().fallbacks.sum() == 1);
    service.heard.clear();
    service.behaviour = request -> null;
    assertEquals("q1", service.next(SubmitJobRequest.class).getJobId());
    SubmitJobRequest second = service.next(SubmitJobRequest.class);
    assertEquals("q1~2", second.getJobId());
    assertEquals("", second.getSignature(), "half of a query teaches nothing about the whole");
    assertEquals("q1~2", service.next(AddStagesRequest.class).getJobId());
    assertEquals("q1~2", service.nextReport().getStarted(0).getJobId());
    service.ranking =
        Ranking.newBuilder()
            .setVersion(9)
            .addStages(RankedStage.newBuilder().setJobId("q1~2").setStage("0.0"))
            .build();
    Waiting.until("a rank", () -> conversation.standings().rankByStage().containsKey(key));
  }

  /** A driver that was started again under its id of before counts its jobs anew. */
  @Test
  void aJobWhoseNameAnotherRunHasTakenIsToldUnderOneOfItsOwn() throws Exception {
    service.behaviour =
        request ->
            request instanceof SubmitJobRequest submit && submit.getJobId().equals("q1")
                ? Status.ALREADY_EXISTS
                : null;
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 2);
    assertEquals("q1", service.next(SubmitJobRequest.class).getJobId());
    SubmitJobRequest second = service.next(SubmitJobRequest.class);
    assertTrue(second.getJobId().matches("q1~[0-9a-f]{8}"), second.getJobId());
    assertTrue(second.getEngineId().endsWith(second.getJobId().substring(3)), "it is the run's");
    assertEquals("sig", second.getSignature(), "it is the whole of the query");
    assertEquals(second.getJobId(), service.next(AddStagesRequest.class).getJobId());
    conversation.taskStarted(new TaskKey(key, 1, 1));
    assertEquals(second.getJobId(), service.nextReport().getStarted(0).getJobId());
    service.ranking =
        Ranking.newBuilder()
            .setVersion(9)
            .addStages(RankedStage.newBuilder().setJobId(second.getJobId()).setStage("0.0"))
            .build();
    Waiting.until("a rank", () -> conversation.standings().rankByStage().containsKey(key));
  }

  /** Without any break: somebody has cancelled the job by hand. */
  @Test
  void aReportThatComesTooLateMakesTheJobDoubtful() throws Exception {
    service.states =
        id -> id.equals("q1") ? JobState.JOB_STATE_CANCELLED : JobState.JOB_STATE_RUNNING;
    service.acks =
        report ->
            report instanceof TaskStart start && start.getJobId().equals("q1")
                ? TaskResultStatus.TASK_RESULT_STATUS_STALE
                : TaskResultStatus.TASK_RESULT_STATUS_ACCEPTED;
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 2);
    service.next(AddStagesRequest.class);
    conversation.taskStarted(new TaskKey(key, 1, 1));
    assertEquals("q1", service.next(GetJobRequest.class).getJobId());
    assertEquals("q1~2", service.next(SubmitJobRequest.class).getJobId());
    assertEquals("q1~2", service.nextReport().getStarted(0).getJobId());
  }

  @Test
  void aForgottenJobIsToldAgain() throws Exception {
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 2);
    service.next(AddStagesRequest.class);
    service.forget();
    service.acks =
        report -> {
          service.acks = again -> TaskResultStatus.TASK_RESULT_STATUS_ACCEPTED;
          return TaskResultStatus.TASK_RESULT_STATUS_UNKNOWN;
        };
    conversation.taskStarted(new TaskKey(key, 1, 1));
    assertEquals("q1", service.next(SubmitJobRequest.class).getJobId());
    service.next(AddStagesRequest.class);
    assertEquals(1, service.nextReport().getStarted(0).getTaskIndex());
  }

  /** A service that never knows what it was just told is told ever less often. */
  @Test
  void aServiceThatForgetsEverythingIsNotStormed() throws Exception {
    service.acks = report -> TaskResultStatus.TASK_RESULT_STATUS_UNKNOWN;
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 2);
    service.next(AddStagesRequest.class);
    long beganNanos = System.nanoTime();
    conversation.taskStarted(new TaskKey(key, 1, 1));
    for (int i = 0; i < 5; i++) {
      service.next(AddStagesRequest.class);
    }
    // The pauses are at least half of 100, 200, 400, 800 and 1,600 ms.
    assertTrue(System.nanoTime() - beganNanos > TimeUnit.MILLISECONDS.toNanos(1_500));
    job("q2", "bob");
    service.nextSubmission("q2");
  }

  @Test
  void reportsThatWereNotTakenAreSentAgain() throws Exception {
    AtomicInteger refusals = new AtomicInteger();
    Status[] statuses = {Status.RESOURCE_EXHAUSTED, Status.DEADLINE_EXCEEDED, Status.INTERNAL};
    service.behaviour =
        request ->
            request instanceof NextTaskRequest report
                    && report.getDoneCount() > 0
                    && refusals.get() < statuses.length
                ? statuses[refusals.getAndIncrement()]
                : null;
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 1);
    service.next(AddStagesRequest.class);
    conversation.taskStarted(new TaskKey(key, 0, 1));
    conversation.taskEnded(new TaskKey(key, 0, 1), DONE);
    conversation.jobEnded("q1", JobEnd.SUCCEEDED);
    service.next(CloseJobRequest.class);
    assertEquals(3, refusals.get());
    assertEquals(0, conversation.figures().droppedFacts.sum());
    assertEquals(0, conversation.figures().fallbacks.sum());
  }

  /** One report in a message that the service cannot take does not cost the others. */
  @Test
  void aPoisonedReportIsFoundAndDropped() throws Exception {
    List<String> taken = new CopyOnWriteArrayList<>();
    service.behaviour =
        request -> {
          if (request instanceof NextTaskRequest report && report.getDoneCount() > 0) {
            if (report.getDoneList().stream().anyMatch(done -> done.getJobId().equals("q2"))) {
              return Status.INVALID_ARGUMENT;
            }
            report.getDoneList().forEach(done -> taken.add(done.getJobId()));
          }
          return null;
        };
    for (String name : List.of("q1", "q2", "q3")) {
      job(name, "alice");
      stage(name, "0.0", 1);
      service.next(AddStagesRequest.class);
    }
    for (String name : List.of("q1", "q2", "q3")) {
      conversation.taskEnded(new TaskKey(new StageKey(name, "0.0"), 0, 1), DONE);
    }
    for (String name : List.of("q1", "q2", "q3")) {
      conversation.jobEnded(name, JobEnd.SUCCEEDED);
    }
    Set<String> closed = new HashSet<>();
    while (closed.size() < 3) {
      closed.add(service.next(CloseJobRequest.class).getJobId());
    }
    assertEquals(Set.of("q1", "q3"), Set.copyOf(taken));
    assertEquals(1, conversation.figures().droppedFacts.sum());
  }

  @Test
  void nobodyAsksAServiceThatIsNotThere() throws Exception {
    service.behaviour = request -> Status.UNAVAILABLE;
    Waiting.until("a failure", () -> conversation.figures().failedRpcs.sum() > 2);
    service.behaviour = request -> request instanceof SplitStageRequest ? null : Status.UNAVAILABLE;
    assertEquals(
        OptionalInt.empty(),
        conversation.taskCount(
            new SplitQuestion("alice", "sig", StageKind.SCAN, 1 << 20),
            java.time.Duration.ofSeconds(20)));
    assertFalse(service.heard.stream().anyMatch(SplitStageRequest.class::isInstance));
  }

  /** Spark waits for the end of the conversation when it stops: two seconds are the limit. */
  @Test
  @Timeout(value = 30, unit = TimeUnit.SECONDS)
  void closeDoesNotWaitForAHangingService() throws Exception {
    conversation.close();
    service.closeMillis = GrpcConversation.CLOSE_MILLIS;
    conversation = service.converse();
    Waiting.until("the first answer", () -> conversation.standings().reachable());
    service.behaviour = request -> ScriptedService.SILENCE;
    job("q1", "alice");
    stage("q1", "0.0", 1);
    conversation.jobEnded("q1", JobEnd.SUCCEEDED);
    long beganNanos = System.nanoTime();
    conversation.close();
    System.out.printf(
        "close() with a hanging service: %.2f s%n", (System.nanoTime() - beganNanos) / 1e9);
    job("q2", "alice"); // Too late, and harmless.
    conversation.close();
  }
}
