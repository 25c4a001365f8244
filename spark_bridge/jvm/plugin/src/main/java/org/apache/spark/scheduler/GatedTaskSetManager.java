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

  /** A second copy of a task that runs already is none that waits for a grant. */
  @Override
  public Option<Tuple3<Object, Enumeration.Value, Object>> dequeueTaskHelper(
      String executorId, String host, Enumeration.Value maxLocality, boolean speculative) {
    if (!speculative && !gate.mayLaunch(stage, launched(), arrivedNanos)) {
      return Option.empty();
    }
    return super.dequeueTaskHelper(executorId, host, maxLocality, speculative);
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
