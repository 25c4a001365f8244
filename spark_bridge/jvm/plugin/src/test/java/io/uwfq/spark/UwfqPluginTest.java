package io.uwfq.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import io.uwfq.spark.RecordingConversation.Fact;
import io.uwfq.spark.conversation.Conversation;
import io.uwfq.spark.conversation.JobEnd;
import io.uwfq.spark.conversation.JobFacts;
import io.uwfq.spark.conversation.Settings;
import io.uwfq.spark.conversation.StageFacts;
import io.uwfq.spark.conversation.StageKey;
import io.uwfq.spark.conversation.Standings;
import io.uwfq.spark.conversation.TaskOutcome;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapreduce.lib.input.FileSplit;
import org.apache.spark.Partition;
import org.apache.spark.SparkConf;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.rdd.NewHadoopPartition;
import org.apache.spark.rdd.RDD;
import org.apache.spark.scheduler.RunningJobs;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import scala.collection.Iterator;
import scala.collection.Iterator$;
import scala.reflect.ClassTag$;

/** The plugin in a real Spark in local mode, whose tasks see what the test sees. */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
class UwfqPluginTest {
  /** The plugin with a conversation of the test's. */
  public static final class Plugin extends UwfqPlugin {
    static volatile RecordingConversation conversation;

    @Override
    protected Conversation converse(Settings settings, String engineId) {
      return conversation;
    }
  }

  private static final String POOL = "spark.scheduler.pool";

  private static volatile CountDownLatch slotIsTaken;
  private static volatile CountDownLatch slotIsFree;
  private static final List<String> launched = Collections.synchronizedList(new ArrayList<>());
  private static final AtomicInteger attempts = new AtomicInteger();

  private final RecordingConversation conversation = new RecordingConversation();
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final List<Future<?>> jobs = new ArrayList<>();
  private JavaSparkContext spark;

  @BeforeEach
  void prepare() {
    Plugin.conversation = conversation;
    slotIsTaken = new CountDownLatch(1);
    slotIsFree = new CountDownLatch(1);
    launched.clear();
    attempts.set(0);
  }

  @AfterEach
  void stop() {
    slotIsFree.countDown();
    if (spark != null) {
      spark.stop();
    }
    threads.shutdownNow();
  }

  /** The service's order is Spark's, whatever pools the users ask for. */
  @Test
  void tasksLaunchInTheOrderOfTheService() throws Exception {
    start("local[1]");
    takeTheSlot();
    submit("alice", 2, null);
    submit("bob", 2, "");
    submit("carol", 2, "a pool / of carol's");
    submit("dave", 2, "default");
    conversation.await("stage", 5);
    rank(List.of("carol", "alice", "dave", "bob"));
    freeTheSlot();
    assertEquals(
        List.of("carol", "carol", "alice", "alice", "dave", "dave", "bob", "bob"), launched);
    assertEquals(1, spark.sc().getAllPools().size());
    assertTrue(spark.sc().getPoolForName("default").isDefined());
    assertTrue(spark.sc().getPoolForName("a pool / of carol's").isDefined());
    assertEquals(0, conversation.figures().caughtErrors.sum());
  }

  /** What a lost end is made up from. */
  @Test
  void sparkKnowsWhichJobsRun() throws Exception {
    start("local[1]");
    RunningJobs running = new RunningJobs(spark.sc());
    takeTheSlot();
    assertTrue(running.test(0));
    assertFalse(running.test(1));
    freeTheSlot();
    assertFalse(running.test(0));
  }

  /** Without the service users take turns, however many jobs each has. */
  @Test
  void withoutTheServiceUsersTakeTurns() throws Exception {
    start("local[1]");
    takeTheSlot();
    submit("alice", 2, null);
    conversation.await("stage", 2);
    submit("alice", 2, null);
    conversation.await("stage", 3);
    submit("bob", 2, null);
    conversation.await("stage", 4);
    freeTheSlot();
    assertEquals(List.of("alice", "bob", "alice", "bob", "alice", "alice"), launched);
    assertEquals(4, conversation.figures().roundRobinPlacements.sum());
  }

