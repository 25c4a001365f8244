package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.uwfq.v1.GetJobRequest;
import io.uwfq.v1.Job;
import io.uwfq.v1.JobState;
import io.uwfq.v1.ListJobsRequest;
import io.uwfq.v1.SchedulerServiceGrpc;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The conversation with the service itself, which is killed, restarted, and robbed of its data. */
class RealServiceTest {
  private static final TaskOutcome TOOK_A_SECOND =
      new TaskOutcome.Success(1.0, OptionalLong.of(1_000), OptionalLong.of(10));

  /** As long as a busy machine wants. */
  private static final long CLOSE_MILLIS = 60_000;

  @TempDir Path data;
  @TempDir Path otherData;

  private RealService service;
  private ManagedChannel channel;
  private GrpcConversation conversation;

  /**
   * Without the service there is nothing to try; where everything must be tried, that is a fault.
   */
  @BeforeAll
  static void findTheService() {
    if (System.getProperty("uwfq.command", "").isEmpty()) {
      String why = "RealServiceTest: -Duwfq.command does not say how the service is called";
      assertFalse(inCi(), why);
      System.err.println("\n*** SKIPPED: " + why + " ***\n");
      abort(why);
    }
  }

  /** Whether CI is set to 1, true or yes, as for all other tests of the repository. */
  private static boolean inCi() {
    String ci = System.getenv().getOrDefault("CI", "").toLowerCase(Locale.ROOT);
    return Set.of("1", "true", "yes").contains(ci);
  }

  @BeforeEach
  void begin() throws Exception {
    service = new RealService(System.getProperty("uwfq.command"));
    service.start(data);
    channel = Grpc.newChannelBuilder(service.target(), InsecureChannelCredentials.create()).build();
    conversation = converse();
    Waiting.until("the first answer", () -> conversation.standings().reachable());
  }

  @AfterEach
  void end() throws Exception {
    conversation.close();
    channel.shutdownNow();
    service.close();
  }

  private GrpcConversation converse() {
    Settings settings =
        Settings.of(
            Map.of("spark.uwfq.target", service.target(), "spark.uwfq.staleAfter", "1s"),
            java.util.List.of());
    GrpcConversation fresh =
        new GrpcConversation(
            settings,
            "engine-" + UUID.randomUUID(),
            Grpc.newChannelBuilder(service.target(), InsecureChannelCredentials.create()).build(),
            System::nanoTime,
            CLOSE_MILLIS);
    fresh.start();
    fresh.slotsChanged(4);
    return fresh;
  }

  private SchedulerServiceGrpc.SchedulerServiceBlockingStub stub() {
    return SchedulerServiceGrpc.newBlockingStub(channel)
        .withWaitForReady()
        .withDeadlineAfter(30, java.util.concurrent.TimeUnit.SECONDS);
  }

  private Job job(String jobId) {
    return stub().getJob(GetJobRequest.newBuilder().setJobId(jobId).build()).getJob();
  }

  private boolean isKnown(String jobId) {
    try {
      job(jobId);
      return true;
    } catch (StatusRuntimeException refused) {
      assertEquals(Status.Code.NOT_FOUND, refused.getStatus().getCode());
      return false;
    }
  }

  private StageKey stage(String jobId, String user, int taskCount) {
    conversation.jobAppeared(
        new JobFacts(
            jobId,
            user,
            OptionalDouble.empty(),
            () -> new JobShape("sum(a)", OptionalLong.of(1_000_000)),
            () -> Map.of("description", "a test")));
    StageKey key = new StageKey(jobId, "0.0");
    conversation.stageAppeared(
        new StageFacts(key, taskCount, new long[taskCount], 1, StageKind.SCAN));
    return key;
  }

  private void run(StageKey key, int from, int to) {
    for (int index = from; index < to; index++) {
      conversation.taskStarted(new TaskKey(key, index, 1));
      conversation.taskEnded(new TaskKey(key, index, 1), TOOK_A_SECOND);
    }
  }

  private void awaitRanked(StageKey... keys) throws Exception {
    Waiting.until(
        "all stages ranked",
        () -> {
          for (StageKey key : keys) {
            if (!conversation.standings().rankByStage().containsKey(key)) {
              return false;
            }
          }
          return true;
        });
  }

  /** However often: to a machine that stands still for a moment the service is lost, too. */
  private boolean isLost() {
    return conversation.figures().fallbacks.sum() > conversation.figures().rejoins.sum();
  }

