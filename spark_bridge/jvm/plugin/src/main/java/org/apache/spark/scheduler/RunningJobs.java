package org.apache.spark.scheduler;

import java.util.function.IntPredicate;
import org.apache.spark.SparkContext;

/** Which Spark jobs run: asked of Spark's scheduler, which knows though its bus has lost events. */
public final class RunningJobs implements IntPredicate {
  private final SparkContext spark;

  public RunningJobs(SparkContext spark) {
    this.spark = spark;
  }

  /**
   * Whether a Spark job runs. The scheduler's thread may be changing what is read here, so the
   * answer can be wrong now and then; in doubt it is yes.
   */
  @Override
  public boolean test(int sparkJobId) {
    try {
      return spark.dagScheduler().jobIdToActiveJob().contains(sparkJobId);
    } catch (RuntimeException changing) {
      return true;
    }
  }
}