  /** Whatever breaks under Spark's lock, jobs run, in the order of their arrival, and it counts. */
  @Test
  void exceptionsNeverReachSpark() throws Exception {
    start("local[1]");
    takeTheSlot();
    conversation.show(
        () -> {
          throw new NoSuchMethodError("broken for the test");
        });
    submit("alice", 2, null);
    conversation.await("stage", 2);
    submit("bob", 2, null);
    conversation.await("stage", 3);
    freeTheSlot();
    assertEquals(List.of("alice", "alice", "bob", "bob"), launched);
    assertTrue(conversation.figures().caughtErrors.sum() > 0);

    conversation.breakDown();
    submit("carol", 3, null);
    finish();
    assertEquals(3, Collections.frequency(launched, "carol"));
  }

  /** When a listener throws such an error, the bus stops the application, and is never empty. */
  @Test
  void theApplicationOutlivesWhatBreaksItsListener() throws Exception {
    start("local[1]");
    conversation.breakDown();
    for (int job = 0; job < 2; job++) {
      assertEquals(3, spark.parallelize(List.of(1, 2, 3), 1).count());
      spark.sc().listenerBus().waitUntilEmpty();
    }
    assertFalse(spark.sc().isStopped());
    assertTrue(conversation.figures().caughtErrors.sum() > 0);
  }

  /** Behind the gate a task launches when it is granted, or when there is nobody to grant it. */
  @Test
  void behindTheGateTasksLaunchWhenGranted() throws Exception {
    conversation.show(
        () -> new Standings(1, Map.of(), Map.of(), Map.of(), System.nanoTime(), true));
    conversation.limit(user -> user.equals("alice") ? 0 : 2);
    spark = new JavaSparkContext(conf("local[2]").set("spark.uwfq.gate", "leases"));
    takeTheSlot(); // while anything runs, the gate has no reason to open by itself
    Future<?> alice = submit("alice", 2, null);
    conversation.await("stage", 2);
    submit("bob", 2, null).get();
    launched.add("granted");
    conversation.limit(user -> 2);
    alice.get();
    assertEquals(List.of("bob", "bob", "granted", "alice", "alice"), launched);
    assertEquals(0, conversation.figures().launchesWithoutLease.sum());

    conversation.limit(user -> 0);
    Future<?> carol = submit("carol", 2, null);
    conversation.await("stage", 4);
    conversation.show(() -> Standings.NONE);
    carol.get();
    assertEquals(0, conversation.figures().caughtErrors.sum());
  }

  /** A stage whose inputs cannot be read is its user's, and ordered, like any other. */
  @Test
  void aStageIsKnownWhateverItsInputs() throws Exception {
    start("local[1]");
    spark.setLocalProperty("spark.uwfq.user", "alice");
    assertEquals(0, new UnreadableRdd(spark.parallelize(List.of(1), 1).rdd()).count());
    conversation.await("jobEnd", 1);
    assertEquals("alice", conversation.<JobFacts>all("job").get(0).user());
    StageFacts stage = conversation.<StageFacts>all("stage").get(0);
    assertEquals(1, stage.taskCount());
    assertNull(stage.taskBytes());
    assertTrue(conversation.figures().caughtErrors.sum() > 0);
  }

  /** No rows, of a split whose class is broken. */
  private static final class UnreadableRdd extends RDD<Integer> {
    UnreadableRdd(RDD<Integer> parent) {
      super(parent, ClassTag$.MODULE$.apply(Integer.class));
    }

    @Override
    @SuppressWarnings("unchecked") // Scala 2.12 has it as an iterator of nothing
    public Iterator<Integer> compute(Partition split, TaskContext context) {
      return (Iterator<Integer>) (Iterator<?>) Iterator$.MODULE$.empty();
    }

    @Override
    public Partition[] getPartitions() {
      return new Partition[] {new NewHadoopPartition(id(), 0, new UnreadableSplit())};
    }
  }

