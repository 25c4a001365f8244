package io.uwfq.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.spark.conversation.SplitQuestion;
import io.uwfq.spark.conversation.StageKind;
import java.util.List;
import java.util.OptionalInt;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Stages that read shuffles have the number of tasks that the service asks for. */
class ShuffleTest extends LocalSpark {

  @BeforeAll
  static void writeTables() {
    spark.range(0, 50_000).selectExpr("id", "id % 5000 AS k").write().parquet(path("facts"));
    spark.range(0, 5_000).selectExpr("id AS k", "uuid() AS name").write().parquet(path("names"));
  }

  @BeforeEach
  void readTables() {
    spark.read().parquet(path("facts")).createOrReplaceTempView("facts");
    spark.read().parquet(path("names")).createOrReplaceTempView("names");
  }

  /** Answers this for shuffles, nothing for scans. */
  private void answerShuffles(int taskCount) {
    service.answer(
        question ->
            question.kind() == StageKind.SHUFFLE ? OptionalInt.of(taskCount) : OptionalInt.empty());
  }

  private List<SplitQuestion> shuffleQuestions() {
    return service.questions.stream().filter(q -> q.kind() == StageKind.SHUFFLE).toList();
  }

  @Test
  void aggregationHasAsManyTasksAsAsked() {
    for (int asked : new int[] {16, 8, 4, 3, 1}) {
      answerShuffles(asked);
      int tasks = tasksOfLastStage(sql("SELECT k, count(*) FROM facts GROUP BY k"));
      System.out.printf("aggregation: asked %d, got %d%n", asked, tasks);
      assertTrue(tasks <= asked && tasks >= asked * 3 / 4, asked + " asked, got " + tasks);
    }
  }

  @Test
  void joinsFollowToo() {
    with(
        "spark.sql.autoBroadcastJoinThreshold",
        "-1",
        () -> {
          for (int asked : new int[] {16, 5, 2}) {
            answerShuffles(asked);
            int tasks = tasksOfLastStage(sql("SELECT * FROM facts JOIN names USING (k)"));
            System.out.printf("join: asked %d, got %d%n", asked, tasks);
            assertTrue(tasks <= asked && tasks >= asked * 3 / 4, asked + " asked, got " + tasks);
          }
        });
    assertEquals(0, service.figures().planningErrors.sum());
  }

  @Test
  void whatTheUserAskedForIsKept() {
    answerShuffles(2);
    assertEquals(7, tasksOfLastStage(sql("SELECT * FROM facts").repartition(7)));
    assertEquals(
        9,
        tasksOfLastStage(
            sql("SELECT * FROM facts").repartition(9, new org.apache.spark.sql.Column("k"))));
    sql("SELECT /*+ REBALANCE(k) */ * FROM facts").collect();
    sql("SELECT /*+ REPARTITION(k) */ * FROM facts").collect();
    assertEquals(List.of(), shuffleQuestions());
  }

  /** Who coalesces says how many tasks and files there are. */
  @Test
  void shufflesBelowACoalesceAreLeftAlone() {
    answerShuffles(1);
    with(
        "spark.sql.adaptive.coalescePartitions.minPartitionSize",
        "1k",
        () -> {
          assertEquals(
              2, tasksOfLastStage(sql("SELECT k, count(*) FROM facts GROUP BY k").coalesce(2)));
          assertEquals(List.of(), shuffleQuestions());
        });
  }

  @Test
  void skewJoinStaysAsSparkMadeIt() {
    spark
        .range(0, 60_000)
        .selectExpr("if(id < 50000, 1, id) AS k", "uuid() AS text")
        .createOrReplaceTempView("skewed");
    answerShuffles(2);
    with(
        "spark.sql.autoBroadcastJoinThreshold",
        "-1",
        () ->
            with(
                "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes",
                "50k",
                () ->
                    with(
                        "spark.sql.adaptive.advisoryPartitionSizeInBytes",
                        "100k",
                        () -> {
                          Dataset<Row> query = sql("SELECT * FROM skewed JOIN names USING (k)");
                          query.collect();
                          String plan = query.queryExecution().executedPlan().toString();
                          assertTrue(plan.contains("skew=true"), plan);
                        })));
    assertEquals(List.of(), shuffleQuestions());
  }

  @Test
  void localReadsStayAsSparkMadeThem() {
    answerShuffles(2);
    // Planned as a sort merge join; the small side turns out to be small.
    with(
        "spark.sql.adaptive.autoBroadcastJoinThreshold",
        "10m",
        () ->
            with(
                "spark.sql.autoBroadcastJoinThreshold",
                "-1",
                () -> {
                  Dataset<Row> query =
                      sql("SELECT * FROM facts JOIN names USING (k) WHERE name < '1'");
                  query.collect();
                  String plan = query.queryExecution().executedPlan().toString();
                  assertTrue(plan.contains("AQEShuffleRead local"), plan);
                }));
    assertEquals(List.of(), shuffleQuestions());
  }

  @Test
  void scanAndShuffleOfOneQueryAskUnderOneSignature() {
    service.answer(3);
    sql("SELECT k, count(*) FROM facts WHERE id > 10 GROUP BY k").collect();
    assertEquals(2, service.questions.size(), service.questions.toString());
    assertEquals(service.questions.get(0).signature(), service.questions.get(1).signature());
    assertFalse(service.questions.get(0).signature().isEmpty());
  }

  @Test
  void switchedOffNothingIsAsked() {
    service.answer(3);
    with(
        "spark.uwfq.partitioning.shuffles",
        "false",
        () -> sql("SELECT k, count(*) FROM facts GROUP BY k").collect());
    assertEquals(List.of(), shuffleQuestions());
    assertFalse(service.questions.isEmpty(), "scans go on");
  }
}
