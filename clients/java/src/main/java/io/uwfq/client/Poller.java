package io.uwfq.client;

import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.NextTaskResponse;
import io.uwfq.v1.SchedulerServiceGrpc;
import io.uwfq.v1.TaskResult;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * Asks for leases when slots are free; results ride along. A long poll, one at a time.
 *
 * <p>A poll carries an id that rises only when its answer has arrived. One whose answer was lost,
 * or that was called off, is repeated under the same id, and the service grants the same leases
 * again.
 */
final class Poller {
  /** A poll that brings nothing and is answered so soon was not parked; ask again less eagerly. */
  private static final long HASTY_NANOS = 50_000_000;

  private static final double NANOS_PER_SECOND = 1e9;

  private final Session session;
  private final WorkerOptions options;
  private final Ledger ledger;
  private final EventLoop loop;
  private final Backoff backoff;

  private long pollId = 1;
  private long polls;

  /** Whether a poll with this id was sent, and its answer has not arrived. */
  private boolean open;

  /**
   * The poll under way, or null; the free slots that it speaks of, and the results that it carries.
   */
  private Caller.Call call;

  private int polledFreeSlots;
  private List<TaskResult> riding = List.of();

  /** The wait before the next poll; or null. */
  private EventLoop.Timer pause;

  Poller(Session session) {
    this.session = session;
    this.options = session.options();
    this.ledger = session.ledger();
    this.loop = session.loop();
    this.backoff = new Backoff(options.backoff());
  }

  long polls() {
    return polls;
  }

  /** Whether the service may have granted leases that have not arrived. */
  boolean open() {
    return open;
  }

  /** Polls if there is anything to poll for. */
  void wake() {
    if (call == null && pause == null && ledger.wantsWork()) {
      poll(Duration.ofNanos(Calls.nanos(options.pollWait())), false);
    }
  }

  /** Fetches the leases of a poll whose answer has not arrived, and no others. */
  void settle() {
    if (call == null && pause == null && open) {
      poll(Duration.ZERO, true);
    }
  }

  /** Slots were freed while the poll is parked: it may be waiting for a task that is too large. */
  void slotsFreed() {
    if (call != null && ledger.freeSlots() > polledFreeSlots) {
      callOff();
      wake();
    }
  }

  /** Stops waiting for the answer of a poll; its id stays open. */
  void callOff() {
    if (pause != null) {
      pause.cancel();
      pause = null;
    }
    if (call != null) {
      call.cancel();
      call = null;
      ledger.putBack(riding);
    }
  }

  private void poll(Duration wait, boolean last) {
    Duration answerTimeout = last ? session.lastTimeout() : Session.ANSWER_TIMEOUT;
    riding = ledger.takeResults();
    polledFreeSlots = ledger.freeSlots();
    open = true;
    polls++;
    long sentAtNanos = loop.nowNanos();
    List<Attempt> started = ledger.unannounced();
    call =
        session
            .caller()
            .call(
                SchedulerServiceGrpc.getNextTaskMethod(),
                request(wait, last, started),
                wait.plus(answerTimeout),
                response -> answered(response, started, sentAtNanos),
                this::refused);
  }

  private NextTaskRequest request(Duration wait, boolean last, List<Attempt> started) {
    long nowNanos = loop.nowNanos();
    NextTaskRequest.Builder request =
        NextTaskRequest.newBuilder()
            .setPool(options.pool())
            .setWorkerId(options.workerId())
            .setSlots(options.slots())
            .setFreeSlots(polledFreeSlots)
            .setPrefetch(options.prefetch())
            .setWaitSeconds(wait.toNanos() / NANOS_PER_SECOND)
            .setPollId(pollId)
            .addAllDone(riding);
    started.forEach(attempt -> request.addStarted(attempt.start(nowNanos)));
    if (last) {
      request.setMaxTasks(0);
    } else {
      options.maxBatch().ifPresent(request::setMaxTasks);
    }
    return request.build();
  }

  private void answered(NextTaskResponse response, List<Attempt> started, long sentAtNanos) {
    call = null;
    open = false;
    pollId++;
    session.served();
    session.acknowledged(riding, response.getDoneAcksList());
    started.forEach(attempt -> attempt.announced = true);
    boolean fruitful =
        response.getLeasesCount() + response.getRevokedLeaseIdsCount() + riding.size() > 0;
    if (fruitful || loop.nowNanos() - sentAtNanos > HASTY_NANOS) {
      backoff.reset();
    } else {
      pause(backoff.next(Optional.empty()));
    }
    session.granted(response.getLeasesList());
    session.revoked(response.getRevokedLeaseIdsList());
  }

  private void refused(UwfqException refusal) {
    call = null;
    ledger.putBack(riding);
    if (session.endures(refusal)) {
      pause(backoff.next(refusal.retryAfter()));
    } else {
      open = false; // Nobody will fetch what it was granted.
      session.advance();
    }
  }

  private void pause(Duration wait) {
    pause =
        loop.after(
            wait.toNanos(),
            () -> {
              pause = null;
              session.advance();
            });
  }
}
