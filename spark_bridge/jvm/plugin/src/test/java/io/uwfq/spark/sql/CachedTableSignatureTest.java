package io.uwfq.spark.sql;

import static org.apache.spark.sql.functions.max;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.junit.jupiter.api.Test;

/** A cached table is the query that filled it, however that was carried out. */
class CachedTableSignatureTest extends SignatureFixture {

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
          List<String> signatures =
              queries.stream().map(CachedTableSignatureTest::signatureOfCached).toList();
          assertEquals(queries.size(), Set.copyOf(signatures).size(), signatures.toString());
          assertEquals(
              signatures,
              queries.stream().map(CachedTableSignatureTest::signatureOfCached).toList());
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
}
