package io.uwfq.spark.sql;

import io.uwfq.spark.Bridge;
import io.uwfq.spark.PartitioningSettings;
import io.uwfq.spark.conversation.SplitQuestion;
import io.uwfq.spark.conversation.StageKind;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.PlanExpression;
import org.apache.spark.sql.execution.CoalesceExec;
import org.apache.spark.sql.execution.FileSourceScanExec;
import org.apache.spark.sql.execution.SparkPlan;
import org.apache.spark.sql.execution.datasources.FileStatusWithMetadata;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.execution.datasources.PartitionDirectory;
import org.apache.spark.sql.execution.exchange.Exchange;

/**
 * Cuts the file scans of a plan into as many tasks as the service says.
 *
 * <p>Spark computes the splits of a scan from settings of the relation's own session. So a scan
 * that should be cut otherwise gets a copy of its relation with a copy of that session.
 *
 * <p>Left alone: bucketed scans, whose tasks are their buckets; scans below a {@code coalesce},
 * which says how many tasks there are; streams; files of which none can be split; formats that are
 * not Spark's own. Files are never cut below a row group or a stripe, whatever the target size:
 * tasks without one read nothing.
 */
public final class SplitScans extends QueryRule<SparkPlan> {

  public SplitScans(SparkSession session) {
    super(session);
  }

  @Override
  SparkPlan rewrite(SparkPlan plan, Bridge bridge, PartitioningSettings settings) {
    if (!settings.scans()) {
      return plan;
    }
    QueryAnswers answers = QueryAnswers.ofRunningQuery(session.sparkContext(), settings.timeout());
    Set<SparkPlan> coalesced = Collections.newSetFromMap(new IdentityHashMap<>());
    findCoalesced(plan, false, coalesced);
    return (SparkPlan)
        plan.transformUp(
            Scala.rewriting(
                node ->
                    node instanceof FileSourceScanExec scan
                            && FileRelations.mayCut(scan.relation())
                            && !scan.bucketedScan()
                            && !coalesced.contains(scan)
                        ? cut(scan, bridge, settings, answers)
                        : node));
  }

  /** Finds the scans whose tasks a {@code coalesce} puts together: no more, and best no fewer. */
  private static void findCoalesced(SparkPlan node, boolean below, Set<SparkPlan> found) {
    if (below && node instanceof FileSourceScanExec) {
      found.add(node);
    }
    boolean belowThis = node instanceof CoalesceExec || (below && !(node instanceof Exchange));
    Scala.<SparkPlan>list(node.children()).forEach(child -> findCoalesced(child, belowThis, found));
  }

  private static SparkPlan cut(
      FileSourceScanExec scan, Bridge bridge, PartitioningSettings settings, QueryAnswers answers) {
    // Before the files are listed, which takes its time, too.
    if (!answers.mayAnswerScans(bridge.conversation())) {
      return scan;
    }
    HadoopFsRelation files = scan.relation();
    long inputBytes = splittableBytes(scan);
    if (inputBytes <= settings.minTaskBytes()) {
      return scan;
    }
    SplitQuestion question =
        new SplitQuestion(
            bridge.user().get(),
            FileRelations.signature(files).orElse(""),
            StageKind.SCAN,
            inputBytes);
    OptionalInt taskCount = answers.taskCount(bridge.conversation(), question);
    if (taskCount.isEmpty()) {
      return scan;
    }
    int bounded = settings.bounded(taskCount.getAsInt(), inputBytes);
    long targetBytes = TargetSizes.roundedUp(TargetSizes.ceilDiv(inputBytes, bounded));
    SparkSession session = SessionClones.withTarget(FileRelations.session(files), targetBytes);
    bridge.conversation().figures().splits.increment();
    return copy(scan, FileRelations.cut(files, targetBytes, session));
  }

  /**
   * The bytes of the files that the scan selects as far as planning knows; 0 if none of them can be
   * split. Partitions that dynamic pruning will drop still count: what it drops, nobody knows yet.
   */
  private static long splittableBytes(FileSourceScanExec scan) {
    HadoopFsRelation files = scan.relation();
    SparkSession session = FileRelations.session(files);
    List<Expression> known =
        Scala.<Expression>list(scan.partitionFilters()).stream()
            .filter(filter -> filter.find(Scala.test(PlanExpression.class::isInstance)).isEmpty())
            .toList();
    long bytes = 0;
    boolean splittable = false;
    for (PartitionDirectory directory :
        Scala.<PartitionDirectory>list(
            files.location().listFiles(Scala.seq(known), scan.dataFilters()))) {
      for (FileStatusWithMetadata file : Scala.<FileStatusWithMetadata>list(directory.files())) {
        bytes += file.getLen();
        splittable = splittable || Versions.isSplittable(files, session, file.getPath());
      }
    }
    return splittable ? bytes : 0;
  }

  private static SparkPlan copy(FileSourceScanExec scan, HadoopFsRelation relation) {
    Object[] arguments = Scala.arguments(scan);
    for (int i = 0; i < arguments.length; i++) {
      if (arguments[i] == scan.relation()) {
        arguments[i] = relation;
      }
    }
    return scan.makeCopy(arguments);
  }
}
