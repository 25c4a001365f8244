package io.uwfq.spark.sql;

import static org.apache.spark.sql.functions.max;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.spark.conversation.JobShape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.api.java.function.VoidFunction2;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.analysis.UnresolvedRelation;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.execution.SimpleMode$;
import org.apache.spark.sql.execution.command.ExplainCommand;
import org.apache.spark.sql.streaming.StreamingQuery;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** A query keeps its name from run to run, and no two queries share one. */
class SignatureTest extends LocalSpark {

  @BeforeAll
  static void writeTables() {
    for (String table : List.of("a", "b")) {
      spark
          .range(0, 1000)
          .selectExpr(
              "id", "id % 10 AS k", "string(id) AS s", "named_struct('x', id, 'y', id) AS p")
          .write()
          .mode("overwrite")
          .parquet(path(table));
      spark.read().parquet(path(table)).createOrReplaceTempView(table);
    }
  }

  private static LogicalPlan plan(Dataset<Row> query) {
    return query.queryExecution().optimizedPlan();
  }

  private static String signature(String sql) {
    String signature = PlanSignature.of(plan(sql(sql)));
    assertTrue(signature.startsWith("sql1-"), sql);
    return signature;
  }

  @Test
  void literalsDoNotMatter() {
    List<List<String>> alike =
        List.of(
            List.of("SELECT id + 5 FROM a WHERE k = 3", "SELECT id + 6 FROM a WHERE k = 4"),
            List.of(
                "SELECT id FROM a WHERE k IN (1, 2)", "SELECT id FROM a WHERE k IN (1, 2, 3, 4)"),
            List.of(
                "SELECT id FROM a WHERE k IN (1, 2)",
                "SELECT id FROM a WHERE k IN (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15)"),
            List.of("SELECT sum(id + 1) FROM a LIMIT 5", "SELECT sum(id + 2) FROM a LIMIT 6"),
            List.of(
                "SELECT x + 1 FROM (SELECT id + 7 AS x FROM a ORDER BY s LIMIT 10)",
                "SELECT y + 2 FROM (SELECT id + 8 AS y FROM a ORDER BY s LIMIT 20)"),
            List.of(
                "SELECT id FROM a WHERE id > (SELECT avg(id) FROM b WHERE k = 1)",
                "SELECT id FROM a WHERE id > (SELECT avg(id) FROM b WHERE k = 2)"));
    for (List<String> pair : alike) {
      assertEquals(signature(pair.get(0)), signature(pair.get(1)), pair.toString());
    }
  }

  @Test
  void whatIsComputedMatters() {
    List<String> queries =
        List.of(
            "SELECT max(id) FROM a",
            "SELECT sum(id) FROM a",
            "SELECT sum(DISTINCT id) FROM a",
            "SELECT max(k) FROM a",
            "SELECT max(id) FROM b",
            "SELECT k, max(id) FROM a GROUP BY k",
            "SELECT id FROM a",
            "SELECT k FROM a",
            "SELECT id, k FROM a",
            "SELECT p.x FROM a",
            "SELECT p.y FROM a",
            "SELECT id FROM a WHERE k > 1",
            "SELECT id FROM a WHERE k < 1",
            "SELECT id FROM a WHERE id < 1",
            "SELECT id FROM a ORDER BY k",
            "SELECT id FROM a ORDER BY k DESC",
            "SELECT a.id FROM a JOIN b ON a.id = b.id",
            "SELECT a.id FROM a LEFT JOIN b ON a.id = b.id",
            "SELECT a.id FROM a JOIN b ON a.id = b.k",
            "SELECT a.id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.id = a.id)",
            "SELECT a.id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.id = a.id)",
            "SELECT id FROM a UNION ALL SELECT id FROM b",
            "SELECT id FROM a UNION ALL SELECT id FROM a",
            "SELECT rank() OVER (PARTITION BY k ORDER BY id) FROM a",
            "SELECT rank() OVER (PARTITION BY id ORDER BY k) FROM a",
            "SELECT CAST(id AS int) FROM a",
            "SELECT CAST(id AS double) FROM a");
    List<String> signatures = queries.stream().map(SignatureTest::signature).toList();
    for (int i = 0; i < queries.size(); i++) {
      for (int j = 0; j < i; j++) {
        assertNotEquals(
            signatures.get(i), signatures.get(j), queries.get(i) + " and " + queries.get(j));
      }
    }
  }

