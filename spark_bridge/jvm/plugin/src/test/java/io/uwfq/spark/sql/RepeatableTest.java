package io.uwfq.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Constructor;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.expressions.Literal;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import scala.Option;

/** Queries whose rows depend on how they are cut stay as Spark cuts them. */
class RepeatableTest extends LocalSpark {

  @BeforeAll
  static void writeTable() {
    spark
        .range(0, 20_000)
        .selectExpr("id", "id % 50 AS k")
        .write()
        .option("parquet.block.size", 16 * 1024)
        .parquet(path("t"));
  }

  @BeforeEach
  void readTable() {
    spark.read().parquet(path("t")).createOrReplaceTempView("t");
    service.answer(13);
  }

  @Test
  void placesOfRowsAreLeftAlone() {
    for (String query :
        List.of(
            "SELECT id, rand(7) AS r FROM t",
            "SELECT spark_partition_id(), count(*) FROM t GROUP BY 1",
            "SELECT monotonically_increasing_id(), id FROM t",
            "SELECT input_file_block_start(), id FROM t",
            "SELECT _metadata.file_block_start, id FROM parquet.`" + path("t") + "`",
            "SELECT first(id) FROM t GROUP BY k",
            "SELECT collect_list(id) FROM t GROUP BY k",
            "SELECT percentile_approx(id, 0.5) FROM t",
            "SELECT k, approx_percentile(id, array(0.1, 0.9), 100) FROM t GROUP BY k",
            "SELECT histogram_numeric(id, 5) FROM t",
            "SELECT id FROM t WHERE id > (SELECT max(id) FROM t WHERE rand(3) < 0.5)",
            "SELECT * FROM t TABLESAMPLE (5 PERCENT) REPEATABLE (3)",
            "SELECT k, count(*) FROM (SELECT * FROM t LIMIT 500) GROUP BY k")) {
      sql(query).collect();
      assertEquals(List.of(), service.questions, query);
    }
  }

  @Test
  void othersAreCut() {
    for (String query :
        List.of(
            "SELECT id FROM t ORDER BY id LIMIT 10",
            "SELECT k, count(*) FROM t GROUP BY k",
            "SELECT percentile(id, 0.5), approx_count_distinct(k) FROM t",
            "SELECT id + 1 FROM (SELECT * FROM t ORDER BY id LIMIT 10)")) {
      service.questions.clear();
      sql(query).collect();
      assertFalse(service.questions.isEmpty(), query);
    }
  }

  @Test
  void functionsWithABarrierAreLeftAlone() throws ReflectiveOperationException {
    LogicalPlan rows = sql("SELECT id FROM t").queryExecution().optimizedPlan();
    int found = 0;
    for (String name : List.of("MapInPandas", "MapInArrow", "PythonMapInArrow")) {
      Class<?> type;
      try {
        type = Class.forName("org.apache.spark.sql.catalyst.plans.logical." + name);
      } catch (ClassNotFoundException e) {
        continue; // of another line
      }
      found++;
      for (boolean barrier : List.of(true, false)) {
        Constructor<?> constructor = type.getConstructors()[0];
        Object[] arguments = {Literal.TrueLiteral(), rows.output(), rows, barrier, Option.empty()};
        Object map =
            constructor.newInstance(Arrays.copyOf(arguments, constructor.getParameterCount()));
        assertEquals(!barrier, Repeatable.is((LogicalPlan) map), name);
      }
    }
    assertEquals(2, found);
  }

  @Test
  void aCachedTableIsAsRepeatableAsTheQueryThatFilledIt() {
    withAllKindsOfPlans(
        () -> {
          assertTrue(isRepeatable("SELECT * FROM t"));
          assertTrue(isRepeatable("SELECT id + 1 AS k FROM t WHERE k > 3"));
          assertTrue(isRepeatable("SELECT k, max(id) FROM t GROUP BY k"));
          assertTrue(isRepeatable("SELECT k FROM t ORDER BY id LIMIT 10"));
          assertFalse(isRepeatable("SELECT k, rand(7) FROM t"));
          assertFalse(isRepeatable("SELECT k, first(id) FROM t GROUP BY k"));
          assertFalse(isRepeatable("SELECT k FROM t LIMIT 10"));
        });
  }

  /** Whether it is that over this query, cached, and over another that reads it and is cached. */
  private static boolean isRepeatable(String query) {
    Dataset<Row> cached = sql(query).cache();
    Dataset<Row> over = cached.groupBy("k").count().cache();
    try {
      boolean repeatable = isRepeatable(cached.groupBy("k").count().where("k > 3"));
      assertEquals(repeatable, isRepeatable(over.where("count > 3")), query);
      return repeatable;
    } finally {
      over.unpersist(true);
      cached.unpersist(true);
    }
  }

  private static boolean isRepeatable(Dataset<Row> query) {
    LogicalPlan plan = query.queryExecution().optimizedPlan();
    assertTrue(plan.toString().contains("InMemoryRelation"), plan.toString());
    return Repeatable.is(plan);
  }

  @Test
  void shufflesOverACachedTableAreCut() {
    withAndWithoutCodegen(
        () -> {
          Dataset<Row> cached = sql("SELECT k, id FROM t WHERE id > 5").cache();
          try {
            cached.count();
            service.questions.clear();
            cached.groupBy("k").count().collect();
            assertFalse(service.questions.isEmpty());
          } finally {
            cached.unpersist(true);
          }
        });
  }

  @Test
  void randomSplitsDoNotOverlap() {
    Random random = new Random(1);
    service.answer(question -> OptionalInt.of(1 + random.nextInt(40)));
    Dataset<Row>[] parts =
        sql("SELECT k, max(id) AS id FROM t GROUP BY k, id % 7")
            .randomSplit(new double[] {1, 1, 1}, 5);
    long all = sql("SELECT k FROM t GROUP BY k, id % 7").count();
    assertEquals(all, parts[0].count() + parts[1].count() + parts[2].count());
    assertEquals(all, parts[0].union(parts[1]).union(parts[2]).distinct().count());
  }
}
