package io.uwfq.spark.sql;

import io.uwfq.spark.Bridge;
import io.uwfq.spark.PartitioningSettings;
import io.uwfq.spark.UwfqExtensions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A real Spark in this process with the rules loaded, and a fake service behind them. */
abstract class LocalSpark {
  @TempDir static Path directory;

  /** Tables of tests are small. */
  static final PartitioningSettings SETTINGS =
      new PartitioningSettings(true, true, true, Duration.ofSeconds(30), 1, 1L << 40, 10_000);

  static SparkSession spark;

  FakeConversation service;
  private Bridge bridge;

  @BeforeAll
  static void startSpark() throws IOException {
    spark =
        (SparkSession)
            SparkSession.builder()
                .master("local[2]")
                .appName("test")
                .config("spark.sql.extensions", UwfqExtensions.class.getName())
                .config("spark.sql.shuffle.partitions", "16")
                // Compiling the code of hundreds of small queries would be most of the time.
                .config("spark.sql.codegen.wholeStage", "false")
                .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
                .config(
                    "spark.sql.warehouse.dir", Files.createTempDirectory("warehouse").toString())
                .getOrCreate();
  }

  @AfterAll
  static void stopSpark() {
    spark.stop();
  }

  @BeforeEach
  void installBridge() {
    service = new FakeConversation();
    install(SETTINGS);
  }

  @AfterEach
  void uninstallBridge() {
    Bridge.uninstall(bridge);
  }

  void install(PartitioningSettings settings) {
    bridge = new Bridge(service, settings, () -> "alice");
    Bridge.install(bridge);
  }

  /** Runs with a setting of the session, then with what it was before. */
  static void with(String key, String value, Runnable body) {
    scala.Option<String> before = spark.conf().getOption(key);
    spark.conf().set(key, value);
    try {
      body.run();
    } finally {
      if (before.isDefined()) {
        spark.conf().set(key, before.get());
      } else {
        spark.conf().unset(key);
      }
    }
  }

  /** Runs with plans as users have them, which Spark compiles, and as the other tests have them. */
  static void withAndWithoutCodegen(Runnable body) {
    with(
        "spark.sql.codegen.wholeStage",
        "true",
        () -> with("spark.sql.codegen.factoryMode", "FALLBACK", body));
    body.run();
  }

  /** Runs with each kind of plan in turn: adaptive or not, compiled or not. */
  static void withAllKindsOfPlans(Runnable body) {
    for (String adaptive : List.of("true", "false")) {
      with("spark.sql.adaptive.enabled", adaptive, () -> withAndWithoutCodegen(body));
    }
  }

  /** Runs a query; the number of tasks of the last stage that it ran. */
  static int tasksOfLastStage(Dataset<Row> query) {
    int[] last = {-1, 0};
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onStageCompleted(SparkListenerStageCompleted completed) {
            if (completed.stageInfo().stageId() > last[0]) {
              last[0] = completed.stageInfo().stageId();
              last[1] = completed.stageInfo().numTasks();
            }
          }
        };
    spark.sparkContext().addSparkListener(listener);
    query.collect();
    waitForListeners();
    spark.sparkContext().removeSparkListener(listener);
    return last[1];
  }

  /** Returns when all that has happened so far is known to all listeners. */
  static void waitForListeners() {
    try {
      spark.sparkContext().listenerBus().waitUntilEmpty();
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }

  static Dataset<Row> sql(String text) {
    return spark.sql(text);
  }

  static String path(String name) {
    return directory.resolve(name).toString();
  }
}
