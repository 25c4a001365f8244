package io.uwfq.spark.sql;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.execution.ColumnarToRowTransition;
import org.apache.spark.sql.execution.InputAdapter;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.WholeStageCodegenExec;
import org.apache.spark.sql.execution.adaptive.AdaptiveSparkPlanExec;
import org.apache.spark.sql.execution.columnar.CachedRDDBuilder;
import org.apache.spark.sql.execution.columnar.InMemoryRelation;
import scala.Option;

/**
 * The queries that filled cached tables.
 *
 * <p>Of a query Spark keeps the physical plan beside the rows, and each operator of that the
 * logical plan that it came from. Not so the wrappings that Spark puts around the operators when
 * all of them are there.
 */
final class CachedQueries {
  private CachedQueries() {}

  /**
   * The queries that filled the cached tables which a plan reads, and those which these queries
   * read, and so on. Each table counts once, the nearest comes first. A query that cannot be found
   * is empty. Cost: a walk over the plan and each query, however often their tables are read.
   */
  static List<Optional<LogicalPlan>> behind(LogicalPlan plan) {
    List<Optional<LogicalPlan>> queries = new ArrayList<>();
    Set<CachedRDDBuilder> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    Queue<LogicalPlan> unread = new ArrayDeque<>(List.of(plan));
    while (!unread.isEmpty()) {
      Scala.forEachNode(
          unread.remove(),
          node -> {
            if (node instanceof InMemoryRelation cached && seen.add(cached.cacheBuilder())) {
              Optional<LogicalPlan> query = queryOf(cached.cacheBuilder().cachedPlan());
              queries.add(query);
              query.ifPresent(unread::add);
            }
          });
    }
    return queries;
  }

  /** Whether a query reads cached tables. */
  static boolean isReader(LogicalPlan query) {
    boolean[] found = {false};
    Scala.forEachNode(query, node -> found[0] |= node instanceof InMemoryRelation);
    return found[0];
  }

  /** The optimized query that a whole physical plan carries out. */
  private static Optional<LogicalPlan> queryOf(SparkPlan whole) {
    SparkPlan plan = whole;
    while (plan.logicalLink().isEmpty()) {
      if (plan instanceof AdaptiveSparkPlanExec adaptive) {
        plan = adaptive.inputPlan();
      } else if (plan instanceof WholeStageCodegenExec
          || plan instanceof InputAdapter
          || plan instanceof ColumnarToRowTransition) {
        plan = (SparkPlan) plan.children().head();
      } else {
        return Optional.empty();
      }
    }
    Option<LogicalPlan> query = plan.logicalLink();
    return Optional.of(query.get());
  }
}
