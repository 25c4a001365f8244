package io.uwfq.client;

import io.uwfq.client.Attempt.Room;
import io.uwfq.v1.TaskLease;
import io.uwfq.v1.TaskResult;
import io.uwfq.v1.TaskResultAck;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a worker holds and what it owes: its leases, from grant to acknowledged report.
 *
 * <p>Picture one line of attempts that move through three rooms:
 *
 * <pre>
 * grant -> QUEUED -> start -> RUNNING -> finish -> ENDED -> acknowledged -> forgotten
 * </pre>
 *
 * <p>An attempt occupies slots in the first two rooms and owes a result in the third. A result
 * leaves only when the service has acknowledged it, so a lost reply or a restart of the service
 * loses nothing; reporting twice is harmless, as the service counts each result once.
 *
 * <p>Pure bookkeeping: no I/O, no clock ({@code nowNanos} from any steady origin), no locks. It
 * belongs to the session's thread.
 */
final class Ledger {
  /** Most results or leases in one message, and bytes of texts: well below the service's limits. */
  private static final int MAX_RESULTS = 5000;

  private static final int MAX_MESSAGE_BYTES = 1 << 20;

  /**
   * An attempt that started so much later than it was granted tells the service when it did: its
   * time in the queue is not to be charged.
   */
  private static final long QUEUED_LONG_NANOS = 5_000_000;

  private final int slots;
  private final int prefetch;

  /** By lease, until acknowledged, in the order of their grants. */
  private final Map<Long, Attempt> attempts = new LinkedHashMap<>();

  private final Deque<Attempt> queue = new ArrayDeque<>();

  /** Results that no message under way carries. */
  private final Deque<TaskResult> unsent = new ArrayDeque<>();

  private int running;
  private int runningSlots;

  /** Slots of the attempts that run or queue. */
  private int heldSlots;

  /** {@code slots} run at once, {@code prefetch} more may queue. */
  Ledger(int slots, int prefetch) {
    this.slots = slots;
    this.prefetch = prefetch;
  }

  // --------------------------------------------------------------------------------- at a glance

  /** Slots in which nothing runs. */
  int freeSlots() {
    return Math.max(slots - runningSlots, 0);
  }

  int running() {
    return running;
  }

  int queued() {
    return queue.size();
  }

  /** Whether anything runs or queues. */
  boolean busy() {
    return running > 0 || !queue.isEmpty();
  }

  /** Whether there are results that no message under way carries. */
  boolean owes() {
    return !unsent.isEmpty();
  }

  /** Whether nothing is held and nothing is owed. */
  boolean settled() {
    return attempts.isEmpty();
  }

  /**
   * Whether to ask for more leases: a slot is free, or half of the queue is used up. Half, so that
   * a poll brings a batch and the rest of the queue bridges its round trip.
   */
  boolean wantsWork() {
    return slots + prefetch - heldSlots > prefetch / 2;
  }

  // ---------------------------------------------------------------------------- through the rooms

  /** Queues new leases, in the service's order. */
  void grant(List<TaskLease> leases, long nowNanos) {
    for (TaskLease lease : leases) {
      if (attempts.containsKey(lease.getLeaseId())) {
        continue; // Told twice: a poll was repeated whose answer had arrived.
      }
      Attempt attempt = new Attempt(lease, nowNanos);
      attempts.put(lease.getLeaseId(), attempt);
      queue.add(attempt);
      heldSlots += attempt.slots();
    }
  }

  /**
   * The next attempt that fits the free slots, as running; null: none does.
   *
   * <p>Strictly in order: a large task that waits for slots must not be overtaken for ever.
   */
  Attempt start(long nowNanos) {
    Attempt attempt = queue.peek();
    // A task that is larger than the whole worker would wait for ever; let it run alone.
    if (attempt == null || running > 0 && runningSlots + attempt.slots() > slots) {
      return null;
    }
    queue.remove();
    attempt.room = Room.RUNNING;
    attempt.startedAtNanos = nowNanos;
    attempt.announced = nowNanos - attempt.grantedAtNanos < QUEUED_LONG_NANOS;
    running++;
    runningSlots += attempt.slots();
    return attempt;
  }

