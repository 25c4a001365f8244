package io.uwfq.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.v1.TaskLease;
import io.uwfq.v1.TaskResult;
import io.uwfq.v1.TaskResultAck;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class LedgerTest {
  private static final long SECOND = 1_000_000_000;

  private final Ledger ledger = new Ledger(2, 4);

  private static List<TaskLease> leases(long... leaseIds) {
    return LongStream.of(leaseIds).mapToObj(id -> lease(id, 1)).toList();
  }

  private static TaskLease lease(long leaseId, int slots) {
    return TaskLease.newBuilder()
        .setLeaseId(leaseId)
        .setSlots(slots)
        .setExpiresInSeconds(30)
        .build();
  }

  private static TaskResultAck ack(TaskResult result) {
    return TaskResultAck.newBuilder().setLeaseId(result.getLeaseId()).build();
  }

  @Test
  void aLeaseThatIsToldTwiceIsHeldOnce() {
    ledger.grant(leases(1, 2), 0);
    ledger.grant(leases(2, 3), 0);
    assertEquals(3, ledger.queued());
  }

  @Test
  void attemptsStartInOrderAndALargeOneIsNotOvertaken() {
    ledger.grant(List.of(lease(1, 1), lease(2, 2), lease(3, 1)), 0);
    Attempt first = ledger.start(0);
    assertEquals(1, first.leaseId());
    assertNull(ledger.start(0));
    ledger.finish(first, Outcome.lost("over"));
    assertEquals(2, ledger.start(0).leaseId());
    assertNull(ledger.start(0));
  }

  @Test
  void aTaskLargerThanTheWorkerRunsAlone() {
    ledger.grant(List.of(lease(1, 5), lease(2, 1)), 0);
    assertEquals(1, ledger.start(0).leaseId());
    assertEquals(0, ledger.freeSlots());
    assertNull(ledger.start(0));
  }

  @Test
  void aResultIsOwedUntilItIsAcknowledged() {
    ledger.grant(leases(1, 2), 0);
    ledger.finish(ledger.start(0), Outcome.lost("over"));
    ledger.finish(ledger.start(0), Outcome.lost("over"));
    List<TaskResult> sent = ledger.takeResults();
    assertFalse(ledger.owes());
    ledger.putBack(sent);
    assertEquals(sent, ledger.takeResults());
    ledger.acknowledged(sent, List.of(ack(sent.get(0))));
    assertEquals(List.of(sent.get(1)), ledger.takeResults());
    assertFalse(ledger.settled());
    ledger.acknowledged(sent.subList(1, 2), List.of(ack(sent.get(1))));
    assertTrue(ledger.settled());
  }

  @Test
  void workIsWantedOnceHalfOfTheQueueIsUsedUp() {
    assertTrue(ledger.wantsWork());
    ledger.grant(leases(1, 2, 3, 4, 5, 6), 0);
    Attempt first = ledger.start(0);
    Attempt second = ledger.start(0);
    assertFalse(ledger.wantsWork());
    ledger.finish(first, Outcome.lost("over"));
    ledger.finish(second, Outcome.lost("over"));
    assertFalse(ledger.wantsWork());
    ledger.finish(ledger.start(0), Outcome.lost("over"));
    assertTrue(ledger.wantsWork());
  }

  @Test
  void leasesAreRenewedAtAThirdTogetherWithThoseThatAreNearlyDue() {
    ledger.grant(leases(1), 0);
    ledger.grant(leases(2), 4 * SECOND);
    ledger.grant(leases(3), 6 * SECOND);
    assertEquals(10 * SECOND, ledger.nextRenewalNanos());
    assertEquals(List.of(1L, 2L), ledger.dueForRenewal(10 * SECOND));
    ledger.find(1).extend(30, 10 * SECOND);
    assertEquals(14 * SECOND, ledger.nextRenewalNanos());
  }

  @Test
  void onlyWhatHasQueuedForLongIsAnnounced() {
    ledger.grant(leases(1, 2), 0);
    ledger.start(0);
    Attempt late = ledger.start(SECOND);
    assertEquals(List.of(late), ledger.unannounced());
    assertEquals(2.0, late.start(3 * SECOND).getRunningSeconds());
  }

  @Test
  void whatIsAbandonedIsNotOwedAndMayStillEnd() {
    ledger.grant(leases(1, 2, 3), 0);
    Attempt ended = ledger.start(0);
    ledger.finish(ended, Outcome.returned(null, 1));
    Attempt running = ledger.start(0);
    assertEquals(List.of(running), ledger.abandon());
    assertFalse(ledger.busy());
    assertFalse(ledger.finish(running, Outcome.returned(null, 1)));
    assertEquals(List.of(1L), ledger.takeResults().stream().map(TaskResult::getLeaseId).toList());
  }

  @Test
  void aMessageIsCutWithoutHalfACharacterAtItsEnd() {
    String text = "x".repeat(4095) + "é";
    TaskResult result = Outcome.lost(text).result(lease(1, 1));
    assertEquals("x".repeat(4095), result.getFailure().getMessage());
  }
}
