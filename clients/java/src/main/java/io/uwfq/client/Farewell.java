package io.uwfq.client;

import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.SchedulerServiceGrpc;
import io.uwfq.v1.TaskDoneRequest;
import io.uwfq.v1.TaskResult;
import java.time.Duration;
import java.util.List;

/**
 * A worker's last words: what is still owed, and a last poll that says that it leaves. What it
 * holds by then goes to other workers; of that, what has not begun was no attempt.
 */
final class Farewell {
  private final Session session;
  private final Ledger ledger;
  private final Backoff backoff;

  private Caller.Call call;
  private List<TaskResult> sent = List.of();

  Farewell(Session session) {
    this.session = session;
    this.ledger = session.ledger();
    this.backoff = new Backoff(session.options().backoff());
  }

  /** Says it; again, in less time, if it is being said already. */
  void say() {
    if (call != null) {
      call.cancel();
      ledger.putBack(sent);
    }
    Duration timeout = session.lastTimeout();
    sent = ledger.takeResults();
    String workerId = session.options().workerId();
    if (ledger.owes()) {
      // More than a message takes. The last poll voids the leases, so these go before.
      TaskDoneRequest request =
          TaskDoneRequest.newBuilder().setWorkerId(workerId).addAllResults(sent).build();
      call =
          session
              .caller()
              .call(
                  SchedulerServiceGrpc.getTaskDoneMethod(),
                  request,
                  timeout,
                  response -> {
                    call = null;
                    session.acknowledged(sent, response.getAcksList());
                    say();
                  },
                  this::refused);
      return;
    }
    NextTaskRequest request =
        NextTaskRequest.newBuilder()
            .setPool(session.options().pool())
            .setWorkerId(workerId)
            .addAllDone(sent)
            .setLeaving(true)
            .build();
    call =
        session
            .caller()
            .call(
                SchedulerServiceGrpc.getNextTaskMethod(),
                request,
                timeout,
                response -> {
                  call = null;
                  session.acknowledged(sent, response.getDoneAcksList());
                  session.end();
                },
                this::refused);
  }

  private void refused(UwfqException refusal) {
    call = null;
    ledger.putBack(sent);
    sent = List.of();
    if (session.endures(refusal)) {
      session
          .loop()
          .after(
              backoff.next(refusal.retryAfter()).toNanos(),
              () -> {
                if (call == null) {
                  say();
                }
              });
    }
  }
}
