package org.apache.spark.scheduler;

import io.uwfq.spark.JobTracker.TrackedStage;
import org.apache.spark.util.SystemClock;
import scala.Enumeration;
import scala.Option;
import scala.Tuple3;

/** A task set that asks the {@link LaunchGate} before it gives a task away. */
final class GatedTaskSetManager extends TaskSetManager {
  private final LaunchGate gate;
  private final long arrivedNanos = System.nanoTime();
  private TrackedStage stage;

  GatedTaskSetManager(TaskSchedulerImpl scheduler, TaskSetManager replaced, LaunchGate gate) {
    super(
        scheduler,
        replaced.taskSet(),
        replaced.maxTaskFailures(),
        scheduler.healthTrackerOpt(),
        new SystemClock());
    this.gate = gate;
  }

  /** Whose limits count. Until it is set, nothing is refused. */
  void belongsTo(TrackedStage stage) {
    this.stage = stage;
  }

  /**
   * A second copy of a task that runs already is none that waits for a grant. Spark asks when no
   * task waits, too.
   */
  @Override
  public Option<Tuple3<Object, Enumeration.Value, Object>> dequeueTaskHelper(
      String executorId, String host, Enumeration.Value maxLocality, boolean speculative) {
    LaunchGate.Answer answer =
        speculative ? LaunchGate.Answer.GRANTED : gate.ask(stage, launched(), arrivedNanos);
    if (answer == LaunchGate.Answer.REFUSED) {
      return Option.empty();
    }
    Option<Tuple3<Object, Enumeration.Value, Object>> found =
        super.dequeueTaskHelper(executorId, host, maxLocality, speculative);
    if (answer == LaunchGate.Answer.OVERDUE && found.isDefined()) {
      gate.launchedOverdue();
    }
    return found;
  }

  private int launched() {
    int running = runningTasks();
    if (speculationEnabled()) {
      for (var ids = runningTasksSet().iterator(); ids.hasNext(); ) {
        if (taskInfos().apply(ids.next()).speculative()) {
          running--;
        }
      }
    }
    return tasksSuccessful() + running;
  }
}
