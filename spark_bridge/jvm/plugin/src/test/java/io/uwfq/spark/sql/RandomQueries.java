package io.uwfq.spark.sql;

import java.util.List;
import java.util.Random;

/**
 * Writes queries whose rows do not depend on how they are run.
 *
 * <p>Each part reads and gives the columns {@code id, k, s, v}, so that any part fits into any
 * other. No floating point, no limit without a total order, no function of a row's place.
 */
final class RandomQueries {
  private final Random random;
  private final List<String> tables;

  RandomQueries(Random random, List<String> tables) {
    this.random = random;
    this.tables = tables;
  }

  String query() {
    return query(1 + random.nextInt(3));
  }

  private String query(int depth) {
    if (depth == 0) {
      return "SELECT id, k, s, v FROM " + pick(tables);
    }
    String input = "(" + query(depth - 1) + ")";
    return switch (random.nextInt(10)) {
      case 0, 1 -> "SELECT * FROM " + input + " r WHERE " + condition(depth);
      case 2, 3 -> join(input, depth);
      case 4, 5 -> aggregation(input);
      case 6 -> window(input);
      case 7 -> combination(input, depth);
      case 8 ->
          "SELECT * FROM " + input + " ORDER BY id DESC, k, s, v LIMIT " + random.nextInt(400);
      default -> hinted(input);
    };
  }

  private String condition(int depth) {
    String other = "(" + query(depth - 1) + ")";
    return switch (random.nextInt(8)) {
      case 0 -> "k > " + random.nextInt(20);
      case 1 -> "k IN (1, 2, " + random.nextInt(20) + ")";
      case 2 -> "k IS NULL OR s LIKE '" + random.nextInt(10) + "%'";
      case 3 -> "v % 3 = " + random.nextInt(3);
      case 4 -> "id IN (SELECT id FROM " + other + " WHERE id IS NOT NULL)";
      case 5 -> "v >= (SELECT min(v) FROM " + other + ")";
      case 6 -> "NOT EXISTS (SELECT 1 FROM " + other + " q WHERE q.k = r.k AND q.v > 900)";
      default -> "s < '5' AND id % 5 <> " + random.nextInt(5);
    };
  }

  private String join(String input, int depth) {
    String other = "(" + query(depth - 1) + ")";
    return switch (random.nextInt(6)) {
      case 0 -> joined(input, other, "JOIN", "id");
      case 1 -> joined(input, other, pick(List.of("LEFT", "RIGHT", "FULL")) + " JOIN", "id");
      // Few keys have many rows each: one side is made unique.
      case 2 -> joined(input, "(" + aggregation(other) + ")", "JOIN", "k");
      case 3 -> "SELECT a.* FROM " + input + " a LEFT SEMI JOIN " + other + " b ON a.k = b.k";
      case 4 -> "SELECT a.* FROM " + input + " a LEFT ANTI JOIN " + other + " b ON a.id = b.id";
      default ->
          "WITH c AS "
              + input
              + " SELECT x.id, y.k, x.s, x.v FROM c x JOIN (SELECT DISTINCT id, k"
              + " FROM c) y ON x.id = y.id";
    };
  }

  private static String joined(String left, String right, String kind, String key) {
    return ("SELECT a.id, b.k, coalesce(a.s, b.s) AS s, a.v + b.v AS v FROM %s a %s "
            + "(SELECT max(id) AS id, k, max(s) AS s, max(v) AS v FROM %s GROUP BY k, id) b "
            + "ON a.%s = b.%s")
        .formatted(left, kind, right, key, key);
  }

  private String aggregation(String input) {
    return switch (random.nextInt(4)) {
      case 0 -> "SELECT max(id) AS id, k, min(s) AS s, sum(v) AS v FROM " + input + " GROUP BY k";
      case 1 ->
          "SELECT count(DISTINCT id) AS id, max(k) AS k, s, sum(v) AS v FROM "
              + input
              + " GROUP BY s";
      case 2 -> "SELECT DISTINCT id, k, s, v FROM " + input;
      default ->
          "SELECT count(*) AS id, k, s, sum(v) AS v FROM " + input + " GROUP BY ROLLUP(k, s)";
    };
  }

  private String window(String input) {
    return switch (random.nextInt(2)) {
      case 0 ->
          "SELECT CAST(rank() OVER (PARTITION BY k ORDER BY id) AS bigint) AS id, k, s, "
              + "sum(v) OVER (PARTITION BY s) AS v FROM "
              + input;
      default ->
          "SELECT id, k, s, CAST(row_number() OVER (PARTITION BY k ORDER BY id, s, v) AS bigint) "
              + "AS v FROM "
              + input;
    };
  }

  private String combination(String input, int depth) {
    String other = "(" + query(depth - 1) + ")";
    return "SELECT * FROM "
        + input
        + pick(List.of(" UNION ALL ", " INTERSECT ", " EXCEPT "))
        + "SELECT * FROM "
        + other;
  }

  private String hinted(String input) {
    String hint =
        pick(
            List.of(
                "REPARTITION(5)",
                "REPARTITION(k)",
                "REPARTITION(3, k)",
                "REBALANCE",
                "REBALANCE(k)",
                "COALESCE(3)",
                "REPARTITION_BY_RANGE(4, id)"));
    return "SELECT /*+ " + hint + " */ * FROM " + input;
  }

  private String pick(List<String> choices) {
    return choices.get(random.nextInt(choices.size()));
  }
}
