package io.uwfq.client;

import io.uwfq.v1.Job;
import io.uwfq.v1.JobState;
import java.util.Locale;

/** A job has ended, but not well. Thrown by {@link Jobs#requireSucceeded} alone. */
public final class JobFailedException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** The job in its last state. */
  private final Job job;

  JobFailedException(Job job) {
    super(describe(job));
    this.job = job;
  }

  /**
   * The job in its last state.
   *
   * @return a job that has failed or was cancelled
   */
  public Job job() {
    return job;
  }

  private static String describe(Job job) {
    JobState state = job.getState();
    String word = state.name().substring("JOB_STATE_".length()).toLowerCase(Locale.ROOT);
    String cause = job.getCause().isEmpty() ? "" : ": " + job.getCause();
    return "job " + job.getJobId() + " has ended as " + word + cause;
  }
}
