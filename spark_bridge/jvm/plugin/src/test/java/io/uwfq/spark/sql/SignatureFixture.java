package io.uwfq.spark.sql;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
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
}
