package io.uwfq.client;

import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a worker refuses before it talks to a service. */
@Timeout(60)
class WorkerBuilderTest {
  private static final Handler NOTHING = task -> Measurement.NONE;

  @Test
  void aWorkerServesOnce() {
    try (FakeService service = new FakeService();
        Worker worker = Worker.builder(service.workerEndpoint()).handler("k", NOTHING).build()) {
      worker.start();
      assertThrows(IllegalStateException.class, worker::start);
    }
  }

  @Test
  void whatCannotWorkIsRefusedAtOnce() {
    Worker.Builder builder = Worker.builder(Endpoint.DEFAULT_TARGET);
    assertThrows(IllegalStateException.class, builder::build);
    builder.handler("k", NOTHING);
    assertThrows(IllegalArgumentException.class, () -> builder.handler("k", NOTHING));
    assertThrows(IllegalArgumentException.class, () -> builder.slots(0));
    assertThrows(IllegalArgumentException.class, () -> builder.slots(Integer.MAX_VALUE));
    assertThrows(IllegalArgumentException.class, () -> builder.prefetch(-1));
    assertThrows(IllegalArgumentException.class, () -> builder.prefetch(1_000_001));
  }
}