  /** A job from its first sight to its end, with the measured work as it was reported. */
  @Test
  void aJobIsToldFromItsBeginningToItsEnd() throws Exception {
    long failedBefore = conversation.figures().failedRpcs.sum(); // The service was starting.
    StageKey key = stage("app/q1", "alice", 3);
    awaitRanked(key);
    run(key, 0, 3);
    conversation.jobEnded("app/q1", JobEnd.SUCCEEDED);
    Waiting.until(
        "the end",
        () -> isKnown("app/q1") && job("app/q1").getState() == JobState.JOB_STATE_SUCCEEDED);
    assertEquals(3.0, job("app/q1").getMeasuredWorkSlotSeconds(), 1e-6);
    assertEquals(0, conversation.figures().droppedFacts.sum());
    assertEquals(failedBefore, conversation.figures().failedRpcs.sum());
  }

  /** Users with less to do are ahead, as the service has it. */
  @Test
  void theStandingsAreTheOrderOfTheService() throws Exception {
    StageKey big = stage("app/q1", "alice", 8);
    awaitRanked(big);
    StageKey small = stage("app/q2", "bob", 2);
    awaitRanked(big, small);
    Standings standings = conversation.standings();
    assertEquals(2, standings.rankByStage().size());
    assertTrue(
        standings.deadlineByJob().keySet().containsAll(java.util.List.of("app/q1", "app/q2")));
    assertTrue(standings.deadlineByUser().keySet().containsAll(java.util.List.of("alice", "bob")));
  }

  /** Spark's queries may end with stages that it never finished. */
  @Test
  void aSuccessfulJobWithTasksLeftHasSucceeded() throws Exception {
    StageKey key = stage("app/q1", "alice", 5);
    awaitRanked(key);
    run(key, 0, 1);
    conversation.jobEnded("app/q1", JobEnd.SUCCEEDED);
    Waiting.until("the end", () -> job("app/q1").getState() == JobState.JOB_STATE_SUCCEEDED);
  }

  @Test
  void aFailedJobIsCancelledWithItsReason() throws Exception {
    StageKey key = stage("app/q1", "alice", 5);
    awaitRanked(key);
    conversation.taskStarted(new TaskKey(key, 0, 1));
    conversation.jobEnded("app/q1", new JobEnd(false, "division by zero"));
    Waiting.until("the end", () -> job("app/q1").getState() == JobState.JOB_STATE_CANCELLED);
    assertEquals("division by zero", job("app/q1").getCause());
  }

  /** A crash in the middle: the service has its data, and hears what it missed. */
  @Test
  void aKilledServiceIsToldWhatItMissed() throws Exception {
    StageKey key = stage("app/q1", "alice", 4);
    awaitRanked(key);
    run(key, 0, 2);
    service.kill();
    run(key, 2, 4);
    StageKey other = stage("app/q2", "bob", 2);
    conversation.jobEnded("app/q1", JobEnd.SUCCEEDED);
    // One that was back by the second call would not have been missed.
    Waiting.until("the loss", this::isLost);
    service.start(data);
    awaitRanked(other);
    Waiting.until("the end", () -> job("app/q1").getState() == JobState.JOB_STATE_SUCCEEDED);
    assertEquals(4.0, job("app/q1").getMeasuredWorkSlotSeconds(), 1e-6);
    Waiting.until("the rejoin", () -> !isLost());
  }

  /** The data is lost with the service: all that is open is told from the beginning. */
  @Test
  void aServiceWithoutAPastIsToldEverything() throws Exception {
    StageKey key = stage("app/q1", "alice", 4);
    awaitRanked(key);
    run(key, 0, 2);
    conversation.taskStarted(new TaskKey(key, 2, 1));
    conversation.taskStarted(new TaskKey(key, 3, 1));
    conversation.taskEnded(new TaskKey(key, 3, 1), new TaskOutcome.Failure(0.5, "boom"));
    conversation.taskStarted(new TaskKey(key, 3, 2));
    conversation.taskStarted(new TaskKey(key, 3, 3));
    conversation.taskEnded(new TaskKey(key, 3, 3), TOOK_A_SECOND);
    conversation.taskEnded(
        new TaskKey(key, 3, 2), new TaskOutcome.Failure(2.0, "another attempt succeeded"));
    Waiting.until(
        "three done, two failed",
        () -> job("app/q1").getStages(0).getMeasuredWorkSlotSeconds() == 5.5);
    service.kill();
    Waiting.until("loss noticed", () -> !conversation.standings().reachable());
    service.start(otherData);
    Waiting.until(
        "the past",
        () ->
            isKnown("app/q1")
                && job("app/q1").getStagesCount() == 1
                && job("app/q1").getStages(0).getDone() == 3
                && job("app/q1").getStages(0).getRunning() == 1);
    assertEquals("sum(a)", job("app/q1").getSignature());
    conversation.taskEnded(new TaskKey(key, 2, 1), TOOK_A_SECOND);
    conversation.jobEnded("app/q1", JobEnd.SUCCEEDED);
    Waiting.until("the end", () -> job("app/q1").getState() == JobState.JOB_STATE_SUCCEEDED);
    assertEquals(6.5, job("app/q1").getMeasuredWorkSlotSeconds(), 1e-6);
  }

