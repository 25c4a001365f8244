package io.uwfq.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.uwfq.v1.NextTaskRequest;
import java.time.Duration;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** How a worker ends: what it finishes, reports and gives back. */
class WorkerStopTest extends WorkerFixture {
  @Test
  void aStopFinishesAndReportsWhatIsHeldAndTakesLeave() throws Exception {
    service.addTasks("j", 10);
    CountDownLatch go = new CountDownLatch(1);
    Worker worker = worker().slots(1).prefetch(3).handler("noop", task -> hold(go)).build().start();
    service.await(() -> service.leased() == 4);
    worker.requestStop();
    go.countDown();
    worker.close();
    assertEquals(4, service.results().size());
    assertEquals(6, service.waiting());
    List<NextTaskRequest> polls = service.requests(NextTaskRequest.class);
    assertTrue(polls.get(polls.size() - 1).getLeaving());
  }

  @Test
  void aStopFetchesLeasesWhoseAnswerWasLost() throws Exception {
    service.addTasks("j", 2);
    service.lose(NextTaskRequest.class, 1000);
    Queue<Integer> ran = new ConcurrentLinkedQueue<>();
    Handler handler =
        task -> {
          ran.add(task.index());
          return Measurement.NONE;
        };
    Worker worker = worker().slots(2).handler("noop", handler).build().start();
    service.await(() -> service.leased() == 2);
    synchronized (service) { // So that no answer gets lost between the two.
      worker.requestStop();
      service.loseNothingMore();
    }
    worker.close();
    assertEquals(List.of(0, 1), ran.stream().sorted().toList());
    assertEquals(0, service.leased());
  }

  @Test
  void whatIsNotFinishedWithinTheGraceGoesBack() throws Exception {
    service.addTasks("j", 3);
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
    Worker worker = worker().slots(1).prefetch(2).handler("noop", handler).build().start();
    service.await(() -> service.leased() == 3);
    running.await();
    worker.stop(Duration.ofMillis(10));
    interrupted.await();
    assertEquals(0, service.leased());
    assertEquals(3, service.waiting());
    assertEquals(0, service.results().size());
  }

  /** A grace beyond what nanoseconds count is as long as it takes. */
  @Test
  void durationsMayBeAsLongAsTheyCome() throws Exception {
    service.addTasks("j", 1);
    CountDownLatch go = new CountDownLatch(1);
    Duration forEver = Duration.ofSeconds(Long.MAX_VALUE);
    Worker worker =
        worker().slots(1).pollWait(forEver).handler("noop", task -> hold(go)).build().start();
    service.await(() -> service.leased() == 1);
    worker.requestStop(forEver);
    go.countDown();
    worker.ended().join();
    assertEquals(1, service.results().size());
  }

  @Test
  void anIdleWorkerStopsAtOnceThoughItsPollIsParked() throws Exception {
    Worker worker =
        worker().slots(1).pollWait(LONG).handler("noop", task -> Measurement.NONE).build().start();
    service.await(() -> !service.requests(NextTaskRequest.class).isEmpty());
    worker.requestStop();
    worker.ended().get(10, TimeUnit.SECONDS);
  }

  @Test
  void anIdleWorkerDoesNotWaitForAServiceThatHangs() throws Exception {
    Worker worker = worker().slots(1).handler("noop", task -> Measurement.NONE).build().start();
    service.await(() -> !service.requests(NextTaskRequest.class).isEmpty());
    service.fallSilent();
    worker.requestStop();
    worker.ended().get(10, TimeUnit.SECONDS);
  }

  @Test
  void aWorkerStopsThoughTheServiceIsGone() throws Exception {
    service.addTasks("j", 1);
    CountDownLatch go = new CountDownLatch(1);
    Worker worker = worker().slots(1).handler("noop", task -> hold(go)).build().start();
    service.await(() -> service.leased() == 1);
    service.stop();
    worker.stop(Duration.ZERO);
    assertTrue(worker.ended().isDone());
  }

  @Test
  void aHandlerMayStopItsOwnWorker() throws Exception {
    service.addTasks("j", 1);
    Worker[] self = new Worker[1];
    self[0] =
        worker()
            .slots(1)
            .handler(
                "noop",
                task -> {
                  self[0].requestStop();
                  return Measurement.NONE;
                })
            .build();
    self[0].run();
    assertEquals(1, service.results().size());
  }

  @Test
  void whatWaitingDoesNotMendEndsTheWorker() {
    service.refuse(
        NextTaskRequest.class,
        FakeService.refusal(Status.Code.NOT_FOUND, "pool 'typo' does not exist"),
        100);
    Worker worker = worker().pool("typo").handler("noop", task -> Measurement.NONE).build();
    UwfqException refusal = assertThrows(UwfqException.class, worker::run);
    assertEquals(Status.Code.NOT_FOUND, refusal.code());
    CompletionException told = assertThrows(CompletionException.class, worker.ended()::join);
    assertInstanceOf(UwfqException.class, told.getCause());
  }
}
