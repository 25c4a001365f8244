package io.uwfq.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.spark.PartitioningSettings;
import io.uwfq.spark.conversation.SplitQuestion;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Whatever the service answers, a query gives the rows that it gives without it.
 *
 * <p>{@code -Duwfq.queries=500 -Duwfq.seed=7} tries more, or the same again.
 */
class SameRowsTest extends LocalSpark {
  private static final int QUERIES = Integer.getInteger("uwfq.queries", 12);
  private static final long SEED = Long.getLong("uwfq.seed", 20260101);

  private static final List<String> TABLES =
      List.of(
          "plain",
          "plain",
          "days",
          "days",
          "text_csv",
          "text_json",
          "stripes",
          "blocks",
          "zipped",
          "buckets");

  private static final int[] HOSTILE_ANSWERS = {
    Integer.MIN_VALUE, 0, 1, 2, 3, 5, 7, 13, 40, 1000, Integer.MAX_VALUE
  };

  private final AtomicInteger throwsOfService = new AtomicInteger();

  @BeforeAll
  static void writeTables() {
    Dataset<Row> rows =
        spark
            .range(0, 2000, 1, 3)
            .selectExpr(
                "if(id % 97 = 0, null, id % 1200) AS id",
                "CAST(if(id % 11 = 0, null, abs(xxhash64(id)) % 20) AS int) AS k",
                "if(id % 13 = 0, null, string(abs(xxhash64(id, 1)) % 300)) AS s",
                "abs(xxhash64(id, 2)) % 1000 AS v");
    rows.write().option("parquet.block.size", 4096).parquet(path("plain"));
    rows.write().partitionBy("k").parquet(path("days"));
    rows.write().option("header", true).csv(path("text_csv"));
    rows.write().json(path("text_json"));
    rows.repartition(5).write().option("orc.stripe.size", 4096).orc(path("stripes"));
    rows.write().format("avro").save(path("blocks"));
    rows.write().option("compression", "gzip").csv(path("zipped"));
    rows.write().bucketBy(4, "id").sortBy("id").mode(SaveMode.Overwrite).saveAsTable("buckets");
    String schema = "id BIGINT, k INT, s STRING, v BIGINT";
    spark.read().parquet(path("plain")).createOrReplaceTempView("plain");
    spark.read().schema(schema).parquet(path("days")).createOrReplaceTempView("days");
    spark
        .read()
        .schema(schema)
        .option("header", true)
        .csv(path("text_csv"))
        .createOrReplaceTempView("text_csv");
    spark.read().schema(schema).json(path("text_json")).createOrReplaceTempView("text_json");
    spark.read().orc(path("stripes")).createOrReplaceTempView("stripes");
    spark.read().format("avro").load(path("blocks")).createOrReplaceTempView("blocks");
    spark.read().schema(schema).csv(path("zipped")).createOrReplaceTempView("zipped");
  }

  @Test
  void rowsAreTheSameWithAndWithout() {
    System.out.printf("%d queries from seed %d%n", QUERIES, SEED);
    install(new PartitioningSettings(true, true, true, Duration.ofSeconds(30), 1, 1L << 40, 20));
    spark.conf().set("spark.sql.shuffle.partitions", "6");
    for (int i = 0; i < QUERIES; i++) {
      long seed = SEED + i;
      Random random = new Random(seed);
      service.answer(question -> hostileAnswer(random, question));
      String query = new RandomQueries(random, TABLES).query();
      int way = random.nextInt(6);
      setSession(random);
      String say = "seed " + seed + ": " + query;
      spark.conf().set("spark.uwfq.partitioning.enabled", "false");
      List<String> expected = rowsOf(query, way);
      spark.conf().set("spark.uwfq.partitioning.enabled", "true");
      assertEquals(expected, rowsOf(query, way), say);
    }
    long splits = service.figures().splits.sum();
    System.out.printf("%d questions, %d splits%n", service.questions.size(), splits);
    assertTrue(splits > QUERIES / 2, "the rules were hardly at work: " + splits);
    assertEquals(throwsOfService.get(), service.figures().planningErrors.sum());
  }

  private OptionalInt hostileAnswer(Random random, SplitQuestion question) {
    int choice;
    synchronized (random) {
      choice = random.nextInt(HOSTILE_ANSWERS.length + 3);
    }
    if (choice == HOSTILE_ANSWERS.length) {
      throwsOfService.incrementAndGet();
      throw new IllegalStateException("the service's answer to " + question + " is nonsense");
    }
    return choice > HOSTILE_ANSWERS.length
        ? OptionalInt.empty()
        : OptionalInt.of(HOSTILE_ANSWERS[choice]);
  }

  private static void setSession(Random random) {
    spark.conf().set("spark.sql.adaptive.enabled", random.nextInt(4) > 0);
    spark.conf().set("spark.sql.autoBroadcastJoinThreshold", random.nextBoolean() ? "-1" : "10m");
    spark
        .conf()
        .set(
            "spark.sql.adaptive.advisoryPartitionSizeInBytes", random.nextBoolean() ? "4k" : "64m");
    spark
        .conf()
        .set(
            "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes",
            random.nextBoolean() ? "2k" : "256m");
    spark
        .conf()
        .set("spark.sql.adaptive.coalescePartitions.parallelismFirst", random.nextBoolean());
  }

  /** The rows as a multiset: sorted texts. */
  private static List<String> rowsOf(String query, int way) {
    Dataset<Row> rows = sql(query);
    return switch (way) {
      case 0 -> {
        rows.write().mode(SaveMode.Overwrite).parquet(path("written"));
        yield sorted(spark.read().parquet(path("written")));
      }
      case 1 -> {
        rows.cache();
        try {
          List<String> both = new ArrayList<>(sorted(rows));
          both.addAll(sorted(rows.groupBy("k").count()));
          yield both;
        } finally {
          rows.unpersist(true);
        }
      }
      case 2 -> {
        sql("DROP TABLE IF EXISTS made");
        sql(
            "CREATE TABLE made USING parquet PARTITIONED BY (k) AS SELECT id, s, v, k FROM ("
                + query
                + ")");
        yield sorted(sql("SELECT id, k, s, v FROM made"));
      }
      default -> sorted(rows);
    };
  }

  private static List<String> sorted(Dataset<Row> rows) {
    return rows.collectAsList().stream().map(Row::toString).sorted().toList();
  }
}
