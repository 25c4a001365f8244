package io.uwfq.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.spark.JobTracker.TaskSetSeen;
import io.uwfq.spark.JobTracker.TrackedStage;
import io.uwfq.spark.RecordingConversation.Fact;
import io.uwfq.spark.conversation.JobEnd;
import io.uwfq.spark.conversation.JobFacts;
import io.uwfq.spark.conversation.JobShape;
import io.uwfq.spark.conversation.Settings.UserSource;
import io.uwfq.spark.conversation.StageKind;
import io.uwfq.spark.conversation.TaskOutcome;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.Set;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.core.Appender;
import org.apache.logging.log4j.core.LogEvent;
import org.apache.logging.log4j.core.Logger;
import org.apache.logging.log4j.core.appender.AbstractAppender;
import org.junit.jupiter.api.Test;

class JobTrackerTest {
  private static final JobShape SHAPE = new JobShape("query shape", OptionalLong.of(7));
  private static final TaskOutcome SUCCESS =
      new TaskOutcome.Success(1, OptionalLong.empty(), OptionalLong.empty());

  private final RecordingConversation conversation = new RecordingConversation();
  private final Users users =
      new Users(List.of(UserSource.THRIFT, UserSource.CONNECT, UserSource.PROPERTY), "", "nobody");
  private final Set<Long> overAlready = new HashSet<>();
  private final JobTracker tracker =
      new JobTracker(
          "app",
          conversation,
          users,
          OptionalDouble.of(5),
          root -> root < 100 && !overAlready.contains(root),
          root -> SHAPE);

  /** The stages of a query are Spark jobs of their own, and one job of the service. */
  @Test
  void aQueryIsOneJob() {
    Properties query = properties("alice", 3L);
    tracker.sparkJobStarted(10, query, "collect at x.py:1");
    appear(10, 20, query);
    tracker.sparkJobEnded(10, JobEnd.SUCCEEDED);
    appear(11, 21, query);
    tracker.sparkJobStarted(11, query, "collect at x.py:1");
    tracker.sparkJobEnded(11, JobEnd.SUCCEEDED);
    tracker.executionEnded(4, JobEnd.SUCCEEDED); // one that is nested in it
    tracker.executionEnded(3, JobEnd.SUCCEEDED);
    assertEquals(List.of("job app/q3", "stage app/q3", "stage app/q3", "jobEnd app/q3"), facts());
    JobFacts job = conversation.<JobFacts>all("job").get(0);
    assertEquals("alice", job.user());
    assertEquals(SHAPE, job.shape().get());
    assertEquals(1, tracker.jobs(Optional.of(UserSource.PROPERTY)));
  }

  /** A Spark job of no query is a job, named after the place in the code without its numbers. */
  @Test
  void aSparkJobWithoutQueryIsAJob() {
    tracker.sparkJobStarted(5, null, "collect at job42.py:17");
    appear(5, 8, null);
    tracker.sparkJobEnded(5, new JobEnd(false, "cancelled"));
    assertEquals(List.of("job app/j5", "stage app/j5", "jobEnd app/j5"), facts());
    JobFacts job = conversation.<JobFacts>all("job").get(0);
    assertEquals("nobody", job.user());
    assertEquals("rdd collect at job#.py:#", job.shape().get().signature());
  }

  /** Whether the pool or the listener is the first to see a job, the facts are the same. */
  @Test
  void theOrderOfSightDoesNotMatter() {
    appear(5, 8, properties("alice", null));
    tracker.sparkJobStarted(5, properties("alice", null), "x");
    tracker.taskStarted(8, 0, 0, 1);
    tracker.taskEnded(8, 0, 0, 1, SUCCESS);
    tracker.sparkJobEnded(5, JobEnd.SUCCEEDED);
    assertEquals(
        List.of("job app/j5", "stage app/j5", "start app/j5", "end app/j5", "jobEnd app/j5"),
        facts());
  }

  /** Tasks of jobs that are over, or were never seen, are no facts. */
  @Test
  void stragglersAreNoFacts() {
    appear(5, 8, null);
    tracker.sparkJobEnded(5, JobEnd.SUCCEEDED);
    tracker.taskEnded(8, 0, 0, 1, SUCCESS);
    tracker.taskStarted(99, 0, 0, 1);
    assertEquals(List.of("job app/j5", "stage app/j5", "jobEnd app/j5"), facts());
  }

  /** A Spark job that starts after its query has ended does not open the query again. */
  @Test
  void anEndedQueryStaysEnded() {
    Properties query = properties("alice", 3L);
    appear(10, 20, query);
    tracker.sparkJobEnded(10, JobEnd.SUCCEEDED);
    tracker.executionEnded(3, JobEnd.SUCCEEDED);
    appear(11, 21, query);
    tracker.sparkJobEnded(11, JobEnd.SUCCEEDED);
    assertEquals(
        List.of(
            "job app/q3",
            "stage app/q3",
            "jobEnd app/q3",
            "job app/j11",
            "stage app/j11",
            "jobEnd app/j11"),
        facts());
  }

