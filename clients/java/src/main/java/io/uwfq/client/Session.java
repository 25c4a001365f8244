package io.uwfq.client;

import io.uwfq.v1.TaskLease;
import io.uwfq.v1.TaskResult;
import io.uwfq.v1.TaskResultAck;
import io.uwfq.v1.TaskResultStatus;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * One worker's conversation with the service, from the first poll to the last report.
 *
 * <p>Four parts share one {@link Ledger}, all on one thread, the loop; so nothing here needs a
 * lock:
 *
 * <ul>
 *   <li>{@link Poller} asks for leases when slots are free; results ride along.
 *   <li>{@link Reporter} sends results that would otherwise wait for a poll.
 *   <li>{@link Renewer} extends leases at a third of their time, and learns which are void.
 *   <li>{@link Launcher} runs handlers in the threads of an executor.
 * </ul>
 *
 * <p>What keeps acknowledged work from being lost or done twice: a poll whose answer was lost is
 * repeated under its id; results stay in the ledger until the service has acknowledged them; and
 * trouble with the service is waited out, with growing waits.
 *
 * <p>The phases, each of which only the next one follows:
 *
 * <pre>
 * SERVING -> stop -> DRAINING -> nothing held -> LEAVING -> all said -> CLOSING -> ENDED
 *               what is held is finished     {@link Farewell}     handlers return
 * </pre>
 */
final class Session {
  /** Timeout of a report or a renewal, and what a poll gets beyond its wait. */
  static final Duration ANSWER_TIMEOUT = Duration.ofSeconds(15);

  /** The same for the last words of a worker that owes nothing, or was told to give up. */
  private static final Duration HURRIED_TIMEOUT = Duration.ofSeconds(2);

  /**
   * How long a worker that leaves tries to bring its last results to a service that does not
   * answer: about a lease, after which nobody waits for them.
   */
  private static final Duration LAST_REPORT_PATIENCE = Duration.ofSeconds(30);

  /** The same when it owes nothing, or was told to give up. */
  private static final Duration LAST_POLL_PATIENCE = Duration.ofSeconds(2);

  /** How long handlers that were interrupted are waited for. */
  private static final Duration CLOSING_PATIENCE = Duration.ofSeconds(1);

  private static final String REVOKED = "its job was cancelled or has failed, or its time is up";
  private static final String EXPIRED = "its lease expired";

  private static final Logger log = System.getLogger("io.uwfq.client");

  private enum Phase {
    SERVING,
    DRAINING,
    LEAVING,
    CLOSING,
    ENDED
  }

  private final WorkerOptions options;
  private final EventLoop loop;
  private final Connection connection;
  private final Caller caller;
  private final Ledger ledger;

  /** The executor, if it is ours to shut down; or null. */
  private final ExecutorService ownExecutor;

  private final Launcher launcher;
  private final Poller poller;
  private final Reporter reporter;
  private final Renewer renewer;
  private final Farewell farewell;
  private final CompletableFuture<Void> ended = new CompletableFuture<>();

  private Phase phase = Phase.SERVING;
  private boolean hurried;

  /** Whether the service does not answer; and since when it has not while the worker leaves. */
  private boolean inTrouble;

  private long silentSinceNanos = Long.MAX_VALUE;

  /** What ended it before it was told to stop; or null. */
  private Throwable failure;

  private volatile WorkerStats stats = new WorkerStats(0, 0, 0, 0, 0);

  /** A session that does nothing before {@link #start}. */
  Session(WorkerOptions options) {
    this.options = options;
    this.loop = new EventLoop("uwfq-worker", this::defect);
    this.connection = options.endpoint().open(false);
    this.caller = new Caller(connection.channel(), loop);
    this.ledger = new Ledger(options.slots(), options.prefetch());
    this.ownExecutor = options.executor() == null ? threads(options.slots()) : null;
    Executor executor = ownExecutor == null ? options.executor() : ownExecutor;
    this.launcher = new Launcher(ledger, loop, options, executor, this::advance);
    this.poller = new Poller(this);
    this.reporter = new Reporter(this);
    this.renewer = new Renewer(this);
    this.farewell = new Farewell(this);
  }

