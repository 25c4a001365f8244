package io.uwfq.client;

import io.uwfq.v1.TaskFailure;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Timeout;

/** A service that misbehaves on demand, and workers of it that do not wait for long. */
@Timeout(60)
abstract class WorkerFixture {
  static final Duration LONG = Duration.ofMinutes(10);

  final FakeService service = new FakeService();

  @AfterEach
  void stopTheService() {
    service.close();
  }

  /** Short waits between tries: these tests are about what is tried, not about how late. */
  Worker.Builder worker() {
    return Worker.builder(service.workerEndpoint())
        .backoff(new Backoff.Policy(Duration.ofMillis(1), Duration.ofMillis(20)));
  }

  void awaitResults(int count) throws InterruptedException {
    service.await(() -> service.results().size() == count);
  }

  /** Those of a closed worker: while it runs they may lag behind what the service has seen. */
  static WorkerStats statsAtTheEnd(Worker worker) {
    worker.close();
    return worker.stats();
  }

  TaskFailure failure(long leaseId) {
    return service.results().get(leaseId).getFailure();
  }

  /** A handler that runs until it is interrupted, or (in a test that has failed) for a minute. */
  static Measurement hold(CountDownLatch go) throws InterruptedException {
    go.await(1, TimeUnit.MINUTES);
    return Measurement.NONE;
  }
}
