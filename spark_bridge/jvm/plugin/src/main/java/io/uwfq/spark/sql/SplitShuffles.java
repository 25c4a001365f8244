package io.uwfq.spark.sql;

import io.uwfq.spark.Bridge;
import io.uwfq.spark.PartitioningSettings;
import io.uwfq.spark.conversation.SplitQuestion;
import io.uwfq.spark.conversation.StageKind;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.apache.spark.MapOutputStatistics;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.CoalesceExec;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.UnionExec;
import org.apache.spark.sql.execution.adaptive.AQEShuffleReadExec;
import org.apache.spark.sql.execution.adaptive.ShuffleQueryStageExec;
import org.apache.spark.sql.execution.exchange.ENSURE_REQUIREMENTS$;
import org.apache.spark.sql.execution.exchange.ValidateRequirements;
import org.apache.spark.sql.internal.SQLConf;

/**
 * Cuts the stages that read shuffles into as many tasks as the service says, now that adaptive
 * execution knows what the map tasks wrote.
 *
 * <p>Spark writes a shuffle in a fixed number of partitions and joins neighbours when it reads it.
 * This rule runs after Spark's own: it takes the joining back and does it again, by Spark's own
 * algorithm, towards another target size. So the number of partitions written ({@code
 * spark.sql.adaptive.coalescePartitions.initialPartitionNum}, else {@code
 * spark.sql.shuffle.partitions}) is the most tasks that a stage can have.
 *
 * <p>A stage is left as it is when any of its shuffles was asked for by the user or by a writer
 * (repartition, rebalance), was cut at skewed partitions, or is read on the map side; and below a
 * {@code coalesce}, which says how many tasks there are.
 */
public final class SplitShuffles extends QueryRule<SparkPlan> {

  public SplitShuffles(SparkSession session) {
    super(session);
  }

  @Override
  SparkPlan rewrite(SparkPlan plan, Bridge bridge, PartitioningSettings settings) {
    SQLConf conf = SQLConf.get();
    if (!settings.shuffles() || !conf.coalesceShufflePartitionsEnabled()) {
      return plan;
    }
    Inputs inputs = Inputs.of(plan);
    long inputBytes = inputs.bytes();
    OptionalLong root = QueryShapes.rootExecutionId(session.sparkContext());
    OptionalLong own = QueryShapes.executionId(session.sparkContext());
    if (!inputs.open || inputBytes <= settings.minTaskBytes() || own.isEmpty()) {
      return plan;
    }
    QueryAnswers answers = QueryAnswers.ofRunningQuery(session.sparkContext(), settings.timeout());
    if (!answers.mayCut(own.getAsLong())) {
      return plan;
    }
    SplitQuestion question =
        new SplitQuestion(
            bridge.user().get(),
            answers.signature(() -> QueryShapes.signatureOf(root.getAsLong())),
            StageKind.SHUFFLE,
            inputBytes);
    OptionalInt taskCount = answers.taskCount(bridge.conversation(), question);
    if (taskCount.isEmpty()) {
      return plan;
    }
    int bounded = settings.bounded(taskCount.getAsInt(), inputBytes);
    SparkPlan cut =
        new StageCoalescing(session, conf, inputs.targetBytes(bounded)).apply(withoutReads(plan));
    if (!ValidateRequirements.validate(cut)) {
      return plan;
    }
    bridge.conversation().figures().splits.increment();
    return cut;
  }

  /** Takes back what Spark's own rule has joined. */
  private static SparkPlan withoutReads(SparkPlan plan) {
    return (SparkPlan)
        plan.transformUp(
            Scala.rewriting(node -> node instanceof AQEShuffleReadExec read ? read.child() : node));
  }

  /** The shuffles that a stage reads. */
  private static final class Inputs {
    private final List<long[]> bytesByPartition = new ArrayList<>();

    /** Whether Spark alone decided how they are read, and decided nothing but to join. */
    private boolean open = true;

    /** Whether parts of the stage are cut apart from each other. */
    private boolean hasUnion;

    static Inputs of(SparkPlan plan) {
      Inputs inputs = new Inputs();
      inputs.visit(plan);
      return inputs;
    }

    private void visit(SparkPlan node) {
      if (node instanceof ShuffleQueryStageExec stage) {
        add(stage);
      } else if (node instanceof AQEShuffleReadExec read) {
        open &= !read.hasSkewedPartition() && !read.isLocalRead();
      } else if (node instanceof CoalesceExec) {
        open = false;
      } else if (node instanceof UnionExec) {
        hasUnion = true;
      }
      Scala.<SparkPlan>list(node.children()).forEach(this::visit);
    }

    private void add(ShuffleQueryStageExec stage) {
      // No statistics: the shuffle wrote nothing, or is not done.
      scala.Option<MapOutputStatistics> written = stage.mapStats();
      open &= stage.shuffle().shuffleOrigin() == ENSURE_REQUIREMENTS$.MODULE$;
      // One partition cannot be cut, and what it holds is read whole whatever the target.
      if (written.isDefined() && written.get().bytesByPartitionId().length > 1) {
        bytesByPartition.add(written.get().bytesByPartitionId());
      }
    }

    long bytes() {
      long sum = 0;
      for (long[] input : bytesByPartition) {
        for (long bytes : input) {
          sum += bytes;
        }
      }
      return sum;
    }

    /** The target size that gives at most that many tasks, as nearly as can be told. */
    long targetBytes(int taskCount) {
      int partitions = bytesByPartition.get(0).length;
      boolean together =
          !hasUnion && bytesByPartition.stream().allMatch(input -> input.length == partitions);
      if (!together) {
        return TargetSizes.ceilDiv(bytes(), taskCount);
      }
      long[] sums = new long[partitions];
      for (long[] input : bytesByPartition) {
        for (int i = 0; i < partitions; i++) {
          sums[i] += input[i];
        }
      }
      return TargetSizes.forShuffle(sums, taskCount);
    }
  }
}