  /** At most one thread for each slot, made when it is needed. */
  private static ExecutorService threads(int slots) {
    AtomicInteger made = new AtomicInteger();
    ThreadPoolExecutor threads =
        new ThreadPoolExecutor(
            slots,
            slots,
            60,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            run -> {
              Thread thread = new Thread(run, "uwfq-task-" + made.incrementAndGet());
              thread.setDaemon(true);
              return thread;
            });
    threads.allowCoreThreadTimeOut(true);
    return threads;
  }

  // -------------------------------------------------------------------------- from any thread

  /** Begins to serve. */
  void start() {
    loop.execute(this::advance);
  }

  /**
   * Asks for no more work; what is held is finished and reported.
   *
   * @param grace after which the rest is given up; null: as long as it takes
   */
  void requestStop(Duration grace) {
    loop.execute(() -> stop(grace));
  }

  /** Does not wait for handlers that have called {@code System.exit}, and wait themselves. */
  void endWhatExits() {
    loop.execute(launcher::endWhatExits);
  }

  /** Completes when all is over, with what ended it if that was no stop. */
  CompletableFuture<Void> ended() {
    return ended;
  }

  WorkerStats stats() {
    return stats;
  }

  // --------------------------------------------------------------------------- for its parts

  WorkerOptions options() {
    return options;
  }

  EventLoop loop() {
    return loop;
  }

  Caller caller() {
    return caller;
  }

  Ledger ledger() {
    return ledger;
  }

  /** Goes on to whatever comes next, as something has changed. */
  void advance() {
    switch (phase) {
      case SERVING -> {
        poller.wake();
        reporter.wake();
      }
      case DRAINING -> {
        poller.settle();
        reporter.wake();
        if (!ledger.busy() && !poller.open() && !reporter.underWay()) {
          leave();
        }
      }
      case CLOSING -> {
        if (launcher.idle()) {
          close();
        }
      }
      case LEAVING, ENDED -> {}
    }
    stats =
        new WorkerStats(
            ledger.running(),
            ledger.queued(),
            launcher.succeeded(),
            launcher.failed(),
            poller.polls());
  }

  /** Leases have come. */
  void granted(List<TaskLease> leases) {
    ledger.grant(leases, loop.nowNanos());
    renewer.wake();
    launcher.launch();
    advance();
  }

  /** The service takes these back. */
  void revoked(List<Long> leaseIds) {
    if (!leaseIds.isEmpty()) {
      launcher.revoke(leaseIds, REVOKED);
    }
  }

  /** Another worker may have these by now. */
  void expired(List<Long> leaseIds) {
    launcher.revoke(leaseIds, EXPIRED);
  }

  /** The service has taken these results in. */
  void acknowledged(List<TaskResult> results, List<TaskResultAck> acks) {
    ledger.acknowledged(results, acks);
    long late = acks.stream().filter(Session::isLate).count();
    if (late > 0) {
      log.log(
          Level.INFO, "{0} results do not count: they came too late, or were known already", late);
    }
  }

  private static boolean isLate(TaskResultAck ack) {
    return ack.getStatus() == TaskResultStatus.TASK_RESULT_STATUS_STALE
        || ack.getStatus() == TaskResultStatus.TASK_RESULT_STATUS_UNKNOWN;
  }

  /** Nothing is owed any more. The report has overtaken the poll, so the poll is parked. */
  void reported() {
    if (phase == Phase.SERVING) {
      poller.slotsFreed();
    }
    advance();
  }

  // ------------------------------------------------------------------------------- trouble

