package io.uwfq.client;

import com.google.protobuf.ByteString;
import io.uwfq.v1.InputRange;
import io.uwfq.v1.TaskLease;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * One attempt at one task: what a handler is called with. Thread-safe.
 *
 * <p>To test a handler by itself: {@code handler.run(Task.of(TaskLease.newBuilder()
 * .setTaskIndex(3).build()))}.
 */
public final class Task {
  private final TaskLease lease;
  private volatile boolean cancelled;

  private Task(TaskLease lease) {
    this.lease = Objects.requireNonNull(lease, "lease");
  }

  /**
   * The task of a lease.
   *
   * @param lease as the service grants it
   * @return a task that is not cancelled
   */
  public static Task of(TaskLease lease) {
    return new Task(lease);
  }

  /**
   * All that the service has said about the attempt.
   *
   * @return the lease
   */
  public TaskLease lease() {
    return lease;
  }

  /**
   * The job.
   *
   * @return its name
   */
  public String jobId() {
    return lease.getJobId();
  }

  /**
   * Whose job it is.
   *
   * @return the user
   */
  public String user() {
    return lease.getUser();
  }

  /**
   * What the job runs; it has chosen the handler.
   *
   * @return the kind, empty if the job has none
   */
  public String kind() {
    return lease.getKind();
  }

  /**
   * The stage.
   *
   * @return its name
   */
  public String stage() {
    return lease.getStage();
  }

  /**
   * What the submitter has given the stage along.
   *
   * @return the stage's payload, empty if it has none
   */
  public ByteString payload() {
    return lease.getPayload();
  }

  /**
   * What the submitter has given the job along.
   *
   * @return the job's labels
   */
  public Map<String, String> labels() {
    return lease.getLabelsMap();
  }

  /**
   * Which task of the stage this is.
   *
   * @return from 0, below {@link #count}
   */
  public int index() {
    return lease.getTaskIndex();
  }

  /**
   * Number of tasks in the stage.
   *
   * @return at least 1
   */
  public int count() {
    return lease.getTaskCount();
  }

  /**
   * Which try this is.
   *
   * @return from 1
   */
  public int attempt() {
    return lease.getAttempt();
  }

  /**
   * The part of the stage's input to read.
   *
   * @return empty for a stage without an input
   */
  public Optional<InputRange> range() {
    return lease.hasRange() ? Optional.of(lease.getRange()) : Optional.empty();
  }

  /**
   * Whether the attempt is not wanted any more. A handler that blocks is interrupted besides; one
   * that computes may look here now and then.
   *
   * @return true once it is to stop; it stays so
   */
  public boolean cancelled() {
    return cancelled;
  }

  void cancel() {
    cancelled = true;
  }

  @Override
  public String toString() {
    return "job %s stage %s task %d attempt %d".formatted(jobId(), stage(), index(), attempt());
  }
}
