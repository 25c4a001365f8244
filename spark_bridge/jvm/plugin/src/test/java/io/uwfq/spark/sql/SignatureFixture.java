package io.uwfq.spark.sql;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerEvent;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.execution.QueryExecution;
import org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd;
import org.junit.jupiter.api.BeforeAll;

/** Two tables, {@code a} and {@code b}, and the names that queries of them have. */
abstract class SignatureFixture extends LocalSpark {

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

  static LogicalPlan plan(Dataset<Row> query) {
    return query.queryExecution().optimizedPlan();
  }

  /** The names that the service learns under while this runs. */
  static List<String> learned(Runnable query) {
    List<Long> roots = new CopyOnWriteArrayList<>();
    Map<Long, QueryExecution> queries = new ConcurrentHashMap<>();
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onJobStart(SparkListenerJobStart start) {
            String root = start.properties().getProperty("spark.sql.execution.root.id");
            roots.add(Long.parseLong(root));
          }

          // Listeners may hear of a job when its query is over, and cannot be asked for any more.
          @Override
          public void onOtherEvent(SparkListenerEvent event) {
            if (event instanceof SparkListenerSQLExecutionEnd end && end.qe() != null) {
              queries.put(end.executionId(), end.qe());
            }
          }
        };
    spark.sparkContext().addSparkListener(listener);
    try {
      query.run();
      waitForListeners();
    } finally {
      spark.sparkContext().removeSparkListener(listener);
    }
    return roots.stream().map(queries::get).map(QueryShapes::signature).distinct().toList();
  }
}
