package io.uwfq.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.RenewLeasesRequest;
import io.uwfq.v1.TaskDoneRequest;
import io.uwfq.v1.TaskLease;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The worker against a service that misbehaves on demand. */
class WorkerTest extends WorkerFixture {
  // ------------------------------------------------------------------------------------- handlers

  @Test
  void everyTaskIsRunAndReportedOnceWithItsMeasurement() throws Exception {
    service.addTasks("j", 20);
    Queue<Integer> ran = new ConcurrentLinkedQueue<>();
    Handler handler =
        task -> {
          ran.add(task.index());
          return Measurement.ofInputBytes(7).withRows(task.index());
        };
    try (Worker worker = worker().slots(3).handler("noop", handler).build().start()) {
      awaitResults(20);
      assertEquals(20, statsAtTheEnd(worker).succeeded());
    }
    assertEquals(20, ran.size());
    service
        .results()
        .values()
        .forEach(result -> assertEquals(7, result.getSuccess().getInputBytes()));
    assertEquals(
        LongStream.range(0, 20).sum(),
        service.results().values().stream().mapToLong(each -> each.getSuccess().getRows()).sum());
  }

  @Test
  void neverMoreThanItsSlotsRunAtOnce() throws Exception {
    service.addTasks("j", 40);
    AtomicInteger running = new AtomicInteger();
    AtomicInteger most = new AtomicInteger();
    Handler handler =
        task -> {
          most.accumulateAndGet(running.incrementAndGet(), Math::max);
          Thread.yield();
          running.decrementAndGet();
          return Measurement.NONE;
        };
    try (Worker worker = worker().slots(2).prefetch(10).handler("noop", handler).build().start()) {
      awaitResults(40);
      assertEquals(40, statsAtTheEnd(worker).succeeded());
    }
    assertTrue(most.get() <= 2, "ran at once: " + most);
    service
        .requests(NextTaskRequest.class)
        .forEach(poll -> assertTrue(poll.getFreeSlots() <= 2, poll::toString));
  }

  @Test
  void whateverAHandlerThrowsIsAFailureWithItsMessage() throws Exception {
    for (String kind : List.of("throws", "error", "permanent", "unknown")) {
      service.addTasks(1, TaskLease.newBuilder().setJobId(kind).setKind(kind));
    }
    Worker.Builder builder =
        worker()
            .slots(1)
            .handler(
                "throws",
                task -> {
                  throw new IOException("disk on fire");
                })
            .handler(
                "error",
                task -> {
                  throw new StackOverflowError();
                })
            .handler(
                "permanent",
                task -> {
                  throw new PermanentFailure("no such column");
                });
    try (Worker worker = builder.build().start()) {
      awaitResults(4);
      assertEquals(4, statsAtTheEnd(worker).failed());
    }
    assertEquals("java.io.IOException: disk on fire", failure(1).getMessage());
    assertTrue(failure(1).getRetryable());
    assertEquals("java.lang.StackOverflowError", failure(2).getMessage());
    assertTrue(failure(2).getRetryable());
    assertEquals("no such column", failure(3).getMessage());
    assertFalse(failure(3).getRetryable());
    assertEquals("no handler for kind 'unknown'", failure(4).getMessage());
    assertTrue(failure(4).getRetryable());
  }

  /** Such as reads its message off a cause that it does not have. */
  private static final class Wordless extends RuntimeException {
    private static final long serialVersionUID = 1;

    @Override
    public String getMessage() {
      return getCause().getMessage();
    }
  }

  private static final class Textless extends RuntimeException {
    private static final long serialVersionUID = 1;

    @Override
    public String toString() {
      return null;
    }
  }

  @Test
  void whatIsThrownNeedNotHaveAText() throws Exception {
    service.addTasks("j", 2);
    Handler handler =
        task -> {
          throw task.index() == 0 ? new Wordless() : new Textless();
        };
    try (Worker worker = worker().slots(1).handler("noop", handler).build().start()) {
      awaitResults(2);
      assertEquals(2, statsAtTheEnd(worker).failed());
    }
    assertEquals(Wordless.class.getName() + ": (its text cannot be had)", failure(1).getMessage());
    assertTrue(failure(1).getRetryable());
    assertEquals("null", failure(2).getMessage());
  }