  /**
   * Frees the attempt's slots; from now on its result is owed. False when it had ended before, or
   * was given up.
   */
  boolean finish(Attempt attempt, Outcome outcome) {
    if (attempt.room == Room.ENDED) {
      return false;
    }
    leaveRoom(attempt);
    unsent.add(outcome.result(attempt.task.lease()));
    return true;
  }

  private void leaveRoom(Attempt attempt) {
    if (attempt.room == Room.RUNNING) {
      running--;
      runningSlots -= attempt.slots();
    } else {
      queue.remove(attempt);
    }
    heldSlots -= attempt.slots();
    attempt.room = Room.ENDED;
  }

  /**
   * The service does not want this one any more. True if it runs, and is to be interrupted; one
   * that still queues is answered at once, one that has ended is reported all the same.
   */
  boolean revoke(Attempt attempt, String reason) {
    switch (attempt.room) {
      case QUEUED -> finish(attempt, Outcome.lost(reason));
      case RUNNING -> {
        boolean first = attempt.stopReason == null;
        attempt.stopReason = first ? reason : attempt.stopReason;
        return first;
      }
      case ENDED -> {}
    }
    return false;
  }

  /** Lets go of everything that has not ended; nothing is owed for it. Those that run. */
  List<Attempt> abandon() {
    List<Attempt> ran = new ArrayList<>();
    for (Attempt attempt : List.copyOf(attempts.values())) {
      if (attempt.room == Room.ENDED) {
        continue;
      }
      if (attempt.room == Room.RUNNING) {
        ran.add(attempt);
      }
      leaveRoom(attempt);
      attempts.remove(attempt.leaseId());
    }
    return ran;
  }

  /** Those that run. */
  List<Attempt> inProgress() {
    return attempts.values().stream().filter(attempt -> attempt.room == Room.RUNNING).toList();
  }

  /** By its lease; null if it is not (or no longer) known. */
  Attempt find(long leaseId) {
    return attempts.get(leaseId);
  }

  // -------------------------------------------------------------------------------------- reports

  /** Results for one message. Follow with {@link #acknowledged} or {@link #putBack}. */
  List<TaskResult> takeResults() {
    List<TaskResult> taken = new ArrayList<>();
    int bytes = 0;
    while (owes() && taken.size() < MAX_RESULTS && bytes < MAX_MESSAGE_BYTES) {
      TaskResult result = unsent.remove();
      bytes += result.getFailure().getMessageBytes().size();
      taken.add(result);
    }
    return taken;
  }

  /** The message was lost, or nobody knows: its results are owed again, first of all. */
  void putBack(List<TaskResult> results) {
    for (int i = results.size() - 1; i >= 0; i--) {
      unsent.addFirst(results.get(i));
    }
  }

  /** The service has taken these in, whatever it thinks of them; the rest is owed again. */
  void acknowledged(List<TaskResult> results, List<TaskResultAck> acks) {
    Set<Long> known = new HashSet<>();
    acks.forEach(ack -> known.add(ack.getLeaseId()));
    for (TaskResult result : results) {
      if (known.contains(result.getLeaseId())) {
        attempts.remove(result.getLeaseId());
      } else {
        unsent.add(result);
      }
    }
  }

  // -------------------------------------------------------------------------- starts and renewals

  /** Attempts that run, but did not start when they were granted, and the service does not know. */
  List<Attempt> unannounced() {
    return attempts.values().stream()
        .filter(attempt -> attempt.room == Room.RUNNING && !attempt.announced)
        .limit(MAX_RESULTS)
        .toList();
  }

  /** When the first lease wants more time; {@link Attempt#NEVER}: none does. O(leases). */
  long nextRenewalNanos() {
    return attempts.values().stream()
        .mapToLong(attempt -> attempt.renewAtNanos)
        .min()
        .orElse(Attempt.NEVER);
  }

  /**
   * Leases to renew together with the one that is due: those at least half-way to their own time,
   * as many as fit a message. Leases of results that are not acknowledged yet are among them.
   * O(leases).
   */
  List<Long> dueForRenewal(long nowNanos) {
    return attempts.values().stream()
        .filter(attempt -> attempt.renewAtNanos - attempt.renewEveryNanos / 2 <= nowNanos)
        .limit(MAX_RESULTS)
        .map(Attempt::leaseId)
        .toList();
  }
}
