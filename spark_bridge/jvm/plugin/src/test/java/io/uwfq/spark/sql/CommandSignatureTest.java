package io.uwfq.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.apache.spark.sql.catalyst.analysis.UnresolvedRelation;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.execution.SimpleMode$;
import org.apache.spark.sql.execution.command.ExplainCommand;
import org.junit.jupiter.api.Test;

/** A command is told apart by the query in it, else by the tables that it names. */
class CommandSignatureTest extends SignatureFixture {

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
}
