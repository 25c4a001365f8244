package org.apache.spark.scheduler;

import io.uwfq.spark.JobTracker;
import io.uwfq.spark.conversation.Conversation;
import java.time.Duration;
import org.apache.spark.SparkContext;

/** Puts the pool of the bridge into a running Spark scheduler. */
public final class UwfqScheduling {
  private UwfqScheduling() {}

  /** What is installed, to be closed when the application ends. */
  public interface Installed extends AutoCloseable {
    @Override
    void close();
  }

  /**
   * Puts the one pool in the place of all that Spark has made, those of an allocation file
   * included. Call it when the scheduler runs and no job was submitted.
   *
   * @param gated whether a task launches only when the service has granted it
   * @throws IllegalStateException if this scheduler has no pools to replace, or none that can be
   *     gated
   */
  public static Installed install(
      SparkContext spark,
      SlotCounter slots,
      JobTracker tracker,
      Conversation conversation,
      Duration staleAfter,
      boolean gated) {
    if (!(spark.taskScheduler() instanceof TaskSchedulerImpl scheduler)) {
      throw new IllegalStateException(
          "the task scheduler is none of Spark's own: "
              + spark.taskScheduler().getClass().getName());
    }
    if (scheduler.schedulingMode() != SchedulingMode.FAIR()) {
      throw new IllegalStateException(
          "spark.scheduler.mode is "
              + scheduler.schedulingMode()
              + " though the plugin had set it to FAIR");
    }
    LaunchGate gate = gated ? new LaunchGate(scheduler, conversation) : null;
    UwfqPool pool =
        new UwfqPool(new TaskSetReader(spark, slots), tracker, conversation, staleAfter, gate);
    synchronized (scheduler) {
      Pool root = scheduler.rootPool();
      root.schedulableQueue().forEach(root::removeSchedulable);
      root.addSchedulable(pool);
    }
    return gate == null ? () -> {} : gate::close;
  }
}