  /** Who sets the execution id of another user's query gets a job of his own, and his own place. */
  @Test
  void nobodyRunsUnderAnotherUsersQuery() {
    appear(10, 20, properties("alice", 3L));
    appear(11, 21, properties("eve", 3L));
    assertEquals(List.of("job app/q3", "stage app/q3", "job app/j11", "stage app/j11"), facts());
    assertEquals("eve", conversation.<JobFacts>all("job").get(1).user());
  }

  /** Who names a query that there is not (yet) gets a job of his own, which ends. */
  @Test
  void nobodyRunsUnderAQueryThatDoesNotRun() {
    Properties query = properties("eve", 100L);
    appear(10, 20, query);
    tracker.sparkJobEnded(10, JobEnd.SUCCEEDED);
    assertEquals(List.of("job app/j10", "stage app/j10", "jobEnd app/j10"), facts());
    assertEquals("rdd x", conversation.<JobFacts>all("job").get(0).shape().get().signature());
  }

  /** What a session has set in the place of Spark's own id names no query, running or not. */
  @Test
  void aRootThatIsSetIsNoQuery() {
    Properties query = properties("eve", 3L);
    query.setProperty("uwfq.rootIsSet", "3");
    appear(10, 20, query);
    appear(11, 21, properties("alice", 3L));
    assertEquals(List.of("job app/j10", "stage app/j10", "job app/q3", "stage app/q3"), facts());
  }

  /** What runs on when its query has ended is that query's as long as it runs. */
  @Test
  void aQueryEndsWithItsLastSparkJob() {
    Properties query = properties("alice", 3L);
    appear(10, 20, query);
    appear(11, 21, query);
    tracker.sparkJobEnded(10, JobEnd.SUCCEEDED);
    tracker.executionEnded(3, new JobEnd(false, "the user left"));
    tracker.taskEnded(21, 0, 0, 1, SUCCESS);
    tracker.sparkJobEnded(11, JobEnd.SUCCEEDED);
    assertEquals(
        List.of("job app/q3", "stage app/q3", "stage app/q3", "end app/q3", "jobEnd app/q3"),
        facts());
    assertEquals(List.of(new JobEnd(false, "the user left")), conversation.all("jobEnd"));
  }

  /** A stage whose user the Thrift server has not named yet waits for the job's start. */
  @Test
  void aStageWaitsForItsUser() {
    users.thriftSessionCreated();
    Properties properties = properties(null, 3L);
    properties.setProperty("spark.jobGroup.id", "statement");
    TrackedStage stage = appear(10, 20, properties);
    assertNull(stage.key());
    assertEquals(List.of(), facts());
    users.thriftStatementStarted("statement", "alice");
    tracker.sparkJobStarted(10, properties, "x");
    assertEquals(List.of("job app/q3", "stage app/q3"), facts());
    assertEquals("alice", stage.user());
    assertEquals("20.0", stage.key().stage());
  }

  /** If the start of its job was lost, the first task makes a waiting stage known. */
  @Test
  void aLostStartIsMadeUpFor() {
    users.thriftSessionCreated();
    Properties properties = properties(null, null);
    properties.setProperty("spark.jobGroup.id", "statement");
    appear(10, 20, properties);
    tracker.taskStarted(20, 0, 0, 1);
    assertEquals(List.of("job app/j10", "stage app/j10", "start app/j10"), facts());
  }

  /** Spark's bus drops events: what is over twice in a row has ended, once. */
  @Test
  void aLostEndIsMadeUpFor() {
    appear(5, 8, null);
    appear(6, 9, null);
    tracker.endWhatIsOver(sparkJob -> sparkJob == 6);
    assertEquals(0, conversation.all("jobEnd").size(), "its word may be on its way");
    tracker.endWhatIsOver(sparkJob -> sparkJob == 6);
    assertEquals(
        List.of("job app/j5", "stage app/j5", "job app/j6", "stage app/j6", "jobEnd app/j5"),
        facts());
    tracker.sparkJobEnded(5, new JobEnd(false, "late"));
    tracker.endWhatIsOver(sparkJob -> true);
    tracker.endWhatIsOver(sparkJob -> false);
    assertEquals(1, conversation.all("jobEnd").size());
    assertEquals(1, conversation.figures().droppedFacts.sum());
  }

  /** Of a query, the end of its last Spark job may be lost, or its own, or both. */
  @Test
  void aLostEndOfAQueryIsMadeUpFor() {
    appear(5, 8, properties("alice", 3L));
    overAlready.add(3L);
    for (int look = 0; look < 2; look++) {
      tracker.endWhatIsOver(sparkJob -> true);
    }
    assertEquals(0, conversation.all("jobEnd").size(), "a Spark job of it runs on");
    for (int look = 0; look < 2; look++) {
      tracker.endWhatIsOver(sparkJob -> false);
    }
    assertEquals(List.of("job app/q3", "stage app/q3", "jobEnd app/q3"), facts());
  }