  @Test
  void signatureIsTheSameInAllVersionsOfSpark() {
    assertEquals(
        "sql1-10831e23db3a0f9b053f22b8a90dfca9",
        PlanSignature.of(
            plan(sql("SELECT id % 3 AS r, sum(id) FROM range(10) WHERE id > 4 GROUP BY r"))));
  }

  @Test
  void datesInPathsDoNotMatter() {
    assertEquals(
        RelationNames.ofPath("s3a://lake/events/day=2026-01-01/hour=3"),
        RelationNames.ofPath("s3a://lake/events/day=2026-01-02/hour=4"));
    assertEquals(
        RelationNames.ofPath("/lake/events/2026/01/31/00"),
        RelationNames.ofPath("/lake/events/2025/12/01/23"));
    assertEquals(
        RelationNames.ofPath("/lake/events/20260131.csv.gz"),
        RelationNames.ofPath("/lake/events/20250101.csv.gz"));
    assertNotEquals(RelationNames.ofPath("/lake/events_1"), RelationNames.ofPath("/lake/events_2"));
    assertNotEquals(RelationNames.ofPath("/lake/1"), RelationNames.ofPath("/lake/2"));
  }

  @Test
  void serviceIsAskedUnderTheNameThatItLearnsUnder() {
    List<JobShape> shapes = new CopyOnWriteArrayList<>();
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onJobStart(SparkListenerJobStart start) {
            String root = start.properties().getProperty("spark.sql.execution.root.id");
            shapes.add(QueryShapes.of(Long.parseLong(root)));
          }
        };
    spark.sparkContext().addSparkListener(listener);
    service.answer(3);
    try {
      List<Runnable> queries =
          List.of(
              () -> sql("SELECT k, sum(id) FROM a GROUP BY k").collect(),
              () -> sql("SELECT id FROM a WHERE id > (SELECT avg(id) FROM b)").collect(),
              () -> sql("SELECT k FROM a WHERE id IN (SELECT id FROM b WHERE k > 3)").collect(),
              () ->
                  sql("WITH t AS (SELECT k, max(id) m FROM a GROUP BY k) SELECT * FROM t x JOIN t y USING (m)")
                      .collect(),
              () ->
                  sql("SELECT k, count(*) FROM a GROUP BY k")
                      .write()
                      .mode("overwrite")
                      .parquet(path("out")),
              () ->
                  sql("CREATE TABLE made USING parquet AS SELECT k, count(*) c FROM a GROUP BY k"),
              () -> sql("SELECT a.k, count(*) FROM a JOIN b USING (id) GROUP BY a.k").collect());
      for (Runnable query : queries) {
        shapes.clear();
        service.questions.clear();
        query.run();
        waitForListeners();
        List<String> asked =
            service.questions.stream()
                .map(q -> q.signature())
                .distinct()
                .collect(Collectors.toList());
        List<String> learned = shapes.stream().map(JobShape::signature).distinct().toList();
        assertEquals(1, asked.size(), service.questions.toString());
        assertEquals(asked, learned);
        assertTrue(asked.get(0).startsWith("sql1-"));
      }
    } finally {
      spark.sparkContext().removeSparkListener(listener);
      sql("DROP TABLE IF EXISTS made");
    }
    assertEquals(0, service.figures().planningErrors.sum());
  }

  @Test
  void theMicroBatchesOfAStreamAreOneQuery() throws Exception {
    List<String> distinct = new ArrayList<>();
    for (String directory : List.of("stream", "other-stream")) {
      for (int batch = 0; batch < 3; batch++) {
        spark
            .range(batch, 9)
            .selectExpr("id", "id % 3 AS k")
            .coalesce(1)
            .write()
            .mode("append")
            .parquet(path(directory));
      }
      Dataset<Row> files =
          spark
              .readStream()
              .schema("id long, k long")
              .option("maxFilesPerTrigger", 1)
              .parquet(path(directory));
      for (Dataset<Row> query : List.of(files, files.groupBy("k").count())) {
        List<String> signatures = signaturesOfBatches(query);
        assertEquals(3, signatures.size(), signatures.toString());
        assertEquals(1, Set.copyOf(signatures).size(), signatures.toString());
        distinct.add(signatures.get(0));
      }
    }
    assertTrue(distinct.stream().allMatch(signature -> signature.startsWith("sql1-")));
    assertEquals(4, Set.copyOf(distinct).size(), distinct.toString());
  }

  private static List<String> signaturesOfBatches(Dataset<Row> query) throws Exception {
    List<String> signatures = new CopyOnWriteArrayList<>();
    VoidFunction2<Dataset<Row>, Long> note =
        (rows, batch) -> {
          long execution = QueryShapes.rootExecutionId(spark.sparkContext()).orElseThrow();
          signatures.add(QueryShapes.of(execution).signature());
        };
    StreamingQuery stream = query.writeStream().outputMode("update").foreachBatch(note).start();
    stream.processAllAvailable();
    stream.stop();
    return signatures;
  }

  @Test
  void whatACommandWritesMatters() {
    List<String> queries =
        List.of(
            "SELECT k, max(id) AS m FROM a GROUP BY k",
            "SELECT k, sum(id) AS m FROM a GROUP BY k",
            "SELECT k, max(id) AS m FROM b GROUP BY k",
            "SELECT k, max(id) AS m FROM a WHERE k > 3 GROUP BY k");
    Map<String, Consumer<String>> ways =
        Map.of(
            "saveAsTable",
            query -> sql(query).write().mode("overwrite").saveAsTable("made"),
            "append",
            query -> sql(query).write().mode("append").saveAsTable("made"),
            "insertInto",
            query -> sql(query).write().insertInto("made"),
            "INSERT",
            query -> sql("INSERT INTO made " + query),
            "CREATE TABLE",
            query -> sql("CREATE TABLE created USING parquet AS " + query),
            "CACHE TABLE",
            query -> sql("CACHE TABLE kept AS " + query),
            "files",
            query -> sql(query).write().mode("overwrite").csv(path("files")),
            "directory",
            query ->
                sql("INSERT OVERWRITE DIRECTORY '" + path("files") + "' USING parquet " + query),
            "V2",
            query -> sql(query).write().format("noop").mode("overwrite").save());
    sql("CREATE TABLE made (k LONG, m LONG) USING parquet");
    try {
      ways.forEach(
          (way, write) -> {
            List<String> found =
                queries.stream()
                    .map(
                        query -> {
                          List<String> once = learned(() -> write.accept(query));
                          sql("DROP TABLE IF EXISTS created");
                          sql("DROP VIEW IF EXISTS kept");
                          assertEquals(1, once.size(), way + ": " + query);
                          assertTrue(once.get(0).startsWith("sql1-"), way + ": " + query);
                          return once.get(0);
                        })
                    .toList();
            assertEquals(queries.size(), Set.copyOf(found).size(), way + ": " + found);
          });
    } finally {
      sql("DROP TABLE made");
    }
  }

  @Test
  void savingAsATableIsCreatingItFromItsQuery() {
    String query = "SELECT k, max(id + 7) AS m FROM a GROUP BY k";
    try {
      assertEquals(
          learned(() -> sql("CREATE TABLE created USING parquet AS " + query)),
          learned(() -> sql(query).write().saveAsTable("saved")));
    } finally {
      sql("DROP TABLE IF EXISTS created");
      sql("DROP TABLE IF EXISTS saved");
    }
  }

  @Test
  void theQueryThatACommandDoesNotShowMatters() {
    // Like SaveAsV1TableCommand in later releases of Spark 4: a query among its arguments, no
    // children of any kind.
    List<String> signatures =
        Stream.of("SELECT max(id) FROM a", "SELECT sum(id) FROM a", "SELECT max(id) FROM b")
            .map(query -> sql(query).queryExecution().analyzed())
            .map(query -> PlanSignature.of(new ExplainCommand(query, SimpleMode$.MODULE$)))
            .toList();
    assertEquals(3, Set.copyOf(signatures).size(), signatures.toString());
    LogicalPlan unresolved = new UnresolvedRelation(Scala.seq(List.of("nowhere")), null, false);
    assertTrue(
        PlanSignature.of(new ExplainCommand(unresolved, SimpleMode$.MODULE$)).startsWith("sql1-"));
  }

  @Test
  void whatACommandLooksAtMatters() {
    for (String table : List.of("one", "other")) {
      sql("CREATE TABLE " + table + " USING parquet PARTITIONED BY (k) AS SELECT id, k FROM a");
    }
    try {
      List<String> commands =
          List.of(
              "ANALYZE TABLE %s COMPUTE STATISTICS",
              "ANALYZE TABLE %s COMPUTE STATISTICS FOR ALL COLUMNS",
              "ANALYZE TABLE %s COMPUTE STATISTICS FOR COLUMNS id",
              "ANALYZE TABLE %s COMPUTE STATISTICS FOR COLUMNS id, k",
              "ANALYZE TABLE %s PARTITION (k = 3) COMPUTE STATISTICS");
      List<String> distinct = new ArrayList<>();
      for (String command : commands) {
        for (String table : List.of("one", "other")) {
          String text = command.formatted(table);
          List<String> found = learned(() -> sql(text));
          assertEquals(1, found.size(), text);
          assertEquals(found, learned(() -> sql(text)), text);
          distinct.addAll(found);
        }
      }
      assertEquals(2 * commands.size(), Set.copyOf(distinct).size(), distinct.toString());
      assertEquals(
          learned(() -> sql("ANALYZE TABLE one PARTITION (k = 3) COMPUTE STATISTICS")),
          learned(() -> sql("ANALYZE TABLE one PARTITION (k = 4) COMPUTE STATISTICS")));
    } finally {
      sql("DROP TABLE one");
      sql("DROP TABLE other");
    }
  }

  @Test
  void aCachedTableIsTheQueryThatFilledIt() {
    List<String> queries =
        List.of(
            "SELECT * FROM a",
            "SELECT * FROM b",
            "SELECT id FROM a WHERE k > 3",
            "SELECT id FROM b WHERE k > 3",
            "SELECT k, max(id) AS id FROM a GROUP BY k",
            "SELECT k, max(id) AS id FROM b GROUP BY k",
            "SELECT a.id FROM a JOIN b ON a.id = b.k",
            "SELECT a.id FROM a LEFT JOIN b ON a.id = b.k",
            "SELECT id FROM a ORDER BY id",
            "SELECT id FROM a UNION ALL SELECT id FROM b",
            "SELECT id FROM a WHERE id > (SELECT avg(id) FROM b)",
            "SELECT id FROM range(10)");
    withAllKindsOfPlans(
        () -> {
          List<String> signatures = queries.stream().map(SignatureTest::signatureOfCached).toList();
          assertEquals(queries.size(), Set.copyOf(signatures).size(), signatures.toString());
          assertEquals(signatures, queries.stream().map(SignatureTest::signatureOfCached).toList());
        });
  }

  @Test
  void literalsOfACachedTableDoNotMatter() {
    withAndWithoutCodegen(
        () -> {
          for (String query :
              List.of(
                  "SELECT id, k FROM a WHERE k > %d",
                  "SELECT max(id + %d) AS id FROM a GROUP BY k",
                  "SELECT max(id + %d) FROM a GROUP BY k",
                  "SELECT id + %d FROM range(10)",
                  "SELECT k, max(id) FROM a WHERE id IN (%1$d, 2 * %1$d) GROUP BY k")) {
            assertEquals(
                signatureOfCached(query.formatted(3)),
                signatureOfCached(query.formatted(4)),
                query);
          }
        });
  }

  @Test
  void aCachedTableKeepsItsNameWhenItIsFilled() {
    withAndWithoutCodegen(
        () -> {
          Dataset<Row> cached = sql("SELECT k, max(id) AS id FROM a GROUP BY k").cache();
          try {
            String signature = PlanSignature.of(plan(greatest(cached)));
            cached.collect();
            assertEquals(signature, PlanSignature.of(plan(greatest(cached))));
          } finally {
            cached.unpersist(true);
          }
        });
  }

  @Test
  void aCachedTableKeepsItsNameWhenACommandFillsItAnew() {
    sql("CREATE TABLE source USING parquet AS SELECT id, k FROM a");
    Dataset<Row> one = sql("SELECT k, max(id) AS id FROM source GROUP BY k").cache();
    Dataset<Row> other = sql("SELECT k, min(id) AS id FROM source GROUP BY k").cache();
    try {
      List<String> signatures =
          Stream.of(one, other).map(rows -> PlanSignature.of(plan(greatest(rows)))).toList();
      assertEquals(2, Set.copyOf(signatures).size(), signatures.toString());
      sql("SELECT id, k FROM b").write().mode("append").saveAsTable("source");
      List<String> after =
          Stream.of(one, other).map(rows -> PlanSignature.of(plan(greatest(rows)))).toList();
      assertEquals(signatures, after);
    } finally {
      one.unpersist(true);
      other.unpersist(true);
      sql("DROP TABLE source");
    }
  }

  /** The signature of a query of all columns of a cached query. */
  private static String signatureOfCached(String query) {
    Dataset<Row> cached = sql(query).cache();
    try {
      LogicalPlan plan = plan(greatest(cached));
      assertTrue(plan.toString().contains("InMemoryRelation"), query);
      String signature = PlanSignature.of(plan);
      assertTrue(signature.startsWith("sql1-"), query);
      return signature;
    } finally {
      cached.unpersist(true);
    }
  }

  private static Dataset<Row> greatest(Dataset<Row> rows) {
    return rows.selectExpr(
        Stream.of(rows.columns()).map(name -> "max(`" + name + "`)").toArray(String[]::new));
  }

  @Test
  void theRoundsOfALoopThatCachesAreOneQuery() {
    withAndWithoutCodegen(
        () -> {
          List<String> distinct = new ArrayList<>();
          for (String table : List.of("a", "b")) {
            List<Dataset<Row>> rounds = new ArrayList<>();
            rounds.add(sql("SELECT id, k FROM " + table).cache());
            List<String> signatures = new ArrayList<>();
            for (int round = 0; round < 4; round++) {
              Dataset<Row> next =
                  rounds
                      .get(round)
                      .join(sql("SELECT id FROM a"), "id")
                      .groupBy("k")
                      .agg(max("id").as("id"))
                      .cache();
              rounds.add(next);
              signatures.add(PlanSignature.of(plan(next.groupBy("k").count())));
            }
            rounds.forEach(cached -> cached.unpersist());
            assertEquals(1, Set.copyOf(signatures).size(), signatures.toString());
            distinct.add(signatures.get(0));
          }
          assertEquals(2, Set.copyOf(distinct).size(), distinct.toString());
        });
  }

  /** The names that the service learns under while this runs. */
  private static List<String> learned(Runnable query) {
    List<String> signatures = new CopyOnWriteArrayList<>();
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onJobStart(SparkListenerJobStart start) {
            String root = start.properties().getProperty("spark.sql.execution.root.id");
            signatures.add(QueryShapes.of(Long.parseLong(root)).signature());
          }
        };
    spark.sparkContext().addSparkListener(listener);
    try {
      query.run();
      waitForListeners();
    } finally {
      spark.sparkContext().removeSparkListener(listener);
    }
    return signatures.stream().distinct().toList();
  }

  @Test
  void aBigPlanHasOneSignature() {
    String sums =
        IntStream.range(0, 300)
            .mapToObj(i -> "sum(id * " + i + ") AS s" + i)
            .collect(Collectors.joining(", "));
    LogicalPlan plan = plan(sql("SELECT k, " + sums + " FROM a GROUP BY k"));
    String signature = PlanSignature.of(plan);
    List<Long> nanos = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      long started = System.nanoTime();
      String again = PlanSignature.of(plan);
      nanos.add(System.nanoTime() - started);
      assertEquals(signature, again);
    }
    nanos.sort(null);
    System.out.printf("signature of 300 sums: median %.2f ms%n", nanos.get(100) / 1e6);
  }
}
