package io.uwfq.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ServiceConfigTest {
  /** The jar carries a copy, as it leaves this repository. */
  @Test
  void isTheOneThatAllClientsShare() throws Exception {
    byte[] shared = Files.readAllBytes(Path.of("..", "service_config.json"));
    try (InputStream copy = ServiceConfig.class.getResourceAsStream("service_config.json")) {
      assertArrayEquals(shared, copy.readAllBytes());
    }
  }

  @Test
  void workersWaitAsTheConfigSays() {
    Backoff backoff = new Backoff(Backoff.Policy.DEFAULT, () -> 1.0);
    List<Long> waits =
        IntStream.range(0, 8).mapToObj(i -> backoff.next(Optional.empty()).toMillis()).toList();
    assertEquals(List.of(100L, 200L, 400L, 800L, 1600L, 3200L, 5000L, 5000L), waits);
    backoff.reset();
    // The service's hint is a floor.
    assertEquals(Duration.ofMillis(2100), backoff.next(Optional.of(Duration.ofSeconds(2))));
    Backoff lucky = new Backoff(Backoff.Policy.DEFAULT, () -> 0.0);
    assertEquals(Duration.ofMillis(50), lucky.next(Optional.empty()));
  }
}