  /** A weight is a number within limits; anything else is no reason to fail. */
  @Test
  void weightsAreRead() {
    String[] texts = {"2.5", "0", "-1", "NaN", "many", "1e9"};
    for (int i = 0; i < texts.length; i++) {
      Properties properties = properties("alice", null);
      properties.setProperty("spark.uwfq.weight", texts[i]);
      tracker.sparkJobStarted(i, properties, "");
    }
    List<JobFacts> jobs = conversation.all("job");
    assertEquals(OptionalDouble.of(2.5), jobs.get(0).weight());
    for (int i = 1; i < texts.length; i++) {
      assertEquals(OptionalDouble.empty(), jobs.get(i).weight(), texts[i]);
    }
  }

  /** Once for each value, and never by the pool: under Spark's lock nothing waits for a log. */
  @Test
  void aWrongWeightIsToldOfOnce() {
    List<String> told = new ArrayList<>();
    Appender appender =
        new AbstractAppender("test", null, null, false, null) {
          @Override
          public void append(LogEvent event) {
            told.add(event.getMessage().getFormattedMessage());
          }
        };
    appender.start();
    Logger logger = (Logger) LogManager.getLogger(JobTracker.class);
    logger.addAppender(appender);
    try {
      for (int job = 0; job < 6; job++) {
        Properties properties = properties("alice", null);
        properties.setProperty("spark.uwfq.weight", job % 2 == 0 ? "heavy" : "light");
        appear(job, job, properties);
        assertEquals(Math.min(job, 2), told.size());
        tracker.sparkJobStarted(job, properties, "");
      }
    } finally {
      logger.removeAppender(appender);
    }
    assertEquals(2, told.size());
    assertTrue(told.get(0).startsWith("spark.uwfq.weight is \"heavy\", so"), told.get(0));
  }

  /** The thread's weight counts, then the session's, then that of the configuration. */
  @Test
  void theNearestWeightCounts() {
    Properties properties = properties("alice", null);
    tracker.sparkJobStarted(1, properties, "");
    properties.setProperty("spark.uwfq.weight", "7");
    tracker.sparkJobStarted(2, properties, "");
    properties.setProperty("uwfq.weight", "1");
    tracker.sparkJobStarted(3, properties, "");
    List<JobFacts> jobs = conversation.all("job");
    assertEquals(
        List.of(OptionalDouble.of(5), OptionalDouble.of(7), OptionalDouble.of(1)),
        jobs.stream().map(JobFacts::weight).toList());
  }

  /** A query is called what its execution is, whoever sees it first; not what its jobs are. */
  @Test
  void aQueryIsCalledWhatItsExecutionIs() {
    tracker.executionStarted(3, "count at report.py:7");
    appear(10, 20, properties("alice", 3L));
    appear(11, 21, properties("alice", 4L));
    tracker.executionStarted(4, "collect at report.py:8");
    Properties described = properties("alice", 5L);
    described.setProperty("spark.job.description", "sum of events");
    appear(12, 22, described);
    tracker.executionStarted(5, "elsewhere");
    appear(13, 23, properties("alice", 6L));
    appear(14, 24, properties("alice", null));
    assertEquals(
        List.of("count at report.py:7", "collect at report.py:8", "sum of events", "x", "x"),
        conversation.<JobFacts>all("job").stream()
            .map(job -> job.labels().get().get("description"))
            .toList());
  }

  /** Half a character would be a warning with a stack trace, each time that it is sent. */
  @Test
  void aLongDescriptionEndsWithAWholeCharacter() {
    tracker.executionStarted(3, "x".repeat(255) + "\uD83D\uDE00");
    appear(10, 20, properties("alice", 3L));
    JobFacts job = conversation.<JobFacts>all("job").get(0);
    assertEquals("x".repeat(255), job.labels().get().get("description"));
  }

  private TrackedStage appear(int sparkJob, int stage, Properties properties) {
    return tracker.taskSetAppeared(
        new TaskSetSeen(
            sparkJob, properties, "x", stage, 0, 4, 1, new StageInputs(null, StageKind.OTHER)));
  }

  private List<String> facts() {
    return conversation.facts().stream().map(JobTrackerTest::text).toList();
  }

  private static String text(Fact fact) {
    return fact.kind() + " " + fact.id();
  }

  private static Properties properties(String user, Long rootExecution) {
    Properties properties = new Properties();
    if (user != null) {
      properties.setProperty("spark.uwfq.user", user);
    }
    if (rootExecution != null) {
      properties.setProperty("spark.sql.execution.root.id", rootExecution.toString());
    }
    return properties;
  }
}
