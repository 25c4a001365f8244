package io.uwfq.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.spark.Bridge;
import io.uwfq.spark.PartitioningSettings;
import io.uwfq.spark.conversation.SplitQuestion;
import io.uwfq.spark.conversation.StageKind;
import java.io.File;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** File scans have the number of tasks that the service asks for. */
class ScanTest extends LocalSpark {
  private static final int ROWS = 60_000;

  @BeforeAll
  static void writeTables() {
    Dataset<Row> rows =
        spark
            .range(0, ROWS, 1, 4)
            .selectExpr("id", "id % 7 AS k", "uuid() AS text", "id % 3 AS day");
    // Small row groups, so that there is something to split at.
    rows.write().option("parquet.block.size", 16 * 1024).parquet(path("flat"));
    rows.write().format("avro").save(path("blocks"));
    rows.coalesce(1).write().partitionBy("day").parquet(path("days"));
    rows.limit(1000).coalesce(1).write().option("compression", "gzip").csv(path("gz"));
    rows.limit(1000).write().option("encoding", "UTF-16").csv(path("wide"));
    rows.limit(1000).write().csv(path("csv"));
    rows.limit(1000).write().bucketBy(3, "id").mode(SaveMode.Overwrite).saveAsTable("buckets");
  }

  private static Dataset<Row> flat() {
    return spark.read().parquet(path("flat"));
  }

  private static int tasksOf(Dataset<Row> query) {
    return query.select("id").rdd().getNumPartitions();
  }

  private static void assertNear(int asked, int tasks) {
    assertTrue(Math.abs(tasks - asked) <= Math.max(1, asked / 8), asked + " asked, got " + tasks);
  }

  @Test
  void scanHasAsManyTasksAsAsked() {
    for (String adaptive : new String[] {"true", "false"}) {
      with(
          "spark.sql.adaptive.enabled",
          adaptive,
          () -> {
            for (int asked : new int[] {73, 37, 16, 8, 4, 1}) {
              service.answer(asked);
              int tasks = tasksOf(flat());
              System.out.printf("AQE %s: asked %d, got %d%n", adaptive, asked, tasks);
              assertNear(asked, tasks);
            }
          });
    }
    assertEquals(0, service.figures().planningErrors.sum());
  }

  /** Who coalesces says how many tasks and files there are; what a shuffle parts is not meant. */
  @Test
  void coalescedScansAreLeftAlone() {
    service.answer(1);
    withAllKindsOfPlans(
        () -> {
          service.questions.clear();
          assertEquals(2, tasksOf(flat().where("id > 5").coalesce(2)));
          assertEquals(List.of(), service.questions);
          flat().groupBy("k").count().coalesce(2).collect();
          assertFalse(service.questions.isEmpty());
        });
  }

  /** A scan lists files to know what to ask: with nobody to ask, it does not. */
  @Test
  void whenNobodyAnswersNothingIsListed() {
    service.away();
    tasksOf(flat());
    assertEquals(0, service.questions.size());
    assertEquals(1, service.figures().splitTimeouts.sum());
  }

  @Test
  void avroIsCutAtItsBlocks() {
    Dataset<Row> blocks = spark.read().format("avro").load(path("blocks"));
    for (int asked : new int[] {16, 4}) {
      service.answer(asked);
      assertNear(asked, tasksOf(blocks));
    }
    assertEquals(ROWS, blocks.select("id").distinct().count());
  }