  /** Hadoop makes it anew for each task. */
  public static final class UnreadableSplit extends FileSplit {
    public UnreadableSplit() {
      super(new Path("f"), 0, 1, new String[0]);
    }

    @Override
    public long getLength() {
      throw new NoClassDefFoundError("broken for the test");
    }
  }

  /** A query is one job: announced before its stages, those before their tasks, and ended last. */
  @Test
  void aQueryBecomesFacts() throws Exception {
    start("local[2]");
    SparkSession session = (SparkSession) SparkSession.builder().getOrCreate();
    spark.setLocalProperty("spark.uwfq.user", "alice");
    spark.setLocalProperty("spark.uwfq.weight", "2");
    assertEquals(
        7,
        session
            .range(0, 1_000, 1, 4)
            .selectExpr("id % 7 as key")
            .groupBy("key")
            .count()
            .collectAsList()
            .size());

    List<Fact> facts = conversation.await("jobEnd", 1);
    String id = conversation.<JobFacts>all("job").get(0).jobId();
    // Spark counts executions from the start of the process, not of the application.
    assertTrue(id.matches(spark.sc().applicationId() + "/q\\d+"), id);
    List<Fact> ofJob = facts.stream().filter(fact -> fact.id().equals(id)).toList();
    assertEquals(
        ofJob.size(),
        facts.stream().filter(fact -> !fact.id().isEmpty()).count(),
        facts.toString());
    assertEquals("job", ofJob.get(0).kind());
    assertEquals("stage", ofJob.get(1).kind());
    assertEquals("jobEnd", ofJob.get(ofJob.size() - 1).kind());
    assertEquals(JobEnd.SUCCEEDED, ofJob.get(ofJob.size() - 1).content());
    JobFacts job = (JobFacts) ofJob.get(0).content();
    assertEquals("alice", job.user());
    assertEquals(2, job.weight().orElseThrow());
    int tasks =
        conversation.<StageFacts>all("stage").stream().mapToInt(StageFacts::taskCount).sum();
    assertTrue(tasks > 4, "a scan and what follows its shuffle");
    assertEquals(tasks, conversation.all("start").size());
    assertEquals(tasks, conversation.all("end").size());
    for (StageKey stage : conversation.<StageKey>all("stageEnd")) {
      List<Fact> soFar = facts.subList(0, facts.indexOf(new Fact("stageEnd", id, stage)));
      assertEquals(
          soFar.stream().filter(fact -> fact.kind().equals("start")).count(),
          soFar.stream().filter(fact -> fact.kind().equals("end")).count(),
          "no stage ends before its tasks: " + facts);
    }
    assertEquals(conversation.all("stage").size(), conversation.all("stageEnd").size());
    assertTrue(
        conversation.<TaskOutcome>all("end").stream()
            .allMatch(end -> end instanceof TaskOutcome.Success));
    assertEquals(2, conversation.<Integer>all("slots").get(0));
  }

  /** A session that sets the query its jobs belong to has jobs of its own, and none stays open. */
  @Test
  void aQueryThatIsNotThereIsNotWaitedFor() throws Exception {
    start("local[2]");
    SparkSession session = ((SparkSession) SparkSession.builder().getOrCreate()).newSession();
    session.conf().set("spark.sql.execution.root.id", "1000000");
    session.range(0, 10, 1, 2).groupBy("id").count().collectAsList();
    spark.sc().listenerBus().waitUntilEmpty();
    List<JobFacts> jobs = conversation.all("job");
    assertFalse(jobs.isEmpty());
    assertEquals(jobs.size(), conversation.all("jobEnd").size(), jobs.toString());
    assertTrue(jobs.stream().allMatch(job -> job.jobId().matches(".*/j\\d+")), jobs.toString());
  }

