package org.apache.spark.scheduler;

import io.uwfq.spark.JobTracker.TaskSetSeen;
import io.uwfq.spark.StageInputs;
import io.uwfq.spark.conversation.StageKind;
import org.apache.spark.Partition;
import org.apache.spark.SparkContext;
import scala.Option;

/**
 * Reads from Spark's scheduler what a task set is.
 *
 * <p>A task keeps its partition to itself; the stage's RDD has the same ones. The stage is looked
 * up in the state of the {@link DAGScheduler}, which only its own thread may touch: that is the
 * thread that submits task sets.
 */
final class TaskSetReader {
  private static final StageInputs UNKNOWN = new StageInputs(null, StageKind.OTHER);

  private final SparkContext spark;
  private final SlotCounter slots;

  TaskSetReader(SparkContext spark, SlotCounter slots) {
    this.spark = spark;
    this.slots = slots;
  }

  TaskSetSeen read(TaskSetManager manager) {
    TaskSet taskSet = manager.taskSet();
    Option<Stage> stage = spark.dagScheduler().stageIdToStage().get(taskSet.stageId());
    return seen(taskSet, stage.isDefined() ? inputs(stage.get(), taskSet) : UNKNOWN);
  }

  /** The same without a look at what the tasks read: partitions are made by anybody's code. */
  TaskSetSeen readWithoutInputs(TaskSetManager manager) {
    return seen(manager.taskSet(), UNKNOWN);
  }

  private TaskSetSeen seen(TaskSet taskSet, StageInputs inputs) {
    Option<ActiveJob> job = spark.dagScheduler().jobIdToActiveJob().get(taskSet.priority());
    return new TaskSetSeen(
        taskSet.priority(), // the id of the job that it runs for
        taskSet.properties(),
        job.isDefined() ? job.get().finalStage().name() : "",
        taskSet.stageId(),
        taskSet.stageAttemptId(),
        taskSet.tasks().length,
        slots.slotsPerTask(taskSet.resourceProfileId()),
        inputs);
  }

  private static StageInputs inputs(Stage stage, TaskSet taskSet) {
    Partition[] all = stage.rdd().partitions();
    Task<?>[] tasks = taskSet.tasks();
    Partition[] read = new Partition[tasks.length];
    for (int i = 0; i < tasks.length; i++) {
      read[i] = all[tasks[i].partitionId()];
    }
    return StageInputs.of(read, !stage.parents().isEmpty());
  }
}
