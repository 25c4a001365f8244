package io.uwfq.spark.sql;

import io.uwfq.spark.Bridge;
import io.uwfq.spark.PartitioningSettings;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.Subquery;
import org.apache.spark.sql.execution.datasources.LogicalRelation;

/**
 * Writes the query's signature into the options of its file relations.
 *
 * <p>A scan is cut when it becomes physical: only then the partitions that it reads are known. But
 * at that moment the rest of the query is out of sight, with adaptive execution and in subqueries
 * always, and there may be no execution id yet to find it by. So the signature travels with the
 * relation. {@link QueryShapes} reads the same mark, so that the service is asked under the very
 * name under which it learns. A relation without the mark is never cut.
 *
 * <p>Every query that reads files is marked, whether it will be cut or not: the rules of the
 * optimizer that run later look at sizes, and a signature must not depend on these.
 */
public final class MarkQuery extends QueryRule<LogicalPlan> {

  public MarkQuery(SparkSession session) {
    super(session);
  }

  @Override
  LogicalPlan rewrite(LogicalPlan plan, Bridge bridge, PartitioningSettings settings) {
    // A subquery is optimized by itself first, then once more as a part of its query: that counts.
    if (plan instanceof Subquery || plan.isStreaming()) {
      return plan;
    }
    boolean[] found = {false};
    Scala.forEachNode(plan, node -> found[0] |= isFileScan(node));
    if (!found[0]) {
      return plan;
    }
    String own = PlanSignature.of(plan);
    String signature = QueryShapes.signatureOfRunningCommand(session.sparkContext()).orElse(own);
    boolean mayCut = Repeatable.is(plan);
    return plan.transformDownWithSubqueries(
        Scala.rewriting(
            node ->
                isFileScan(node) ? marked((LogicalRelation) node, signature, own, mayCut) : node));
  }

  private static boolean isFileScan(LogicalPlan node) {
    return node instanceof LogicalRelation relation
        && !relation.isStreaming()
        && FileRelations.isSupported(relation.relation());
  }

  private static LogicalPlan marked(
      LogicalRelation node, String signature, String own, boolean mayCut) {
    Object[] arguments = Scala.arguments(node);
    for (int i = 0; i < arguments.length; i++) {
      if (arguments[i] == node.relation()) {
        arguments[i] = FileRelations.marked(node.relation(), signature, own, mayCut);
      }
    }
    return node.makeCopy(arguments);
  }
}