  /** An application that is started again and again under one id: each run counts in full. */
  @Test
  void everyRunUnderOneIdIsTold() throws Exception {
    for (int run = 1; run <= 7; run++) {
      run(stage("app/q1", "alice", 2), 0, 2);
      conversation.jobEnded("app/q1", JobEnd.SUCCEEDED);
      conversation.close();
      conversation = converse();
      Waiting.until("the first answer", () -> conversation.standings().reachable());
      List<Job> jobs = stub().listJobs(ListJobsRequest.getDefaultInstance()).getJobsList();
      assertEquals(run, jobs.size());
      for (Job job : jobs) {
        assertEquals("sum(a)", job.getSignature());
        assertEquals(2.0, job.getMeasuredWorkSlotSeconds(), 1e-6);
      }
    }
  }

  /** The service gave the job up; Spark has not. */
  @Test
  void aJobThatTheServiceHasEndedGoesOnUnderAnotherName() throws Exception {
    StageKey key = stage("app/q1", "alice", 4);
    awaitRanked(key);
    run(key, 0, 2);
    stub()
        .cancelJob(
            io.uwfq.v1.CancelJobRequest.newBuilder()
                .setJobId("app/q1")
                .setReason("by hand")
                .build());
    conversation.stageAppeared(
        new StageFacts(new StageKey("app/q1", "1.0"), 2, null, 1, StageKind.SHUFFLE));
    Waiting.until("another life", () -> isKnown("app/q1~2"));
    awaitRanked(new StageKey("app/q1", "1.0"));
    run(key, 2, 4);
    run(new StageKey("app/q1", "1.0"), 0, 2);
    conversation.jobEnded("app/q1", JobEnd.SUCCEEDED);
    Waiting.until("the end", () -> job("app/q1~2").getState() == JobState.JOB_STATE_SUCCEEDED);
  }

  /** As above, without anything that the service would have to refuse: it is asked. */
  @Test
  void aJobThatTheServiceHasEndedIsNoticedByItsReports() throws Exception {
    StageKey key = stage("app/q1", "alice", 4);
    awaitRanked(key);
    stub()
        .cancelJob(
            io.uwfq.v1.CancelJobRequest.newBuilder()
                .setJobId("app/q1")
                .setReason("by hand")
                .build());
    conversation.taskStarted(new TaskKey(key, 0, 1));
    Waiting.until("another life", () -> isKnown("app/q1~2"));
    Waiting.until("the task in it", () -> job("app/q1~2").getState() == JobState.JOB_STATE_RUNNING);
    conversation.taskEnded(new TaskKey(key, 0, 1), TOOK_A_SECOND);
    run(key, 1, 4);
    conversation.jobEnded("app/q1", JobEnd.SUCCEEDED);
    Waiting.until("the end", () -> job("app/q1~2").getState() == JobState.JOB_STATE_SUCCEEDED);
    assertEquals(4.0, job("app/q1~2").getMeasuredWorkSlotSeconds(), 1e-6);
  }

