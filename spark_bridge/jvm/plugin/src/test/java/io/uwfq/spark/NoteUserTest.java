package io.uwfq.spark;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.uwfq.spark.conversation.Settings.UserSource;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Whose the jobs of a Connect server are. Like the server, a test runs each operation on a thread
 * that Spark's own tag is set on, in a session whose client can set anything.
 */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
class NoteUserTest {
  private static final String UUID = "4f8e9b1c-0a2d-4c55-9d7e-000000000001";
  private static final String QUESTION = "SELECT id % 3 AS k, count(*) FROM range(30) GROUP BY 1";

  private static SparkContext context;
  private static SparkSession spark;

  private final Users users =
      new Users(List.of(UserSource.CONNECT, UserSource.PROPERTY), "", "nobody");
  private SparkSession session;

  @BeforeAll
  static void startSpark() {
    spark =
        (SparkSession)
            SparkSession.builder()
                .master("local[2]")
                .appName("test")
                .config("spark.sql.extensions", UwfqExtensions.class.getName())
                .config("spark.sql.shuffle.partitions", "2")
                .getOrCreate();
    context = spark.sparkContext();
  }

  @AfterAll
  static void stopSpark() {
    spark.stop();
  }

  @BeforeEach
  void openSession() {
    session = (SparkSession) spark.newSession();
  }

  /** A client that has set the tag of another, or none that anybody can read, is who it was. */
  @Test
  void noSettingMakesSomebodyElse() throws Exception {
    assertEquals(Set.of("alice"), usersOf("alice", () -> session.sql(QUESTION).collectAsList()));
    for (String forged : List.of(tag("bob"), "unreadable")) {
      session.conf().set("spark.job.tags", forged);
      session.conf().set("spark.uwfq.user", "bob");
      assertEquals(Set.of("alice"), usersOf("alice", () -> session.sql(QUESTION).collectAsList()));
    }
  }

  /** A plan that was analyzed elsewhere is nobody else's either. */
  @Test
  void aPlanThatIsKeptMakesNobodyElse() throws Exception {
    Dataset<Row> kept = on(() -> session.sql(QUESTION));
    assertEquals(Set.of("alice"), usersOf("alice", kept::collectAsList));
    session.conf().set("spark.job.tags", tag("bob"));
    session.conf().set("spark.uwfq.user", "bob");
    Dataset<Row> keptUnderIt = on(() -> session.sql(QUESTION));
    assertEquals(Set.of("nobody"), usersOf("alice", keptUnderIt::collectAsList));
  }

  /** Where no Connect server runs, nothing is noted, and the property counts. */
  @Test
  void withoutConnectThePropertyCounts() throws Exception {
    session.conf().set("spark.uwfq.user", "carol");
    assertEquals(Set.of("carol"), usersOf(null, () -> session.sql(QUESTION).collectAsList()));
  }

  /** What a thread says of itself holds in queries of a session that says something else, too. */
  @Test
  void noSettingHidesWhatTheThreadSays() throws Exception {
    session.conf().set("spark.uwfq.user", "carol");
    Dataset<Row> kept = on(() -> session.sql(QUESTION));
    Callable<?> asDave =
        () -> {
          context.setLocalProperty("uwfq.user", "dave");
          return List.of(session.sql(QUESTION).collectAsList(), kept.collectAsList());
        };
    assertEquals(Set.of("dave"), usersOf(null, asDave));
    assertEquals(Set.of("alice"), usersOf("alice", asDave));
    assertEquals(Set.of("carol"), usersOf(null, kept::collectAsList));
  }

  /** A client that names another query as the one that its jobs belong to is seen to do so. */
  @Test
  void aRootThatIsSetIsNoted() throws Exception {
    Dataset<Row> kept = on(() -> session.sql(QUESTION));
    session.conf().set("spark.sql.execution.root.id", "7");
    for (Callable<?> operation :
        List.<Callable<?>>of(() -> session.sql(QUESTION).collectAsList(), kept::collectAsList)) {
      for (Properties job : jobsOf("eve", operation)) {
        assertEquals("7", job.getProperty("spark.sql.execution.root.id"), "hidden by the setting");
        assertEquals("7", job.getProperty("uwfq.rootIsSet"));
      }
    }
    session.conf().unset("spark.sql.execution.root.id");
    for (Properties job : jobsOf("eve", () -> session.sql(QUESTION).collectAsList())) {
      assertNull(job.getProperty("uwfq.rootIsSet"));
    }
  }

  /** Here without a Spark to note it in: the query goes on. */
  @Test
  void whatBreaksIsKeptFromTheQuery() {
    assertDoesNotThrow(new NoteUser(null)::take);
  }

  /** Those that the jobs of an operation count as. */
  private Set<String> usersOf(String connectUser, Callable<?> operation) throws Exception {
    Set<String> found = new TreeSet<>();
    for (Properties job : jobsOf(connectUser, operation)) {
      found.add(users.resolveNow(job).name());
    }
    return found;
  }

  /** What the jobs of an operation carry with them. */
  private static Collection<Properties> jobsOf(String connectUser, Callable<?> operation)
      throws Exception {
    ConcurrentLinkedQueue<Properties> jobs = new ConcurrentLinkedQueue<>();
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onJobStart(SparkListenerJobStart started) {
            jobs.add(started.properties());
          }
        };
    context.addSparkListener(listener);
    on(
        () -> {
          if (connectUser != null) {
            context.addJobTag(tag(connectUser));
          }
          return operation.call();
        });
    context.listenerBus().waitUntilEmpty();
    context.removeSparkListener(listener);
    assertFalse(jobs.isEmpty());
    return jobs;
  }

  /** Runs on a thread of its own, which knows of nothing that was before. */
  private static <T> T on(Callable<T> operation) throws Exception {
    ExecutorService thread = Executors.newSingleThreadExecutor();
    try {
      return thread.submit(operation).get();
    } finally {
      thread.shutdownNow();
    }
  }

  private static String tag(String user) {
    return "SparkConnect_OperationTag_User_" + user + "_Session_" + UUID + "_Operation_" + UUID;
  }
}
