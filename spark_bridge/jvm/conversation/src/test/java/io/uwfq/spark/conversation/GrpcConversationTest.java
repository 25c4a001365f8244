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
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.RankedStage;
import io.uwfq.v1.Ranking;
import io.uwfq.v1.SubmitJobRequest;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What is said, in which order, and what follows from answers good and bad. */
class GrpcConversationTest {
  private static final TaskOutcome DONE =
      new TaskOutcome.Success(0.25, OptionalLong.of(10), OptionalLong.of(1));

  private ScriptedService service;
  private GrpcConversation conversation;

  @BeforeEach
  void begin() throws Exception {
    service = new ScriptedService();
    conversation = service.converse();
  }

  @AfterEach
  void end() {
    conversation.close();
    service.close();
  }

  private void job(String jobId, String user) {
    conversation.jobAppeared(
        new JobFacts(
            jobId,
            user,
            OptionalDouble.of(2),
            () -> new JobShape("sig", OptionalLong.of(77)),
            Map.of("k", "v")));
  }

  private StageKey stage(String jobId, String name, int tasks) {
    StageKey key = new StageKey(jobId, name);
    conversation.stageAppeared(new StageFacts(key, tasks, new long[tasks], 1, StageKind.SHUFFLE));
    return key;
  }

  @Test
  void aJobIsSubmittedOpenWithAllThatIsKnownOfIt() throws Exception {
    job("q1", "alice");
    stage("q1", "0.0", 3);
    SubmitJobRequest submitted = service.next(SubmitJobRequest.class);
    assertEquals("q1", submitted.getJobId());
    assertEquals("alice", submitted.getUser());
    assertEquals("engine", submitted.getEngineId());
    assertEquals("sig", submitted.getSignature());
    assertEquals(77, submitted.getInputBytes());
    assertEquals(2.0, submitted.getJobWeight());
    assertEquals("v", submitted.getLabelsOrThrow("k"));
    assertTrue(submitted.getOpen());
    AddStagesRequest added = service.next(AddStagesRequest.class);
    assertEquals("sig/shuffle", added.getStages(0).getSignature());
    assertEquals(3, added.getStages(0).getTasks().getCount());
    assertEquals(3, added.getStages(0).getTasks().getTaskBytesCount());
  }

