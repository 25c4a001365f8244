package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.fail;

import java.time.Duration;
import java.util.concurrent.Callable;

/** Waits for what another thread or process will bring about. */
final class Waiting {
  private static final Duration LIMIT = Duration.ofSeconds(30);

  private Waiting() {}

  /** Returns once the condition holds; fails, saying what was awaited, after half a minute. */
  static void until(String what, Callable<Boolean> condition) throws Exception {
    long untilNanos = System.nanoTime() + LIMIT.toNanos();
    while (!condition.call()) {
      if (System.nanoTime() > untilNanos) {
        fail("in vain awaited: " + what);
      }
      Thread.sleep(5);
    }
  }
}
