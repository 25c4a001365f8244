package io.uwfq.spark.sql;

import java.util.Arrays;
import java.util.Set;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.GetStructField;
import org.apache.spark.sql.catalyst.expressions.NamedExpression;
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateFunction;
import org.apache.spark.sql.catalyst.plans.logical.GlobalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LocalLimit;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Offset;
import org.apache.spark.sql.catalyst.plans.logical.Project;
import org.apache.spark.sql.catalyst.plans.logical.Sample;
import org.apache.spark.sql.catalyst.plans.logical.Sort;
import org.apache.spark.sql.catalyst.plans.logical.Tail;

/**
 * Tells the queries whose rows are the same however they are cut.
 *
 * <p>Others take something from the place of a row: from its task ({@code rand(7)}, {@code
 * spark_partition_id()}, samples, {@code first}), from the company that it has there ({@code
 * percentile_approx}, whose summaries of tasks are merged), from its split ({@code
 * input_file_block_start()}), or from the order in which tasks are read (a limit without a sort).
 * Spark promises nothing for those, but with the same tasks it mostly gives the same rows, and
 * {@code randomSplit} counts on that: two of its parts cut in two ways would overlap.
 *
 * <p>A Python function of which all tasks run at once, or none ({@code mapInPandas} with a
 * barrier), counts as such, too: Spark refuses it when there are more tasks than slots.
 *
 * <p>Sums of floating-point numbers and ties in the order of a window, of a limit or of {@code
 * max_by} count as the same: they depend on the order of rows after a shuffle, in Spark from run to
 * run already.
 */
final class Repeatable {
  private static final Set<String> SPLIT_COLUMNS = Set.of("file_block_start", "file_block_length");

  /**
   * Aggregates that keep rows, or their order, as they come, and summaries that depend on what was
   * summed up together. By name: {@code ListAgg} is new in 4.0, {@code ApproxTopK} in 4.1.
   */
  private static final Set<String> PLACE_AGGREGATES =
      Set.of(
          "First",
          "Last",
          "CollectList",
          "CollectSet",
          "ListAgg",
          "ApproximatePercentile",
          "ApproxTopK",
          "ApproxTopKAccumulate",
          "ApproxTopKCombine",
          "HistogramNumeric");

  /**
   * By name, since they differ between lines; the only flag that they are made from is a barrier.
   */
  private static final Set<String> PYTHON_MAPS =
      Set.of("MapInPandas", "MapInArrow", "PythonMapInArrow");

  private Repeatable() {}

  /** Cost: one walk over the plan, its subqueries, and the queries that filled cached tables. */
  static boolean is(LogicalPlan plan) {
    return isByItself(plan)
        && CachedQueries.behind(plan).stream()
            .allMatch(query -> query.isPresent() && isByItself(query.get()));
  }

  /** Whether it is, if the cached tables that it reads are. */
  private static boolean isByItself(LogicalPlan plan) {
    boolean[] repeatable = {true};
    Scala.forEachNode(plan, node -> repeatable[0] = repeatable[0] && isNode(node));
    return repeatable[0];
  }

  private static boolean isNode(LogicalPlan node) {
    if (node instanceof Sample || node instanceof Tail || isBarrier(node)) {
      return false;
    }
    if (node instanceof GlobalLimit || node instanceof LocalLimit || node instanceof Offset) {
      return isSorted((LogicalPlan) node.children().head());
    }
    return Scala.<Expression>list(node.expressions()).stream()
        .allMatch(
            expression ->
                expression.deterministic()
                    && expression.find(Scala.test(Repeatable::readsPlace)).isEmpty());
  }

  private static boolean isBarrier(LogicalPlan node) {
    return PYTHON_MAPS.contains(node.getClass().getSimpleName())
        && Arrays.asList(Scala.arguments(node)).contains(true);
  }

  /** Whether rows have an order of their own; what lies between a limit and its sort keeps it. */
  private static boolean isSorted(LogicalPlan plan) {
    if (plan instanceof Sort sort) {
      return sort.global();
    }
    boolean keepsOrder =
        plan instanceof LocalLimit
            || plan instanceof GlobalLimit
            || plan instanceof Offset
            || plan instanceof Project;
    return keepsOrder && isSorted((LogicalPlan) plan.children().head());
  }

  private static boolean readsPlace(Expression expression) {
    if (expression instanceof AggregateFunction) {
      return PLACE_AGGREGATES.contains(expression.getClass().getSimpleName());
    }
    if (expression instanceof GetStructField get) {
      return SPLIT_COLUMNS.contains(get.extractFieldName());
    }
    return expression instanceof NamedExpression named && SPLIT_COLUMNS.contains(named.name());
  }
}
