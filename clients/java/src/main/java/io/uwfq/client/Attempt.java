package io.uwfq.client;

import io.uwfq.v1.TaskLease;
import io.uwfq.v1.TaskStart;

/** One lease and what became of it; an entry of the {@link Ledger}, confined to its thread. */
final class Attempt {
  /** Where an attempt stands. */
  enum Room {
    QUEUED,
    RUNNING,
    ENDED
  }

  /** A lease that is never renewed again. */
  static final long NEVER = Long.MAX_VALUE;

  private static final double NANOS_PER_SECOND = 1e9;

  final Task task;
  final long grantedAtNanos;

  Room room = Room.QUEUED;
  long startedAtNanos;

  /** Whether the service knows that it has started. */
  boolean announced;

  /** A third of the lease, so that two renewals may get lost. */
  long renewEveryNanos;

  /** When the next renewal is due; {@link #NEVER} for a lease that is void. */
  long renewAtNanos;

  /** Why it is to stop; null: it is not. */
  String stopReason;

  /** The call of its handler, while it runs; else null. */
  HandlerRun run;

  /** Its time limit, while it runs; else null. */
  EventLoop.Timer limit;

  Attempt(TaskLease lease, long nowNanos) {
    this.task = Task.of(lease);
    this.grantedAtNanos = nowNanos;
    extend(lease.getExpiresInSeconds(), nowNanos);
  }

  /** The service has extended the lease, or granted it. */
  void extend(double expiresInSeconds, long nowNanos) {
    renewEveryNanos = (long) (expiresInSeconds * NANOS_PER_SECOND / 3);
    renewAtNanos = nowNanos + renewEveryNanos;
  }

  long leaseId() {
    return task.lease().getLeaseId();
  }

  int slots() {
    return task.lease().getSlots();
  }

  /** For a message that is sent now. */
  TaskStart start(long nowNanos) {
    return TaskStart.newBuilder()
        .setLeaseId(leaseId())
        .setRunningSeconds((nowNanos - startedAtNanos) / NANOS_PER_SECOND)
        .build();
  }
}
