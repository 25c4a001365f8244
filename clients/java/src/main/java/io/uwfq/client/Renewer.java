package io.uwfq.client;

import io.uwfq.v1.LeaseRenewal;
import io.uwfq.v1.LeaseStatus;
import io.uwfq.v1.RenewLeasesRequest;
import io.uwfq.v1.RenewLeasesResponse;
import io.uwfq.v1.SchedulerServiceGrpc;
import java.util.List;

/** Extends leases at a third of their time, and learns which of them are void. */
final class Renewer {
  private final Session session;
  private final Ledger ledger;
  private final EventLoop loop;
  private final Backoff backoff;

  /** The renewal under way; or null. */
  private Caller.Call call;

  /** The timer of the next renewal, or null, and when it is due. */
  private EventLoop.Timer due;

  private long dueAtNanos = Attempt.NEVER;

  Renewer(Session session) {
    this.session = session;
    this.ledger = session.ledger();
    this.loop = session.loop();
    this.backoff = new Backoff(session.options().backoff());
  }

  /** Plans the next renewal, as leases have come or were extended. */
  void wake() {
    long nextNanos = ledger.nextRenewalNanos();
    if (call != null || due != null && dueAtNanos <= nextNanos) {
      return; // It will look again.
    }
    if (nextNanos != Attempt.NEVER) {
      plan(nextNanos);
    }
  }

  private void plan(long atNanos) {
    if (due != null) {
      due.cancel();
    }
    dueAtNanos = atNanos;
    due = loop.after(Math.max(atNanos - loop.nowNanos(), 0), this::renew);
  }

  private void renew() {
    due = null;
    long nowNanos = loop.nowNanos();
    List<Long> leaseIds =
        ledger.nextRenewalNanos() <= nowNanos ? ledger.dueForRenewal(nowNanos) : List.of();
    if (leaseIds.isEmpty()) {
      wake(); // They have ended meanwhile; an empty list would mean all.
      return;
    }
    List<Attempt> started = ledger.unannounced();
    RenewLeasesRequest.Builder request =
        RenewLeasesRequest.newBuilder()
            .setWorkerId(session.options().workerId())
            .addAllLeaseIds(leaseIds);
    started.forEach(attempt -> request.addStarted(attempt.start(nowNanos)));
    call =
        session
            .caller()
            .call(
                SchedulerServiceGrpc.getRenewLeasesMethod(),
                request.build(),
                Session.ANSWER_TIMEOUT,
                response -> answered(response, started),
                this::refused);
  }

  private void answered(RenewLeasesResponse response, List<Attempt> started) {
    call = null;
    backoff.reset();
    session.served();
    started.forEach(attempt -> attempt.announced = true);
    response.getRenewalsList().forEach(this::take);
    wake();
  }

  private void take(LeaseRenewal renewal) {
    Attempt attempt = ledger.find(renewal.getLeaseId());
    if (attempt == null) {
      return; // Reported and acknowledged meanwhile.
    }
    if (renewal.getStatus() == LeaseStatus.LEASE_STATUS_RENEWED) {
      attempt.extend(renewal.getExpiresInSeconds(), loop.nowNanos());
      return;
    }
    attempt.renewAtNanos = Attempt.NEVER;
    List<Long> leaseIds = List.of(renewal.getLeaseId());
    if (renewal.getStatus() == LeaseStatus.LEASE_STATUS_REVOKED) {
      session.revoked(leaseIds);
    } else {
      session.expired(leaseIds);
    }
  }

  private void refused(UwfqException refusal) {
    call = null;
    // The polls will find out whether it is fatal.
    session.troubled(refusal);
    plan(loop.nowNanos() + backoff.next(refusal.retryAfter()).toNanos());
  }
}