  /** The service has answered. */
  void served() {
    if (inTrouble) {
      log.log(Level.INFO, "the service serves again");
    }
    inTrouble = false;
    silentSinceNanos = Long.MAX_VALUE;
  }

  /** The service has refused, or is out of reach; said to people once per outage. */
  void troubled(UwfqException refusal) {
    if (!inTrouble) {
      log.log(Level.WARNING, "the service does not serve, trying again: " + refusal.getMessage());
    }
    inTrouble = true;
  }

  /**
   * Timeout of what a worker says while it leaves. With nothing at stake, or in a hurry, it does
   * not wait for long.
   */
  Duration lastTimeout() {
    return hurried || ledger.settled() ? HURRIED_TIMEOUT : ANSWER_TIMEOUT;
  }

  /** Whether to try again. If not, the session is on its way to its end. */
  boolean endures(UwfqException refusal) {
    boolean fatal = isFatal(refusal);
    if (phase == Phase.SERVING && fatal) {
      fail(refusal);
      return false;
    }
    if (phase != Phase.SERVING && (fatal || outOfPatience())) {
      if (!isOver() && !ledger.settled()) {
        log.log(
            Level.WARNING, "stopping with results that were not reported: " + refusal.getMessage());
      }
      end();
      return false;
    }
    troubled(refusal);
    return true;
  }

  /** What no waiting will mend: the request itself is wrong. */
  private static boolean isFatal(UwfqException refusal) {
    return switch (refusal.code()) {
      case FAILED_PRECONDITION,
          INVALID_ARGUMENT,
          NOT_FOUND,
          PERMISSION_DENIED,
          UNAUTHENTICATED,
          UNIMPLEMENTED ->
          true;
      default -> false;
    };
  }

  private boolean outOfPatience() {
    if (ledger.busy()) {
      return false;
    }
    silentSinceNanos = Math.min(silentSinceNanos, loop.nowNanos());
    Duration patience = hurried || ledger.settled() ? LAST_POLL_PATIENCE : LAST_REPORT_PATIENCE;
    return loop.nowNanos() - silentSinceNanos > patience.toNanos();
  }

  private void fail(Throwable cause) {
    log.log(Level.ERROR, "the worker stops: " + cause.getMessage());
    failure = cause;
    stop(null);
  }

  /** A step of the loop has thrown: nothing here can be trusted any more. */
  private void defect(Throwable defect) {
    log.log(Level.ERROR, "a defect of the client; the worker ends at once", defect);
    failure = defect;
    if (isOver()) {
      ended.completeExceptionally(defect);
      loop.close();
    } else {
      end();
    }
  }

  // ------------------------------------------------------------------------------- the end

  private boolean isOver() {
    return phase == Phase.CLOSING || phase == Phase.ENDED;
  }

  private void stop(Duration grace) {
    if (grace != null) {
      loop.after(Calls.nanos(grace), this::giveUp);
    }
    if (phase == Phase.SERVING) {
      phase = Phase.DRAINING;
      poller.callOff();
    }
    advance();
  }

  private void giveUp() {
    if (isOver()) {
      return;
    }
    hurried = true;
    launcher.giveUp();
    leave();
  }

  private void leave() {
    phase = Phase.LEAVING;
    poller.callOff();
    reporter.callOff();
    farewell.say();
  }

  /** All is said. Handlers that still run were given up; they are waited for, but not for long. */
  void end() {
    if (isOver()) {
      return;
    }
    phase = Phase.CLOSING;
    poller.callOff();
    reporter.callOff();
    launcher.giveUp();
    loop.after(CLOSING_PATIENCE.toNanos(), this::close);
    advance();
  }

  private void close() {
    if (phase == Phase.ENDED) {
      return;
    }
    phase = Phase.ENDED;
    connection.close();
    if (ownExecutor != null) {
      ownExecutor.shutdown();
    }
    loop.close();
    if (failure == null) {
      ended.complete(null);
    } else {
      ended.completeExceptionally(failure);
    }
  }
}
