package io.uwfq.client;

import io.uwfq.v1.SchedulerServiceGrpc;
import io.uwfq.v1.TaskDoneRequest;
import io.uwfq.v1.TaskResult;
import java.util.List;

/** Sends results that would otherwise wait for a poll; one message at a time. */
final class Reporter {
  private final Session session;
  private final Ledger ledger;
  private final EventLoop loop;
  private final Backoff backoff;

  /** The report under way, or null, and what it carries. */
  private Caller.Call call;

  private List<TaskResult> sent = List.of();

  /** The wait before the next report: a poll that leaves before takes the results along. */
  private EventLoop.Timer due;

  Reporter(Session session) {
    this.session = session;
    this.ledger = session.ledger();
    this.loop = session.loop();
    this.backoff = new Backoff(session.options().backoff());
  }

  boolean underWay() {
    return call != null;
  }

  /** Sees that what is owed is not kept for long. */
  void wake() {
    if (call == null && due == null && ledger.owes()) {
      sendAfter(Calls.nanos(session.options().reportDelay()));
    }
  }

  /** Leaves the results to somebody else. */
  void callOff() {
    if (due != null) {
      due.cancel();
      due = null;
    }
    if (call != null) {
      call.cancel();
      call = null;
      ledger.putBack(sent);
    }
  }

  private void sendAfter(long nanos) {
    due =
        loop.after(
            nanos,
            () -> {
              due = null;
              send();
            });
  }

  private void send() {
    if (!ledger.owes()) {
      return; // A poll has taken them along.
    }
    sent = ledger.takeResults();
    TaskDoneRequest request =
        TaskDoneRequest.newBuilder()
            .setWorkerId(session.options().workerId())
            .addAllResults(sent)
            .build();
    call =
        session
            .caller()
            .call(
                SchedulerServiceGrpc.getTaskDoneMethod(),
                request,
                Session.ANSWER_TIMEOUT,
                response -> {
                  call = null;
                  backoff.reset();
                  session.served();
                  session.acknowledged(sent, response.getAcksList());
                  if (ledger.owes()) {
                    send();
                  } else {
                    session.reported();
                  }
                },
                this::refused);
  }

  private void refused(UwfqException refusal) {
    call = null;
    ledger.putBack(sent);
    if (session.endures(refusal)) {
      sendAfter(backoff.next(refusal.retryAfter()).toNanos());
    }
  }
}