  /** A failed attempt is a failure, the next one a task attempt of its own. */
  @Test
  void aFailedAttemptIsReported() throws Exception {
    start("local[1,3]");
    spark
        .parallelize(List.of(1), 1)
        .foreach(
            each -> {
              if (attempts.incrementAndGet() == 1) {
                throw new IllegalStateException("broken for the test");
              }
            });
    conversation.await("jobEnd", 1);
    List<TaskOutcome> ends = conversation.all("end");
    TaskOutcome.Failure failure = assertInstanceOf(TaskOutcome.Failure.class, ends.get(0));
    assertTrue(failure.message().contains("broken for the test"), failure.message());
    assertInstanceOf(TaskOutcome.Success.class, ends.get(1));
    assertEquals(2, ends.size());
  }

  /** A wrong setting stops the start, and the error names it. */
  @Test
  void wrongSettingsStopTheStart() {
    for (Map.Entry<String, String> wrong :
        Map.of(
                "spark.uwfq.target",
                "nowhere",
                "spark.uwfq.gate",
                "maybe",
                "spark.uwfq.partitioning.maxTasks",
                "0",
                "spark.uwfq.tarrget",
                "x:1",
                "spark.uwfq.tls.ca",
                "/no/such/file")
            .entrySet()) {
      SparkConf conf = conf("local[1]").set(wrong.getKey(), wrong.getValue());
      Exception error = assertThrows(Exception.class, () -> new JavaSparkContext(conf).stop());
      assertTrue(error.toString().contains(wrong.getKey()), error.toString());
    }
  }

  /** Each figure is a gauge, and has a value from the beginning. */
  @Test
  void figuresAreGauges() {
    MetricRegistry registry = new MetricRegistry();
    Users users = new Users(List.of(), "", "nobody");
    BridgeMetrics.register(
        registry,
        conversation,
        new JobTracker("app", conversation, users, OptionalDouble.empty(), id -> true, id -> null));
    assertEquals(21, registry.getGauges().size());
    for (Map.Entry<String, Gauge> gauge : registry.getGauges().entrySet()) {
      assertNotNull(gauge.getValue().getValue(), gauge.getKey());
    }
    assertEquals(-1.0, registry.getGauges().get("standings.ageSeconds").getValue());
  }

  private static SparkConf conf(String master) {
    return new SparkConf()
        .setMaster(master)
        .setAppName("test")
        .set("spark.plugins", Plugin.class.getName())
        .set("spark.uwfq.target", "localhost:1");
  }

  private void start(String master) {
    spark = new JavaSparkContext(conf(master));
  }

  private void takeTheSlot() throws InterruptedException {
    jobs.add(
        threads.submit(
            () ->
                spark
                    .parallelize(List.of(1), 1)
                    .foreach(
                        each -> {
                          slotIsTaken.countDown();
                          slotIsFree.await();
                        })));
    slotIsTaken.await();
  }

  private void freeTheSlot() throws Exception {
    slotIsFree.countDown();
    finish();
  }

  private void finish() throws Exception {
    for (Future<?> job : jobs) {
      job.get();
    }
  }

  /** A job whose tasks say whose they are when they run. */
  private Future<?> submit(String user, int tasks, String pool) {
    Future<?> job =
        threads.submit(
            () -> {
              spark.setLocalProperty("spark.uwfq.user", user);
              spark.setLocalProperty(POOL, pool);
              spark
                  .parallelize(Collections.nCopies(tasks, user), tasks)
                  .foreach(each -> launched.add(each));
            });
    jobs.add(job);
    return job;
  }

  /** From now on the service ranks the users so. */
  private void rank(List<String> users) {
    Map<String, String> userByJob = new HashMap<>();
    for (JobFacts job : conversation.<JobFacts>all("job")) {
      userByJob.put(job.jobId(), job.user());
    }
    Map<StageKey, Integer> ranks = new HashMap<>();
    for (StageFacts stage : conversation.<StageFacts>all("stage")) {
      int rank = users.indexOf(userByJob.get(stage.key().jobId()));
      if (rank >= 0) {
        ranks.put(stage.key(), rank);
      }
    }
    Standings standings = new Standings(1, ranks, Map.of(), Map.of(), System.nanoTime(), true);
    conversation.show(() -> standings);
  }
}
