package io.uwfq.client;

import io.uwfq.v1.Job;
import io.uwfq.v1.JobState;
import io.uwfq.v1.StageSpec;
import io.uwfq.v1.TaskList;

/** Small helpers around the messages about jobs. */
public final class Jobs {
  private Jobs() {}

  /**
   * A stage that is cut into tasks already.
   *
   * <p>Its handlers tell the tasks apart by {@link Task#index}. For a stage that the service is to
   * cut, set an {@code InputDescriptor} or an estimate on a {@link StageSpec} of your own.
   *
   * @param name unique within the job
   * @param tasks at least 1
   * @return a builder, so that more can be said
   */
  public static StageSpec.Builder stage(String name, int tasks) {
    return StageSpec.newBuilder().setStage(name).setTasks(TaskList.newBuilder().setCount(tasks));
  }

  /**
   * Whether nothing more will happen to a job: it has succeeded, failed or been cancelled.
   *
   * @param job as it stands
   * @return whether it has ended
   */
  public static boolean hasEnded(Job job) {
    return switch (job.getState()) {
      case JOB_STATE_SUCCEEDED, JOB_STATE_FAILED, JOB_STATE_CANCELLED -> true;
      default -> false;
    };
  }

  /**
   * Whether all of a job is done.
   *
   * @param job as it stands
   * @return whether it has succeeded
   */
  public static boolean hasSucceeded(Job job) {
    return job.getState() == JobState.JOB_STATE_SUCCEEDED;
  }

  /**
   * Insists on success: {@code Jobs.requireSucceeded(client.waitFor(jobId))}.
   *
   * @param job one that has ended
   * @return the same job
   * @throws JobFailedException if it has failed or was cancelled; the message says why
   * @throws IllegalArgumentException if it has not ended yet
   */
  public static Job requireSucceeded(Job job) {
    if (!hasEnded(job)) {
      throw new IllegalArgumentException(
          "job " + job.getJobId() + " has not ended; wait for it first");
    }
    if (!hasSucceeded(job)) {
      throw new JobFailedException(job);
    }
    return job;
  }
}