  /** What happens while a message is under way rides on the next, and nothing is said twice. */
  @Test
  void manyTasksMakeFewMessages() throws Exception {
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 2_000);
    service.next(AddStagesRequest.class);
    for (int index = 0; index < 2_000; index++) {
      conversation.taskStarted(new TaskKey(key, index, 1));
      conversation.taskEnded(new TaskKey(key, index, 1), DONE);
    }
    conversation.jobEnded("q1", JobEnd.SUCCEEDED);
    int messages = 0;
    int ends = 0;
    while (ends < 2_000) {
      NextTaskRequest report = service.next(NextTaskRequest.class);
      messages++;
      ends += report.getDoneCount();
    }
    assertEquals(2_000, ends);
    assertTrue(messages < 200, messages + " messages for 4,000 facts");
    assertTrue(service.next(CloseJobRequest.class).getFinished());
  }

  /** A job is closed when all that happened in it was acknowledged, not before. */
  @Test
  void theEndComesLast() throws Exception {
    CountDownLatch reportsHeld = new CountDownLatch(1);
    service.behaviour =
        request -> {
          if (request instanceof NextTaskRequest poll && poll.getDoneCount() > 0) {
            await(reportsHeld);
          }
          return null;
        };
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 1);
    service.next(AddStagesRequest.class);
    conversation.taskStarted(new TaskKey(key, 0, 1));
    conversation.taskEnded(new TaskKey(key, 0, 1), DONE);
    conversation.jobEnded("q1", JobEnd.SUCCEEDED);
    // Another job's whole life fits in between: the two do not wait for each other.
    job("q2", "bob");
    while (!service.next(SubmitJobRequest.class).getJobId().equals("q2")) {}
    assertFalse(service.heard.stream().anyMatch(CloseJobRequest.class::isInstance));
    reportsHeld.countDown();
    service.next(CloseJobRequest.class);
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await(10, TimeUnit.SECONDS);
    } catch (InterruptedException over) {
      Thread.currentThread().interrupt();
    }
  }

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

  @Test
  void theRankingBecomesTheStandings() throws Exception {
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 1);
    service.next(AddStagesRequest.class);
    service.ranking =
        Ranking.newBuilder()
            .setVersion(5)
            .addStages(RankedStage.newBuilder().setJobId("of another engine").setStage("0.0"))
            .addStages(
                RankedStage.newBuilder().setJobId("q1").setStage("0.0").setVirtualDeadline(12))
            .build();
    Waiting.until("version 5", () -> conversation.standings().version() == 5);
    Standings standings = conversation.standings();
    assertEquals(Map.of(key, 0), standings.rankByStage());
    assertEquals(12.0, standings.deadlineByJob().get("q1"));
    assertEquals(12.0, standings.deadlineByUser().get("alice"));
    assertTrue(standings.reachable());
  }

  /** A service that hangs (a stopped process, say) is given up after the limit, and found again. */
  @Test
  void aHangingServiceIsLostAndFoundAgain() throws Exception {
    conversation.close();
    conversation = service.converse("spark.uwfq.staleAfter", "200ms");
    Waiting.until("an answer", () -> conversation.standings().reachable());
    job("q1", "alice");
    stage("q1", "0.0", 4);
    service.next(AddStagesRequest.class);
    service.behaviour = request -> ScriptedService.SILENCE;
    Waiting.until("the loss", () -> !conversation.standings().reachable());
    conversation.taskStarted(new TaskKey(new StageKey("q1", "0.0"), 2, 1));
    Waiting.until("a fallback", () -> conversation.figures().fallbacks.sum() == 1);
    service.heard.clear();
    service.behaviour = request -> null;
    Waiting.until("the rejoin", () -> conversation.figures().rejoins.sum() == 1);
    assertEquals("q1", service.next(SubmitJobRequest.class).getJobId());
    service.next(AddStagesRequest.class);
    NextTaskRequest report = service.next(NextTaskRequest.class);
    assertEquals(2, report.getStarted(0).getTaskIndex());
    Waiting.until("reachable", () -> conversation.standings().reachable());
  }

  @Test
  void adviceComesInTimeOrNotAtAll() throws Exception {
    SplitQuestion question = new SplitQuestion("alice", "sig", StageKind.SCAN, 1 << 20);
    assertEquals(
        OptionalInt.of(7), conversation.taskCount(question, java.time.Duration.ofSeconds(20)));
    service.behaviour =
        request -> request instanceof io.uwfq.v1.SplitStageRequest ? ScriptedService.SILENCE : null;
    assertEquals(
        OptionalInt.empty(), conversation.taskCount(question, java.time.Duration.ofMillis(5)));
  }

  @Test
  void aThrowingShapeCostsTheJobItsHistoryOnly() throws Exception {
    conversation.jobAppeared(
        new JobFacts(
            "q1",
            "alice",
            OptionalDouble.empty(),
            () -> {
              throw new IllegalStateException("no plan");
            },
            Map.of()));
    assertEquals("", service.next(SubmitJobRequest.class).getSignature());
  }

  /** What nobody announced is counted, and nothing else happens. */
  @Test
  void factsAboutStrangersAreDroppedAndCounted() throws Exception {
    conversation.taskStarted(new TaskKey(new StageKey("q9", "0.0"), 0, 1));
    conversation.jobEnded("q9", JobEnd.SUCCEEDED);
    Waiting.until("two drops", () -> conversation.figures().droppedFacts.sum() == 2);
  }

  @Test
  void closeDoesNotWaitForAHangingService() {
    service.behaviour = request -> ScriptedService.SILENCE;
    job("q1", "alice");
    long beganNanos = System.nanoTime();
    conversation.close();
    assertTrue(System.nanoTime() - beganNanos < 5_000_000_000L);
    job("q2", "alice"); // Too late, and harmless.
  }

  @Test
  void goodbyeIsSaidAfterWhatCameBefore() throws Exception {
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 1);
    service.next(AddStagesRequest.class);
    conversation.taskStarted(new TaskKey(key, 0, 1));
    conversation.taskEnded(new TaskKey(key, 0, 1), DONE);
    conversation.jobEnded("q1", JobEnd.SUCCEEDED);
    conversation.close();
    service.next(CloseJobRequest.class);
    assertTrue(service.next(NextTaskRequest.class).getLeaving());
  }
}
