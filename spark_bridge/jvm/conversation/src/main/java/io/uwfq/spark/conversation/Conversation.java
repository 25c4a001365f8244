package io.uwfq.spark.conversation;

import java.time.Duration;
import java.util.OptionalInt;
import java.util.function.IntSupplier;

/**
 * What the Spark application and the service tell each other.
 *
 * <p>Spark's threads bring facts ({@code jobAppeared} ... {@code slotsChanged}) and read the last
 * {@link Standings}. Neither ever blocks, throws, or waits for the network: facts go into a queue
 * that a thread of the conversation empties, standings are one volatile read of an immutable
 * snapshot. Facts of one job must come in their order; a fact about a job or stage that was never
 * announced is dropped and counted.
 *
 * <p>The conversation keeps a mirror of everything that is open, so that it can say it all again to
 * a service that was restarted, has lost its data, or was out of reach.
 */
public interface Conversation extends AutoCloseable {

  /** A query or a Spark job has appeared. Again for a known id: ignored. */
  void jobAppeared(JobFacts job);

  /** Spark is about to run the tasks of a stage attempt. Again for a known key: ignored. */
  void stageAppeared(StageFacts stage);

  /** A task attempt was launched. */
  void taskStarted(TaskKey task);

  /** A task attempt has ended, in whatever way. */
  void taskEnded(TaskKey task, TaskOutcome outcome);

  /** Spark will start no more tasks of a stage attempt. */
  void stageEnded(StageKey stage);

  /** A job is over: closed if all its tasks are done, else cancelled with this reason. */
  void jobEnded(String jobId, JobEnd end);

  /** The application's slots (cores of its executors over cores per task), now; at least 0. */
  void slotsChanged(int slots);

  /** The last order that the service gave. Never null; empty before the first answer. */
  Standings standings();

  /**
   * With {@code spark.uwfq.gate=leases}: how many tasks of a stage may have been launched by now,
   * in all; empty while the service has not said. Never blocks.
   */
  default OptionalInt launchLimit(StageKey stage) {
    return OptionalInt.empty();
  }

  /** Runs this after each change of the launch limits, on a thread of the conversation. */
  default void onLaunchLimits(Runnable changed) {}

  /**
   * With {@code spark.uwfq.gate=leases}: how many tasks run, by Spark's own count. Facts may get
   * lost on their way here, and who waits for the end of a task would wait until its job's. Called
   * on a thread of the conversation; fast.
   */
  default void countRunningBy(IntSupplier sparkTasks) {}

  /**
   * How many tasks a stage should be cut into; empty when the service does not answer within the
   * limit, or is known to be out of reach (then at once). Blocks the caller, at most {@code limit}.
   */
  OptionalInt taskCount(SplitQuestion question, Duration limit);

  /**
   * Whether {@link #taskCount} would ask at all now: the service answers, and has not just kept
   * queries waiting in vain. Never blocks. For those to whom the question itself costs something.
   */
  default boolean mayAnswer() {
    return true;
  }

  /** Counters and gauges, for Spark's metrics and for the doctor. */
  Figures figures();

  /** Says goodbye (open jobs are cancelled) and stops the threads, within two seconds. */
  @Override
  void close();
}
