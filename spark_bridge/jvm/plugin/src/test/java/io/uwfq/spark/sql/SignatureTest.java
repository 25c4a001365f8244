package io.uwfq.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.api.java.function.VoidFunction2;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SQLContext;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.sources.BaseRelation;
import org.apache.spark.sql.sources.RelationProvider;
import org.apache.spark.sql.streaming.StreamingQuery;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;

/** A query keeps its name from run to run, and no two queries share one. */
class SignatureTest extends SignatureFixture {

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
        service.questions.clear();
        List<String> learned = learned(query);
        List<String> asked =
            service.questions.stream()
                .map(q -> q.signature())
                .distinct()
                .collect(Collectors.toList());
        assertEquals(1, asked.size(), service.questions.toString());
        assertEquals(asked, learned);
        assertTrue(asked.get(0).startsWith("sql1-"));
      }
    } finally {
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

  /** A source of somebody's, of which Spark knows the columns alone. */
  public static final class Source implements RelationProvider {
    @Override
    public BaseRelation createRelation(
        SQLContext context, scala.collection.immutable.Map<String, String> options) {
      return new BaseRelation() {
        @Override
        public SQLContext sqlContext() {
          return context;
        }

        @Override
        public StructType schema() {
          return StructType.fromDDL(options.apply("columns"));
        }
      };
    }
  }

  private static String signatureOfSource(String columns) {
    return PlanSignature.of(
        plan(spark.read().format(Source.class.getName()).option("columns", columns).load()));
  }

  @Test
  void whatOtherSourcesReadIsToldApartByItsColumns() {
    assertEquals(signatureOfSource("id long, k int"), signatureOfSource("id long, k int"));
    assertNotEquals(signatureOfSource("id long, k int"), signatureOfSource("id long, s string"));
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