  @Test
  void threadsOfOneSessionDoNotDisturbEachOther() throws Exception {
    // Each thread has a question of its own, by the columns that it filters on.
    Map<String, Integer> askedByFilter = Map.of("id >= 0", 37, "k >= 0", 16, "text >= ''", 4);
    Map<String, Integer> askedBySignature = new ConcurrentHashMap<>();
    for (String filter : askedByFilter.keySet()) {
      service.answer(
          question -> {
            askedBySignature.put(question.signature(), askedByFilter.get(filter));
            return OptionalInt.empty();
          });
      tasksOf(flat().where(filter));
    }
    service.answer(question -> OptionalInt.of(askedBySignature.get(question.signature())));
    ExecutorService threads = Executors.newFixedThreadPool(3);
    try {
      for (int round = 0; round < 5; round++) {
        List<Callable<int[]>> queries = new ArrayList<>();
        askedByFilter.forEach(
            (filter, asked) -> queries.add(() -> new int[] {asked, tasksOf(flat().where(filter))}));
        for (Future<int[]> result : threads.invokeAll(queries)) {
          assertNear(result.get()[0], result.get()[1]);
        }
      }
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void questionTellsUserKindAndBytes() {
    service.answer(5);
    flat().count();
    SplitQuestion question = service.questions.get(0);
    assertEquals("alice", question.user());
    assertEquals(StageKind.SCAN, question.kind());
    assertTrue(question.signature().startsWith("sql1-"), question.signature());
    assertEquals(bytesUnder("flat"), question.inputBytes());
  }

  private static long bytesUnder(String table) {
    return filesUnder(new File(path(table)))
        .filter(file -> !file.getName().startsWith("_") && !file.getName().startsWith("."))
        .mapToLong(File::length)
        .sum();
  }

  private static Stream<File> filesUnder(File file) {
    return file.isDirectory()
        ? Stream.of(file.listFiles()).flatMap(ScanTest::filesUnder)
        : Stream.of(file);
  }

  @Test
  void prunedPartitionsAreNotCounted() {
    service.answer(5);
    spark.read().parquet(path("days")).where("day = 1").count();
    assertEquals(bytesUnder("days/day=1"), service.questions.get(0).inputBytes());
  }

  @Test
  void dynamicPruningStillPrunes() {
    service.answer(5);
    spark.read().parquet(path("days")).createOrReplaceTempView("days");
    spark
        .range(3)
        .selectExpr("id AS day", "id AS code")
        .write()
        .mode("overwrite")
        .parquet(path("codes"));
    spark.read().parquet(path("codes")).createOrReplaceTempView("codes");
    Dataset<Row> query = sql("SELECT days.id FROM days JOIN codes USING (day) WHERE code = 2");
    assertEquals((ROWS - 2 + 2) / 3, query.count());
    Dataset<Row> again = sql("SELECT days.id FROM days JOIN codes USING (day) WHERE code = 2");
    again.collect();
    assertTrue(again.queryExecution().executedPlan().toString().contains("dynamicpruning"));
    assertTrue(service.figures().splits.sum() > 0);
    assertEquals(0, service.figures().planningErrors.sum());
  }

  @Test
  void sameTableTwiceIsReadOnce() {
    spark.read().parquet(path("flat")).createOrReplaceTempView("flat");
    service.answer(6);
    for (String adaptive : new String[] {"true", "false"}) {
      with(
          "spark.sql.adaptive.enabled",
          adaptive,
          () ->
              with(
                  "spark.sql.autoBroadcastJoinThreshold",
                  "-1",
                  () -> {
                    Dataset<Row> query =
                        sql(
                            "WITH s AS (SELECT k, count(*) c FROM flat GROUP BY k) "
                                + "SELECT * FROM s x JOIN s y ON x.k = y.k");
                    query.collect();
                    String plan = query.queryExecution().executedPlan().toString();
                    assertTrue(plan.contains("ReusedExchange"), plan);
                  }));
    }
  }

  @Test
  void cachedTableIsFound() {
    service.answer(9);
    Dataset<Row> cached = flat().where("k = 1").cache();
    try {
      cached.count();
      int questions = service.questions.size();
      Dataset<Row> query = flat().where("k = 1").selectExpr("id + 1");
      query.collect();
      assertTrue(query.queryExecution().optimizedPlan().toString().contains("InMemoryRelation"));
      assertEquals(questions, service.questions.size(), "a cached table is not cut again");
    } finally {
      cached.unpersist(true);
    }
  }

  @Test
  void laterSettingsOfTheSessionAreHonoured() {
    service.answer(40);
    assertNear(40, tasksOf(flat()));
    with(
        "spark.sql.files.maxPartitionNum",
        "3",
        () -> assertTrue(tasksOf(flat()) <= 4, "the user's own limit on the number of tasks"));
    assertNear(40, tasksOf(flat()));
  }

  @Test
  void sessionsAreSharedBetweenQueries() {
    service.answer(20);
    tasksOf(flat());
    int clones = SessionClones.size();
    for (int i = 0; i < 5; i++) {
      tasksOf(flat());
    }
    assertEquals(clones, SessionClones.size());
  }

  @Test
  void whatCannotBeCutIsNotAskedAbout() throws Exception {
    service.answer(5);
    spark.read().csv(path("gz")).count();
    spark.read().option("multiLine", true).csv(path("csv")).count();
    spark.read().option("encoding", "UTF-16").csv(path("wide")).count();
    spark.table("buckets").groupBy("id").count().collect();
    spark
        .readStream()
        .schema("id BIGINT")
        .parquet(path("flat"))
        .writeStream()
        .format("noop")
        .option("checkpointLocation", path("checkpoint"))
        .trigger(org.apache.spark.sql.streaming.Trigger.AvailableNow())
        .start()
        .awaitTermination();
    assertEquals(List.of(), scanQuestions());
    spark.read().schema("id BIGINT").csv(path("csv")).count();
    assertEquals(1, scanQuestions().size(), "plain text is");
  }

  private List<SplitQuestion> scanQuestions() {
    return service.questions.stream().filter(q -> q.kind() == StageKind.SCAN).toList();
  }

  @Test
  void answersAreKeptWithinBounds() {
    long bytes = bytesUnder("flat");
    install(
        new PartitioningSettings(
            true, true, true, Duration.ofSeconds(9), bytes / 20, bytes / 5, 15));
    service.answer(Integer.MAX_VALUE);
    assertNear(15, tasksOf(flat()));
    service.answer(Integer.MIN_VALUE);
    assertNear(5, tasksOf(flat()));
  }

  @Test
  void smallTablesAreNotAskedAbout() {
    install(PartitioningSettings.DEFAULTS);
    spark.read().csv(path("csv")).count();
    assertEquals(List.of(), service.questions);
  }

  @Test
  void noAnswerLeavesThePlanAlone() {
    service.answer(question -> OptionalInt.empty());
    int tasks = tasksOf(flat());
    with("spark.uwfq.partitioning.enabled", "false", () -> assertEquals(tasks, tasksOf(flat())));
    with("spark.uwfq.partitioning.scans", "false", () -> assertEquals(tasks, tasksOf(flat())));
    assertEquals(1, service.questions.size(), "switched off, nothing is asked");
    assertEquals(1, service.figures().splitTimeouts.sum());
  }

  @Test
  void sessionsWrongSettingIsNoError() {
    service.answer(30);
    with("spark.uwfq.partitioning.enabled", "maybe", () -> assertNear(30, tasksOf(flat())));
  }

  @Test
  void errorsLeaveThePlanAloneAndAreCounted() {
    service.answer(
        question -> {
          throw new IllegalStateException("no answer of this kind");
        });
    assertEquals(ROWS, flat().collectAsList().size());
    assertEquals(1, service.figures().planningErrors.sum());
  }

  @Test
  void withoutAPluginNothingHappens() {
    int before = tasksOf(flat());
    service.answer(50);
    assertNotEquals(before, tasksOf(flat()));
    Bridge.current().ifPresent(Bridge::uninstall);
    int questions = service.questions.size();
    assertEquals(before, tasksOf(flat()));
    assertEquals(questions, service.questions.size());
  }
}
