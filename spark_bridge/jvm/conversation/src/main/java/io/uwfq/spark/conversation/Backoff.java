package io.uwfq.spark.conversation;

import java.util.random.RandomGenerator;

/** How long to wait before the next try: doubling, up to a limit, and never all at once. */
final class Backoff {
  private Backoff() {}

  /**
   * Between half of a ceiling and all of it; the ceiling doubles with each failure.
   *
   * @param failures failures in a row before this one
   */
  static long millis(long first, long last, int failures, RandomGenerator random) {
    return jittered(Math.min(last, first << Math.min(failures, 10)), random);
  }

  /** Between half of it and all of it, at least 1. */
  static long jittered(long millis, RandomGenerator random) {
    long half = millis / 2;
    return Math.max(1, half + random.nextLong(millis - half + 1));
  }
}
