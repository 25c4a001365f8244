package org.apache.spark.scheduler;

import io.uwfq.spark.JobTracker.TrackedStage;
import io.uwfq.spark.conversation.Conversation;
import io.uwfq.spark.conversation.StageKey;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.OptionalInt;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.collection.mutable.HashMap;

/**
 * Lets a task launch only when the service has granted it ({@code spark.uwfq.gate=leases}).
 *
 * <p>The service says of each stage how many of its tasks may have been launched by now, some more
 * than there are free slots. Task sets are replaced by {@link GatedTaskSetManager}s, which ask here
 * before each launch. A refused slot stays free until new limits come, and Spark is told of those.
 *
 * <p>It opens by itself when the service is out of reach, for a stage that the service has not
 * spoken of in time, and when nothing of the application runs and nothing is granted: a task that
 * nobody grants runs late, and never not at all.
 */
final class LaunchGate implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(LaunchGate.class);

  /** The longest that a stage waits for the service's first word on it. */
  private static final long FIRST_WORD_NANOS = TimeUnit.SECONDS.toNanos(1);

  /** The longest that an idle application waits for a launch to be granted. */
  private static final long IDLE_NANOS = TimeUnit.SECONDS.toNanos(10);

  private static final long TICK_MILLIS = 250;

  private final TaskSchedulerImpl scheduler;
  private final Conversation conversation;
  private final MethodHandle taskSetsByStage;
  private final MethodHandle isPipelined;
  private final ScheduledExecutorService timer;
  private volatile boolean refused;
  private volatile long lastActiveNanos = System.nanoTime();

  /**
   * @throws IllegalStateException if this Spark's scheduler has not got what is needed
   */
  LaunchGate(TaskSchedulerImpl scheduler, Conversation conversation) {
    this.scheduler = scheduler;
    this.conversation = conversation;
    try {
      // Spark's own index of task sets, by which it cancels them, has to know the replacement.
      taskSetsByStage =
          MethodHandles.privateLookupIn(TaskSchedulerImpl.class, MethodHandles.lookup())
              .findVirtual(
                  TaskSchedulerImpl.class,
                  "taskSetsByStageIdAndAttempt",
                  MethodType.methodType(HashMap.class));
    } catch (ReflectiveOperationException absent) {
      throw new IllegalStateException(
          "spark.uwfq.gate=leases does not work with this version of Spark: set it to none",
          absent);
    }
    isPipelined = findIsPipelined();
    timer =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "uwfq-gate");
              thread.setDaemon(true);
              return thread;
            });
    timer.scheduleAtFixedRate(this::offerAgain, TICK_MILLIS, TICK_MILLIS, TimeUnit.MILLISECONDS);
    conversation.onLaunchLimits(this::offerAgain);
    conversation.countRunningBy(() -> scheduler.rootPool().runningTasks());
  }

  /** Task sets whose tasks must run side by side, which Spark has since 4.3; null before. */
  private static MethodHandle findIsPipelined() {
    try {
      return MethodHandles.publicLookup()
          .findVirtual(TaskSet.class, "isPipelined", MethodType.methodType(boolean.class));
    } catch (ReflectiveOperationException before43) {
      return null;
    }
  }

  /**
   * The task set behind the gate; itself if all its tasks have to launch at once. Call it where
   * Spark has just submitted it, and under the scheduler's lock.
   */
  TaskSetManager guard(TaskSetManager taskSet) {
    if (taskSet.getClass() != TaskSetManager.class || taskSet.isBarrier()) {
      return taskSet;
    }
    try {
      if (isPipelined != null && (boolean) isPipelined.invoke(taskSet.taskSet())) {
        return taskSet;
      }
      GatedTaskSetManager gated = new GatedTaskSetManager(scheduler, taskSet, this);
      @SuppressWarnings("unchecked")
      HashMap<Object, HashMap<Object, TaskSetManager>> byStage =
          (HashMap<Object, HashMap<Object, TaskSetManager>>) taskSetsByStage.invoke(scheduler);
      byStage.apply(taskSet.taskSet().stageId()).put(taskSet.taskSet().stageAttemptId(), gated);
      return gated;
    } catch (RuntimeException | Error broken) {
      throw broken;
    } catch (Throwable broken) {
      throw new IllegalStateException(broken);
    }
  }

  /** What the gate says to one more task of a stage. */
  enum Answer {
    GRANTED,
    /** Nobody has granted it in time: it launches all the same. */
    OVERDUE,
    REFUSED
  }

  /**
   * Whether one more task of a stage may launch now, if there is one that waits.
   *
   * @param launched its tasks that run or are done
   * @param arrivedNanos when it was submitted
   */
  Answer ask(TrackedStage stage, int launched, long arrivedNanos) {
    Answer answer = answerTo(stage, launched, arrivedNanos);
    if (answer == Answer.REFUSED) {
      refused = true;
    } else {
      lastActiveNanos = System.nanoTime();
    }
    return answer;
  }

  private Answer answerTo(TrackedStage stage, int launched, long arrivedNanos) {
    if (stage == null || !conversation.standings().reachable()) {
      return Answer.GRANTED;
    }
    long nowNanos = System.nanoTime();
    StageKey key = stage.key();
    OptionalInt limit = key == null ? OptionalInt.empty() : conversation.launchLimit(key);
    if (limit.isPresent() && launched < limit.getAsInt()) {
      return Answer.GRANTED;
    }
    boolean overdue = limit.isEmpty() && nowNanos - arrivedNanos > FIRST_WORD_NANOS;
    return overdue || nowNanos - lastActiveNanos > IDLE_NANOS ? Answer.OVERDUE : Answer.REFUSED;
  }

  /** A task has launched that was overdue. */
  void launchedOverdue() {
    conversation.figures().launchesWithoutLease.increment();
  }

  /** Has Spark offer its free slots again, if any were refused. From any thread but Spark's own. */
  private void offerAgain() {
    if (scheduler.rootPool().runningTasks() > 0) {
      lastActiveNanos = System.nanoTime();
    }
    if (refused) {
      refused = false;
      try {
        scheduler.backend().reviveOffers();
      } catch (RuntimeException stopping) {
        LOG.debug("slots could not be offered again", stopping);
      }
    }
  }

  @Override
  public void close() {
    timer.shutdownNow();
  }
}
