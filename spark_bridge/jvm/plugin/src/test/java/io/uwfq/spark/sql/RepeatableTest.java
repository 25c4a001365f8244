package io.uwfq.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

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
            "SELECT id + 1 FROM (SELECT * FROM t ORDER BY id LIMIT 10)")) {
      service.questions.clear();
      sql(query).collect();
      assertFalse(service.questions.isEmpty(), query);
    }
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
