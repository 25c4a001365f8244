package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.v1.AddStagesRequest;
import io.uwfq.v1.CloseJobRequest;
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.RankedStage;
import io.uwfq.v1.Ranking;
import io.uwfq.v1.SplitStageRequest;
import io.uwfq.v1.StageSpec;
import io.uwfq.v1.SubmitJobRequest;
import io.uwfq.v1.TaskResult;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** What is said, in which order, and what follows from answers. */
class GrpcConversationTest extends ConversationFixture {
  @Test
  void aJobIsSubmittedOpenWithAllThatIsKnownOfIt() throws Exception {
    job("q1", "alice");
    stage("q1", "0.0", 3);
    SubmitJobRequest submitted = service.next(SubmitJobRequest.class);
    assertEquals("q1", submitted.getJobId());
    assertEquals("alice", submitted.getUser());
    assertTrue(submitted.getEngineId().matches("engine-[0-9a-f]{8}"), submitted.getEngineId());
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
      NextTaskRequest report = service.nextReport();
      messages++;
      ends += report.getDoneCount();
    }
    assertEquals(2_000, ends);
    assertTrue(messages < 200, messages + " messages for 4,000 facts");
    assertTrue(service.next(CloseJobRequest.class).getFinished());
  }

  /** A start is left out only where the service misses nothing by it. */
  @Test
  void aFirstSuccessStandsForItsStartUnlessItHasRivals() throws Exception {
    CountDownLatch held = new CountDownLatch(1);
    service.behaviour =
        request -> {
          if (request instanceof NextTaskRequest report && report.getStartedCount() == 1) {
            await(held);
          }
          return null;
        };
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 4);
    service.next(AddStagesRequest.class);
    conversation.taskStarted(new TaskKey(key, 3, 1)); // Keeps the way busy: what follows gathers.
    service.nextReport();
    TaskOutcome killed = new TaskOutcome.Failure(1, "another attempt succeeded");
    conversation.taskStarted(new TaskKey(key, 0, 1));
    conversation.taskStarted(new TaskKey(key, 1, 1));
    conversation.taskStarted(new TaskKey(key, 1, 2));
    conversation.taskEnded(new TaskKey(key, 0, 1), DONE);
    conversation.taskEnded(new TaskKey(key, 1, 2), DONE);
    conversation.taskEnded(new TaskKey(key, 1, 1), killed);
    conversation.taskStarted(new TaskKey(key, 2, 1));
    conversation.taskEnded(new TaskKey(key, 2, 1), killed);
    // A fact about a job is taken in at once, and after those before it.
    job("q2", "bob");
    service.nextSubmission("q2");
    held.countDown();
    NextTaskRequest report = service.nextReport();
    assertEquals(
        List.of("1.1", "1.2", "2.1"),
        report.getStartedList().stream()
            .map(s -> s.getTaskIndex() + "." + s.getAttempt())
            .toList());
    assertEquals(4, report.getDoneCount());
    conversation.jobEnded("q1", JobEnd.SUCCEEDED);
    service.next(CloseJobRequest.class);
  }

  /** What ends before the service knows its stage is told as it was, and not as the mean. */
  @Test
  void aStageThatIsToldLateIsToldExactly() throws Exception {
    CountDownLatch held = new CountDownLatch(1);
    service.behaviour =
        request -> {
          if (request instanceof SubmitJobRequest submit && submit.getJobId().equals("q1")) {
            await(held);
          }
          return null;
        };
    job("q1", "alice");
    service.next(SubmitJobRequest.class);
    StageKey key = stage("q1", "0.0", 3);
    StageKey next = stage("q1", "1.0", 1);
    for (int index = 0; index < 2; index++) {
      conversation.taskStarted(new TaskKey(key, index, 1));
      conversation.taskEnded(
          new TaskKey(key, index, 1),
          new TaskOutcome.Success(index + 1, OptionalLong.of(index + 10), OptionalLong.empty()));
    }
    TaskOutcome lost = new TaskOutcome.Failure(0.5, "the executor is gone");
    conversation.taskStarted(new TaskKey(key, 2, 1));
    conversation.taskEnded(new TaskKey(key, 2, 1), lost);
    conversation.jobEnded("q1", JobEnd.SUCCEEDED);
    job("q2", "bob"); // Taken in after all of that.
    service.nextSubmission("q2");
    held.countDown();
    AddStagesRequest added = service.next(AddStagesRequest.class);
    assertEquals(
        List.of(key.stage(), next.stage()),
        added.getStagesList().stream().map(StageSpec::getStage).toList());
    Map<Integer, TaskResult> told = new HashMap<>();
    while (told.size() < 3) {
      service.nextReport().getDoneList().forEach(result -> told.put(result.getTaskIndex(), result));
    }
    assertEquals(1.0, told.get(0).getSuccess().getRuntimeSeconds());
    assertEquals(11, told.get(1).getSuccess().getInputBytes());
    assertEquals("the executor is gone", told.get(2).getFailure().getMessage());
    service.next(CloseJobRequest.class);
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
    service.nextSubmission("q2");
    assertFalse(service.heard.stream().anyMatch(CloseJobRequest.class::isInstance));
    reportsHeld.countDown();
    service.next(CloseJobRequest.class);
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

  @Test
  void theOrderComesWithAReportWhileThePollForItIsParked() throws Exception {
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 1);
    service.next(AddStagesRequest.class);
    service.behaviour =
        request ->
            request instanceof NextTaskRequest poll && poll.getWaitSeconds() > 0
                ? ScriptedService.SILENCE
                : null;
    Waiting.until("a parked poll", service::isSilent);
    service.ranking =
        Ranking.newBuilder()
            .setVersion(5)
            .addStages(RankedStage.newBuilder().setJobId("q1").setStage("0.0"))
            .build();
    conversation.taskStarted(new TaskKey(key, 0, 1));
    Waiting.until("version 5", () -> conversation.standings().version() == 5);
    assertEquals(Map.of(key, 0), conversation.standings().rankByStage());
  }

  /** What no service should say costs nothing. */
  @Test
  void nonsenseInTheRankingIsPassedOver() throws Exception {
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 1);
    service.next(AddStagesRequest.class);
    RankedStage ours = RankedStage.newBuilder().setJobId("q1").setStage("0.0").build();
    service.ranking =
        Ranking.newBuilder()
            .setVersion(5)
            .addStages(ours.toBuilder().setStage("7.0"))
            .addStages(ours.toBuilder().setVirtualDeadline(Double.NaN))
            .addStages(ours.toBuilder().setVirtualDeadline(Double.POSITIVE_INFINITY))
            .addStages(ours.toBuilder().setVirtualDeadline(3).setWaitingTasks(-1))
            .build();
    Waiting.until("version 5", () -> conversation.standings().version() == 5);
    assertEquals(Map.of(key, 0), conversation.standings().rankByStage());
    assertEquals(3.0, conversation.standings().deadlineByJob().get("q1"));
  }

  /**
   * The last order holds until it is too old; then the loss is noticed, though a poll is parked.
   */
  @Test
  void anOrderThatIsTooOldIsNoOrder() throws Exception {
    conversation.close();
    conversation =
        service.converse("spark.uwfq.staleAfter", "200ms", "spark.uwfq.rpcTimeout", "1h");
    Waiting.until("an answer", () -> conversation.standings().reachable());
    service.behaviour = request -> ScriptedService.SILENCE;
    Waiting.until("a parked poll", service::isSilent);
    assertTrue(conversation.standings().reachable());
    service.nanos.addAndGet(TimeUnit.MILLISECONDS.toNanos(201));
    Waiting.until("the loss", () -> !conversation.standings().reachable());
    Waiting.until("a fallback", () -> conversation.figures().fallbacks.sum() == 1);
  }

  @Test
  void theServiceHearsOfSlotsAtOnce() throws Exception {
    Waiting.until("the first answer", () -> conversation.standings().reachable());
    conversation.slotsChanged(12);
    assertEquals(12, service.next(NextTaskRequest.class).getSlots());
    conversation.slotsChanged(0);
    assertEquals(1, service.next(NextTaskRequest.class).getSlots(), "none is no number of slots");
  }

  /** A planner that hangs holds up nobody else's jobs, nor its own for long. */
  @Test
  void aShapeThatIsNotFoundHoldsUpNobody() throws Exception {
    CountDownLatch forever = new CountDownLatch(1);
    conversation.jobAppeared(
        new JobFacts(
            "q1",
            "alice",
            OptionalDouble.empty(),
            () -> {
              await(forever);
              return JobShape.UNKNOWN;
            },
            Map::of));
    job("q2", "bob");
    Map<String, String> signatures = new HashMap<>();
    while (signatures.size() < 2) {
      SubmitJobRequest submitted = service.next(SubmitJobRequest.class);
      signatures.put(submitted.getJobId(), submitted.getSignature());
    }
    assertEquals(Map.of("q1", "", "q2", "sig"), signatures);
    forever.countDown();
  }

  /** Under a gate, what the plugin does with the limits is its own affair. */
  @Test
  void aListenerThatThrowsDoesNotEndTheConversation() throws Exception {
    conversation.close();
    conversation = service.converse("spark.uwfq.gate", "leases");
    AtomicInteger told = new AtomicInteger();
    conversation.onLaunchLimits(
        () -> {
          told.incrementAndGet();
          throw new IllegalStateException("for the test");
        });
    Waiting.until("three orders", () -> told.get() >= 3);
    job("q1", "alice");
    stage("q1", "0.0", 8);
    service.next(AddStagesRequest.class);
    service.ranking =
        Ranking.newBuilder()
            .setVersion(5)
            .addStages(
                RankedStage.newBuilder()
                    .setJobId("q1")
                    .setStage("0.0")
                    .setWaitingTasks(6)
                    .setLaunchNow(3))
            .build();
    Waiting.until(
        "a limit",
        () -> conversation.launchLimit(new StageKey("q1", "0.0")).equals(OptionalInt.of(5)));
  }

  /** Else a gate that has lost as many ends as there are slots would grant nothing any more. */
  @Test
  void anEndThatGotLostKeepsNoSlot() throws Exception {
    conversation.close();
    AtomicInteger told = new AtomicInteger(-1);
    service.behaviour =
        request -> {
          if (request instanceof NextTaskRequest poll) {
            told.set(poll.getFreeSlots());
          }
          return null;
        };
    conversation = service.converse("spark.uwfq.gate", "leases");
    AtomicInteger sparkTasks = new AtomicInteger(8);
    conversation.countRunningBy(sparkTasks::get);
    conversation.slotsChanged(4);
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 20);
    for (int index = 0; index < 8; index++) {
      conversation.taskStarted(new TaskKey(key, index, 1));
    }
    Waiting.until("no free slot", () -> told.get() == 0);
    sparkTasks.set(6);
    conversation.taskStarted(new TaskKey(key, 8, 1));
    Waiting.until("two, four ahead of them", () -> told.get() == 2);
  }

  @Test
  void adviceComesInTimeOrNotAtAll() throws Exception {
    Waiting.until("the first answer", () -> conversation.standings().reachable());
    java.time.Duration ample = java.time.Duration.ofSeconds(20);
    SplitQuestion question = new SplitQuestion("alice", "sig", StageKind.SCAN, 1 << 20);
    assertEquals(OptionalInt.of(7), conversation.taskCount(question, ample));
    service.behaviour =
        request -> request instanceof SplitStageRequest ? ScriptedService.SILENCE : null;
    assertEquals(OptionalInt.of(7), conversation.taskCount(question, ample), "as a second ago");
    service.heard.removeIf(SplitStageRequest.class::isInstance);
    service.nanos.addAndGet(TimeUnit.SECONDS.toNanos(2));
    java.time.Duration limit = java.time.Duration.ofMillis(5);
    for (int i = 0; i < 10; i++) {
      assertEquals(OptionalInt.empty(), conversation.taskCount(question, limit));
    }
    // Three were asked; then nobody waits any more, for a while.
    assertEquals(OptionalInt.empty(), conversation.taskCount(question, ample));
    service.behaviour = request -> null;
    service.nanos.addAndGet(TimeUnit.SECONDS.toNanos(6));
    assertEquals(OptionalInt.of(7), conversation.taskCount(question, ample));
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
            Map::of));
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
  void goodbyeIsSaidAfterWhatCameBefore() throws Exception {
    job("q1", "alice");
    StageKey key = stage("q1", "0.0", 1);
    service.next(AddStagesRequest.class);
    conversation.taskStarted(new TaskKey(key, 0, 1));
    conversation.taskEnded(new TaskKey(key, 0, 1), DONE);
    conversation.jobEnded("q1", JobEnd.SUCCEEDED);
    conversation.close();
    service.next(CloseJobRequest.class);
    NextTaskRequest last = service.next(NextTaskRequest.class);
    while (!last.getLeaving()) {
      last = service.next(NextTaskRequest.class);
    }
  }
}
