package io.uwfq.client;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.DoubleSupplier;

/**
 * The waits between the tries of one thing: they double up to a limit, and are spread at random so
 * that a thousand clients don't come back as one. Not thread-safe.
 */
final class Backoff {
  /** The first ceiling and the last one; a wait lies between half of its ceiling and all of it. */
  record Policy(Duration initial, Duration max) {
    /** That of the shared service config. */
    static final Policy DEFAULT = new Policy(Duration.ofMillis(100), Duration.ofSeconds(5));
  }

  /** Beyond it the limit has long won. */
  private static final int MAX_DOUBLINGS = 30;

  private final Policy policy;
  private final DoubleSupplier spread;
  private int failures;

  Backoff(Policy policy) {
    this(policy, () -> ThreadLocalRandom.current().nextDouble());
  }

  Backoff(Policy policy, DoubleSupplier spread) {
    this.policy = policy;
    this.spread = spread;
  }

  /** A try has succeeded: the next trouble starts with a short wait again. */
  void reset() {
    failures = 0;
  }

  /**
   * How long to wait after one more failure.
   *
   * @param hint the service's own: coming earlier would be refused again. It is the same for
   *     everyone, so the spread goes on top of it.
   */
  Duration next(Optional<Duration> hint) {
    double factor = Math.scalb(1.0, Math.min(failures++, MAX_DOUBLINGS));
    double ceiling = Math.min(policy.initial.toNanos() * factor, policy.max.toNanos());
    Duration wait = Duration.ofNanos((long) (ceiling * (0.5 + 0.5 * spread.getAsDouble())));
    return hint.map(wait::plus).orElse(wait);
  }
}
