package io.uwfq.client;

import io.uwfq.v1.TaskLease;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Starts attempts in the slots of a worker, and brings their outcomes home.
 *
 * <p>Belongs to the session's thread, but for {@link #arrive}, which the executor's threads call.
 */
final class Launcher {
  private static final Logger log = System.getLogger("io.uwfq.client");
  private static final double NANOS_PER_SECOND = 1e9;

  private record Arrival(Attempt attempt, Outcome outcome) {}

  private final Ledger ledger;
  private final EventLoop loop;
  private final Map<String, Handler> handlers;

  /** For kinds that have no handler of their own; or null. */
  private final Handler fallback;

  private final Executor executor;
  private final Runnable onChange;

  /** What handlers have left for the loop. One wake-up may bring many. */
  private final Queue<Arrival> arrivals = new ConcurrentLinkedQueue<>();

  private final AtomicBoolean woken = new AtomicBoolean();

  /** Handlers that have been called and have not returned, wanted or not. */
  private int underWay;

  private long succeeded;
  private long failed;

  /**
   * A launcher with nothing to do.
   *
   * @param onChange called after every batch of endings
   */
  Launcher(
      Ledger ledger, EventLoop loop, WorkerOptions options, Executor executor, Runnable onChange) {
    this.ledger = ledger;
    this.loop = loop;
    this.handlers = options.handlers();
    this.fallback = options.fallback();
    this.executor = executor;
    this.onChange = onChange;
  }

  long succeeded() {
    return succeeded;
  }

  long failed() {
    return failed;
  }

  /** Whether no handler runs, not even one that was given up. */
  boolean idle() {
    return underWay == 0;
  }

  // ------------------------------------------------------------------------------------- starting

  /** Starts what fits. */
  void launch() {
    boolean ended = false;
    Attempt attempt;
    while ((attempt = ledger.start(loop.nowNanos())) != null) {
      ended |= !start(attempt);
    }
    if (ended) {
      onChange.run();
    }
  }

  /** Starts one attempt; false: it has ended already. */
  private boolean start(Attempt attempt) {
    TaskLease lease = attempt.task.lease();
    Handler handler = handlers.getOrDefault(lease.getKind(), fallback);
    if (handler == null) {
      // Another worker of the pool may have one: this one may be older, or newer.
      end(attempt, Outcome.lost("no handler for kind '" + lease.getKind() + "'"));
      return false;
    }
    Attempt started = attempt;
    HandlerRun run = new HandlerRun(handler, attempt.task, outcome -> arrive(started, outcome));
    attempt.run = run;
    try {
      executor.execute(run);
    } catch (RejectedExecutionException refusal) {
      end(attempt, Outcome.lost("the worker's executor took no task: " + refusal.getMessage()));
      return false;
    }
    underWay++;
    if (lease.hasTimeLimitSeconds()) {
      long limitNanos = (long) (lease.getTimeLimitSeconds() * NANOS_PER_SECOND);
      attempt.limit = loop.after(limitNanos, () -> overdue(started));
    }
    return true;
  }

  // --------------------------------------------------------------------------------------- ending

  /** In a thread of the executor. Wakes the loop unless it is being woken already. */
  private void arrive(Attempt attempt, Outcome outcome) {
    arrivals.add(new Arrival(attempt, outcome));
    if (woken.compareAndSet(false, true)) {
      loop.execute(this::collect);
    }
  }

  private void collect() {
    // First the flag: what arrives from here on wakes the loop anew, at worst for nothing.
    woken.set(false);
    Arrival arrival;
    while ((arrival = arrivals.poll()) != null) {
      underWay--;
      end(arrival.attempt, arrival.outcome);
    }
    launch();
    onChange.run();
  }

  private void end(Attempt attempt, Outcome outcome) {
    Outcome known = outcome;
    if (outcome.failed() && outcome.retryable() && attempt.stopReason != null) {
      known = outcome.because(attempt.stopReason);
    }
    attempt.run = null;
    if (attempt.limit != null) {
      attempt.limit.cancel();
      attempt.limit = null;
    }
    if (!ledger.finish(attempt, known)) {
      return;
    }
    if (known.failed()) {
      failed++;
      warn(attempt.task + " failed: " + known.failure(), known.thrown());
    } else {
      succeeded++;
    }
  }

  /** What a handler throws may be more than can be printed: a chain of too many causes, say. */
  private static void warn(String text, Throwable thrown) {
    try {
      log.log(Level.WARNING, text, thrown);
    } catch (Throwable broken) {
      log.log(Level.WARNING, text);
    }
  }

  // ------------------------------------------------------------------------------------- stopping

  /**
   * The service does not want these any more: asks those that run to stop; they end when they do.
   */
  void revoke(Iterable<Long> leaseIds, String reason) {
    for (long leaseId : leaseIds) {
      Attempt attempt = ledger.find(leaseId);
      if (attempt != null) {
        revoke(attempt, reason);
      }
    }
    onChange.run();
  }

  private void revoke(Attempt attempt, String reason) {
    if (ledger.revoke(attempt, reason)) {
      attempt.run.interrupt();
    }
  }

  private void overdue(Attempt attempt) {
    double limit = attempt.task.lease().getTimeLimitSeconds();
    revoke(attempt, "it ran longer than its limit of " + limit + " s");
  }

  /** Those whose handlers have called {@code System.exit} have failed: none of them will return. */
  void endWhatExits() {
    for (Attempt attempt : ledger.inProgress()) {
      if (attempt.run.exits()) {
        end(attempt, Outcome.lost("its handler has called System.exit"));
      }
    }
    launch();
    onChange.run();
  }

  /** Lets go of everything, whether or not its handler can be stopped. */
  void giveUp() {
    for (Attempt attempt : ledger.abandon()) {
      if (attempt.limit != null) {
        attempt.limit.cancel();
      }
      attempt.run.interrupt();
    }
  }
}
