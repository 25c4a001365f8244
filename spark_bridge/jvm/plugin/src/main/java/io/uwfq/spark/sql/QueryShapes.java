package io.uwfq.spark.sql;

import io.uwfq.spark.conversation.JobShape;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Function;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.execution.QueryExecution;
import org.apache.spark.sql.execution.SQLExecution;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.execution.datasources.LogicalRelation;
import org.apache.spark.sql.sources.BaseRelation;

/**
 * What a query runs: the name that the service learns under, and the bytes that it reads.
 *
 * <p>A query has one signature, whoever asks and when. If its file relations are marked ({@link
 * MarkQuery}), the mark is it; otherwise the hash of its optimized plan. A command that runs its
 * query as an execution of its own ({@code CREATE TABLE AS SELECT}) lends its signature to that
 * one, since Spark's jobs are grouped under the command.
 */
public final class QueryShapes {
  /** Spark says this much of a leaf that it knows nothing about. */
  private static final long UNKNOWN_BYTES = Long.MAX_VALUE;

  private QueryShapes() {}

  /** Whether an execution of this id has begun and is not over. From any thread; fast. */
  public static boolean isRunning(long executionId) {
    return SQLExecution.getQueryExecution(executionId) != null;
  }

  /**
   * The shape of a query that runs; {@link JobShape#UNKNOWN} once it is gone, and for anything that
   * cannot be told. Cost: a walk over its plan; it may wait until that plan is optimized.
   *
   * @param rootExecutionId {@code spark.sql.execution.root.id}
   */
  public static JobShape of(long rootExecutionId) {
    try {
      QueryExecution query = SQLExecution.getQueryExecution(rootExecutionId);
      return query == null
          ? JobShape.UNKNOWN
          : new JobShape(signature(query), inputBytes(query.optimizedPlan()));
    } catch (Exception | LinkageError | AssertionError | StackOverflowError e) {
      return JobShape.UNKNOWN;
    }
  }

  /** The signature of a query that runs; empty: unknown. */
  static String signatureOf(long rootExecutionId) {
    QueryExecution query = SQLExecution.getQueryExecution(rootExecutionId);
    return query == null ? "" : signature(query);
  }

  /** Whether a query that runs has the same rows however it is cut; false: no, or unknown. */
  static boolean isRepeatable(long executionId) {
    QueryExecution query = SQLExecution.getQueryExecution(executionId);
    return query != null
        && !query.optimizedPlan().isStreaming()
        && Repeatable.is(query.optimizedPlan());
  }

  /** The query that the calling thread works for; empty while it plans outside of one. */
  static OptionalLong executionId(SparkContext context) {
    return idIn(context, "spark.sql.execution.id");
  }

  /** The outermost query that the calling thread works for; empty while it plans outside of one. */
  static OptionalLong rootExecutionId(SparkContext context) {
    OptionalLong root = idIn(context, "spark.sql.execution.root.id");
    return root.isPresent() ? root : executionId(context);
  }

  private static OptionalLong idIn(SparkContext context, String property) {
    String id = context.getLocalProperty(property);
    return id == null ? OptionalLong.empty() : OptionalLong.of(Long.parseLong(id));
  }

  /** The signature of the command on whose behalf the calling thread plans another query. */
  static Optional<String> signatureOfRunningCommand(SparkContext context) {
    OptionalLong root = rootExecutionId(context);
    if (root.isEmpty()) {
      return Optional.empty();
    }
    QueryExecution query = SQLExecution.getQueryExecution(root.getAsLong());
    return query != null && runsQueryOfItsOwn(query.analyzed())
        ? Optional.of(PlanSignature.of(query.analyzed()))
        : Optional.empty();
  }

  private static boolean runsQueryOfItsOwn(LogicalPlan plan) {
    return plan instanceof Command && plan.children().isEmpty();
  }

  /** The signature of a query. */
  static String signature(QueryExecution query) {
    if (runsQueryOfItsOwn(query.analyzed())) {
      return PlanSignature.of(query.analyzed());
    }
    LogicalPlan plan = query.optimizedPlan();
    return mark(plan).orElseGet(() -> PlanSignature.of(plan));
  }

  /** The mark of a plan's file relations; empty if it has none. */
  private static Optional<String> mark(LogicalPlan plan) {
    return mark(plan, FileRelations::signature);
  }

  /**
   * The signature of an optimized plan by itself. A command that writes to a table fills the cached
   * tables anew that read it; they do not become one table by that.
   */
  static String ownSignature(LogicalPlan plan) {
    return mark(plan, FileRelations::ownSignature).orElseGet(() -> PlanSignature.of(plan));
  }

  private static Optional<String> mark(
      LogicalPlan plan, Function<BaseRelation, Optional<String>> read) {
    String[] mark = {null};
    Scala.forEachNode(
        plan,
        node -> {
          if (mark[0] == null && node instanceof LogicalRelation relation) {
            mark[0] = read.apply(relation.relation()).orElse(null);
          }
        });
    return Optional.ofNullable(mark[0]);
  }

  /** Empty if a leaf does not know its size. */
  private static OptionalLong inputBytes(LogicalPlan plan) {
    long[] sum = {0};
    Scala.forEachNode(
        plan,
        node -> {
          if (node.children().isEmpty() && !(node instanceof Command)) {
            long bytes = leafBytes(node);
            sum[0] = bytes > UNKNOWN_BYTES - sum[0] ? UNKNOWN_BYTES : sum[0] + bytes;
          }
        });
    return sum[0] == UNKNOWN_BYTES ? OptionalLong.empty() : OptionalLong.of(sum[0]);
  }

  private static long leafBytes(LogicalPlan leaf) {
    if (leaf instanceof LogicalRelation relation
        && relation.relation() instanceof HadoopFsRelation files) {
      // The files' own bytes, as a scan is asked about. Unneeded partitions are already out.
      return files.location().sizeInBytes();
    }
    scala.math.BigInt bytes = leaf.stats().sizeInBytes();
    return bytes.isValidLong() ? bytes.toLong() : UNKNOWN_BYTES;
  }
}