  /** A stopped process keeps its connections: nothing is refused, nothing is answered. */
  @Test
  void aFrozenServiceIsLostAndFoundAgain() throws Exception {
    StageKey key = stage("app/q1", "alice", 4);
    awaitRanked(key);
    run(key, 0, 1);
    service.freeze();
    Waiting.until("the loss", () -> !conversation.standings().reachable());
    run(key, 1, 4);
    conversation.jobEnded("app/q1", JobEnd.SUCCEEDED);
    StageKey other = stage("app/q2", "bob", 2);
    Waiting.until("a fallback", this::isLost);
    service.thaw();
    awaitRanked(other);
    Waiting.until("the end", () -> job("app/q1").getState() == JobState.JOB_STATE_SUCCEEDED);
    assertEquals(4.0, job("app/q1").getMeasuredWorkSlotSeconds(), 1e-6);
    Waiting.until("the rejoin", () -> !isLost());
  }

  /** What ran when a job was cancelled has run until then, not until the service hears of it. */
  @Test
  void aJobThatIsCancelledUnheardIsChargedUpToItsEnd() throws Exception {
    StageKey key = stage("app/q1", "alice", 2);
    awaitRanked(key);
    long beforeNanos = System.nanoTime();
    conversation.taskStarted(new TaskKey(key, 0, 1));
    Waiting.until("the start", () -> job("app/q1").getStages(0).getRunning() == 1);
    service.freeze();
    conversation.taskStarted(new TaskKey(key, 1, 1));
    conversation.jobEnded("app/q1", new JobEnd(false, "cancelled by its user"));
    long afterNanos = System.nanoTime();
    Waiting.until("the loss", () -> !conversation.standings().reachable());
    service.thaw();
    Waiting.until("the end", () -> job("app/q1").getState() == JobState.JOB_STATE_CANCELLED);
    assertEquals("cancelled by its user", job("app/q1").getCause());
    double atMostSeconds = 2 * (afterNanos - beforeNanos) / 1e9;
    double measuredSeconds = job("app/q1").getMeasuredWorkSlotSeconds();
    assertTrue(0 < measuredSeconds && measuredSeconds <= atMostSeconds, measuredSeconds + " s");
  }

  /** Whoever leaves takes what it has open along. */
  @Test
  void goodbyeLeavesNothingOpen() throws Exception {
    StageKey key = stage("app/q1", "alice", 4);
    awaitRanked(key);
    conversation.close();
    Waiting.until(
        "nothing open",
        () ->
            stub()
                .listJobs(
                    ListJobsRequest.newBuilder()
                        .addStates(JobState.JOB_STATE_WAITING)
                        .addStates(JobState.JOB_STATE_RUNNING)
                        .build())
                .getJobsList()
                .isEmpty());
    assertEquals(JobState.JOB_STATE_CANCELLED, job("app/q1").getState());
  }

  @Test
  void theServiceSaysHowFinelyToCut() throws Exception {
    SplitQuestion question = new SplitQuestion("alice", "sum(a)", StageKind.SCAN, 1L << 30);
    Waiting.until(
        "a service with slots",
        () -> conversation.taskCount(question, Duration.ofSeconds(10)).orElse(0) >= 4);
    service.kill();
    Waiting.until("loss noticed", () -> !conversation.mayAnswer());
    long beganNanos = System.nanoTime();
    assertFalse(conversation.taskCount(question, Duration.ofSeconds(10)).isPresent());
    assertTrue(System.nanoTime() - beganNanos < 5_000_000_000L, "nobody waits for a lost service");
  }

  /** A speculative copy and its original: one wins, both are charged, nothing stays open. */
  @Test
  void rivalAttemptsAndRetriesEndWell() throws Exception {
    StageKey key = stage("app/q1", "alice", 2);
    awaitRanked(key);
    conversation.taskStarted(new TaskKey(key, 0, 1));
    conversation.taskStarted(new TaskKey(key, 0, 2));
    conversation.taskEnded(new TaskKey(key, 0, 2), TOOK_A_SECOND);
    conversation.taskEnded(
        new TaskKey(key, 0, 1), new TaskOutcome.Failure(2.0, "another attempt succeeded"));
    conversation.taskStarted(new TaskKey(key, 1, 1));
    conversation.taskEnded(new TaskKey(key, 1, 1), new TaskOutcome.Failure(0.5, "boom"));
    conversation.taskStarted(new TaskKey(key, 1, 2));
    conversation.taskEnded(new TaskKey(key, 1, 2), TOOK_A_SECOND);
    conversation.jobEnded("app/q1", JobEnd.SUCCEEDED);
    Waiting.until("the end", () -> job("app/q1").getState() == JobState.JOB_STATE_SUCCEEDED);
    assertEquals(4.5, job("app/q1").getMeasuredWorkSlotSeconds(), 1e-6);
  }
}