  @Test
  void aFailureThatTheLogCannotPrintEndsOnlyItsAttempt() throws Exception {
    service.addTasks("j", 2);
    Handler handler =
        task -> {
          // A try after the other, each with the one before as its cause: printing them recurses.
          RuntimeException last = new RuntimeException("try 0");
          for (int attempt = 1; attempt < 20_000; attempt++) {
            last = new RuntimeException("try " + attempt, last);
          }
          throw last;
        };
    try (Worker worker = worker().slots(1).handler("noop", handler).build().start()) {
      awaitResults(2);
      assertEquals(2, statsAtTheEnd(worker).failed());
      assertFalse(worker.ended().isCompletedExceptionally());
    }
    assertEquals("java.lang.RuntimeException: try 19999", failure(2).getMessage());
  }

  @Test
  void theDefaultHandlerTakesWhatNobodyElseDoes() throws Exception {
    service.addTasks(1, TaskLease.newBuilder().setKind("a"));
    service.addTasks(1, TaskLease.newBuilder().setKind("b"));
    Queue<String> calls = new ConcurrentLinkedQueue<>();
    Worker.Builder builder =
        worker()
            .slots(1)
            .executor(Runnable::run)
            .defaultHandler(
                task -> {
                  calls.add("default " + task.kind());
                  return Measurement.NONE;
                })
            .handler(
                "b",
                task -> {
                  calls.add("own " + task.kind());
                  return Measurement.NONE;
                });
    try (Worker worker = builder.build().start()) {
      awaitResults(2);
      assertEquals(2, statsAtTheEnd(worker).succeeded());
    }
    assertEquals(List.of("default a", "own b"), List.copyOf(calls));
  }

  // ------------------------------------------------------------------------------ polls, reports

  @Test
  void resultsRideOnTheNextPoll() throws Exception {
    service.addTasks("j", 1000);
    Worker.Builder builder =
        worker()
            .slots(1)
            .prefetch(99)
            .executor(Runnable::run)
            .reportDelay(LONG)
            .handler("noop", task -> Measurement.NONE);
    try (Worker worker = builder.build().start()) {
      awaitResults(1000);
      // About one for each half of the queue.
      assertTrue(worker.stats().polls() <= 30, "polls: " + worker.stats().polls());
    }
    assertEquals(List.of(), service.requests(TaskDoneRequest.class));
  }

  @Test
  void aResultDoesNotWaitForAParkedPoll() throws Exception {
    service.addTasks("j", 2);
    CountDownLatch go = new CountDownLatch(1);
    Handler handler = task -> task.index() == 1 ? hold(go) : Measurement.NONE;
    try (Worker worker = worker().slots(3).pollWait(LONG).handler("noop", handler).build()) {
      worker.start();
      awaitResults(1);
      go.countDown();
      awaitResults(2);
      assertFalse(service.requests(TaskDoneRequest.class).isEmpty());
    }
  }

  @Test
  void aParkedPollIsAskedAnewWhenMoreSlotsAreFree() throws Exception {
    service.addTasks("small", 2);
    CountDownLatch go = new CountDownLatch(1);
    Handler handler = task -> task.jobId().equals("small") ? hold(go) : Measurement.NONE;
    try (Worker worker = worker().slots(3).pollWait(LONG).handler("noop", handler).build()) {
      worker.start();
      service.await(() -> service.requests(NextTaskRequest.class).size() == 2);
      go.countDown();
      service.await(
          () ->
              service.requests(NextTaskRequest.class).stream()
                  .skip(1)
                  .anyMatch(poll -> poll.getFreeSlots() == 3));
      service.addTasks(1, TaskLease.newBuilder().setJobId("large").setKind("noop").setSlots(3));
      awaitResults(3);
    }
  }

  @Test
  void aLostAnswerToAPollLosesNoLease() throws Exception {
    service.addTasks("j", 6);
    service.lose(NextTaskRequest.class, 3);
    Queue<Long> ran = new ConcurrentLinkedQueue<>();
    Handler handler =
        task -> {
          ran.add(task.lease().getLeaseId());
          return Measurement.NONE;
        };
    try (Worker worker = worker().slots(2).handler("noop", handler).build().start()) {
      awaitResults(6);
      assertEquals(6, statsAtTheEnd(worker).succeeded());
    }
    assertEquals(List.of(1L, 2L, 3L, 4L, 5L, 6L), ran.stream().sorted().toList());
    List<Long> pollIds =
        service.requests(NextTaskRequest.class).stream()
            .limit(5)
            .map(NextTaskRequest::getPollId)
            .toList();
    assertEquals(List.of(1L, 1L, 1L, 1L, 2L), pollIds);
  }

  @Test
  void lostAnswersToReportsAreAskedForAgain() throws Exception {
    service.addTasks("j", 8);
    service.lose(TaskDoneRequest.class, 3);
    service.refuse(TaskDoneRequest.class, FakeService.exhausted(1), 3);
    CountDownLatch all = new CountDownLatch(8);
    Handler handler =
        task -> {
          all.countDown();
          return hold(all);
        };
    try (Worker worker =
        worker().slots(8).reportDelay(Duration.ZERO).handler("noop", handler).build()) {
      worker.start();
      awaitResults(8);
    }
    assertEquals(0, service.leased());
  }

