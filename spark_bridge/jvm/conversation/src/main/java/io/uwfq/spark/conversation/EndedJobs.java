package io.uwfq.spark.conversation;

import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/**
 * Jobs that are over in Spark, and of which the service does not know it.
 *
 * <p>While the service is away they add up. Beyond a limit the oldest are stripped: of them it will
 * hear that they are over, and not what they took. Beyond a second limit they are given up.
 * Confined to the speaker's thread.
 */
final class EndedJobs {
  private final int maxJobs;
  private final long maxTasks;
  private final int maxStripped;
  private final Consumer<JobMirror> givenUp;

  private final Set<JobMirror> whole = new LinkedHashSet<>();
  private final Set<JobMirror> stripped = new LinkedHashSet<>();
  private long tasks;
  private CompletableFuture<Void> none;

  /**
   * None yet.
   *
   * @param maxJobs jobs of which everything is kept
   * @param maxTasks their tasks, in all
   * @param maxStripped jobs of which the end alone is kept
   * @param givenUp takes a job that is not kept at all
   */
  EndedJobs(int maxJobs, long maxTasks, int maxStripped, Consumer<JobMirror> givenUp) {
    this.maxJobs = maxJobs;
    this.maxTasks = maxTasks;
    this.maxStripped = maxStripped;
    this.givenUp = givenUp;
  }

  /** A job is over; no more stages of it will come. */
  void add(JobMirror job) {
    whole.add(job);
    tasks += job.taskCount();
    while (whole.size() > maxJobs || (tasks > maxTasks && whole.size() > 1)) {
      strip(whole.iterator().next());
    }
  }

  private void strip(JobMirror job) {
    whole.remove(job);
    tasks -= job.taskCount();
    if (!job.maybeKnown) {
      givenUp.accept(job);
      return;
    }
    job.strip();
    stripped.add(job);
    if (stripped.size() > maxStripped) {
      Iterator<JobMirror> oldest = stripped.iterator();
      JobMirror gone = oldest.next();
      oldest.remove();
      givenUp.accept(gone);
    }
  }

  /** The service knows of the job's end. */
  void remove(JobMirror job) {
    if (whole.remove(job)) {
      tasks -= job.taskCount();
    } else {
      stripped.remove(job);
    }
    completeIfNone();
  }

  /** Completes this once there is none, at once perhaps. */
  void whenNone(CompletableFuture<Void> none) {
    this.none = none;
    completeIfNone();
  }

  private void completeIfNone() {
    if (none != null && whole.isEmpty() && stripped.isEmpty()) {
      none.complete(null);
    }
  }
}