  @Test
  void resultsOutliveAnOutageAndWorkGoesOn() throws Exception {
    service.addTasks("before", 2);
    CountDownLatch go = new CountDownLatch(1);
    CyclicBarrier began = new CyclicBarrier(3);
    CyclicBarrier ended = new CyclicBarrier(3);
    Queue<String> ran = new ConcurrentLinkedQueue<>();
    Handler handler =
        task -> {
          ran.add(task.jobId());
          if (task.jobId().equals("before")) {
            began.await();
            hold(go);
            ended.await();
          }
          return Measurement.NONE;
        };
    try (Worker worker = worker().slots(2).handler("noop", handler).build().start()) {
      began.await();
      service.stop();
      go.countDown();
      ended.await();
      service.start();
      service.addTasks("after", 2);
      awaitResults(4);
      assertEquals(4, statsAtTheEnd(worker).succeeded());
    }
    assertEquals(List.of("before", "before", "after", "after"), List.copyOf(ran));
  }

  // ------------------------------------------------------------------------------------- leases

  @Test
  void leasesAreRenewedTogetherWhileTheirTasksRunAndDespiteRefusals() throws Exception {
    service.leaseSeconds(0.15);
    service.refuse(RenewLeasesRequest.class, FakeService.unavailable(), 2);
    service.addTasks("j", 3);
    CountDownLatch go = new CountDownLatch(1);
    try (Worker worker = worker().slots(3).handler("noop", task -> hold(go)).build().start()) {
      service.await(() -> service.requests(RenewLeasesRequest.class).size() >= 5);
      go.countDown();
      awaitResults(3);
      assertEquals(3, statsAtTheEnd(worker).succeeded());
    }
    assertEquals(
        List.of(1L, 2L, 3L), service.requests(RenewLeasesRequest.class).get(0).getLeaseIdsList());
  }

  @ParameterizedTest
  @ValueSource(strings = {"renewal", "poll"})
  void aRevokedLeaseInterruptsItsHandler(String learnedBy) throws Exception {
    boolean byRenewal = learnedBy.equals("renewal");
    service.leaseSeconds(byRenewal ? 0.15 : 30);
    service.addTasks("j", 1);
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch cancelled = new CountDownLatch(1);
    Handler handler =
        task -> {
          running.countDown();
          try {
            return hold(new CountDownLatch(1));
          } catch (InterruptedException interruption) {
            if (task.cancelled()) {
              cancelled.countDown();
            }
            throw interruption;
          }
        };
    // With all slots taken no poll is parked, so only a renewal can tell.
    try (Worker worker = worker().slots(byRenewal ? 1 : 2).handler("noop", handler).build()) {
      worker.start();
      running.await();
      service.revoke(1);
      awaitResults(1);
    }
    assertEquals(0, cancelled.getCount());
    assertEquals("its job was cancelled or has failed, or its time is up", failure(1).getMessage());
  }

  @Test
  void anExpiredLeaseInterruptsItsHandlerAndItsResultIsDropped() throws Exception {
    service.leaseSeconds(0.15);
    service.addTasks("j", 1);
    CountDownLatch running = new CountDownLatch(1);
    CountDownLatch interrupted = new CountDownLatch(1);
    Handler handler =
        task -> {
          running.countDown();
          try {
            return hold(new CountDownLatch(1));
          } finally {
            interrupted.countDown();
          }
        };
    try (Worker worker = worker().slots(1).handler("noop", handler).build().start()) {
      running.await();
      service.expireLeases();
      interrupted.await();
      // UNKNOWN is an acknowledgement: the slot is free, and work goes on.
      service.addTasks(1, TaskLease.newBuilder().setKind("other"));
      service.await(() -> service.results().size() == 1);
      assertEquals(2, statsAtTheEnd(worker).failed());
    }
  }

  @Test
  void aTimeLimitEndsTheAttempt() throws Exception {
    service.addTasks(1, TaskLease.newBuilder().setKind("noop").setTimeLimitSeconds(0.02));
    Handler handler = task -> hold(new CountDownLatch(1));
    try (Worker worker = worker().slots(1).handler("noop", handler).build().start()) {
      awaitResults(1);
      assertEquals(1, statsAtTheEnd(worker).failed());
    }
    assertTrue(failure(1).getRetryable());
    assertEquals("it ran longer than its limit of 0.02 s", failure(1).getMessage());
  }
}
