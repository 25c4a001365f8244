package io.uwfq.spark.sql;

/** Arithmetic of bytes per task. */
final class TargetSizes {
  /** Sizes between a power of two and the next. */
  private static final int STEPS_PER_OCTAVE = 16;

  private TargetSizes() {}

  static long ceilDiv(long bytes, long parts) {
    return bytes / parts + (bytes % parts == 0 ? 0 : 1);
  }

  /**
   * The next size, at least as large, of a grid of 16 per octave: at most a sixteenth larger. So
   * that sizes that hardly differ share a session.
   */
  static long roundedUp(long bytes) {
    long step = Math.max(1, Long.highestOneBit(bytes) / STEPS_PER_OCTAVE);
    return ceilDiv(bytes, step) * step;
  }

  /**
   * The smallest target size with which neighbours join into at most {@code taskCount} tasks.
   *
   * <p>A task takes partitions in their order until the next one would exceed the target, as Spark
   * does it; so a target of bytes over tasks alone may give nearly twice the tasks.
   *
   * @param bytesByPartition what each shuffle partition holds, all inputs together
   * @return bytes; cost: 63 passes over the partitions at most
   */
  static long forShuffle(long[] bytesByPartition, int taskCount) {
    long total = 0;
    for (long bytes : bytesByPartition) {
      total += bytes;
    }
    long low = Math.max(1, ceilDiv(total, taskCount));
    long high = Math.max(low, total);
    while (low < high) {
      long middle = low + (high - low) / 2;
      if (taskCountWith(bytesByPartition, middle) <= taskCount) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  static int taskCountWith(long[] bytesByPartition, long targetBytes) {
    int tasks = 0;
    long current = 0;
    for (long bytes : bytesByPartition) {
      // A task with nothing to read is not launched.
      if (current > 0 && current + bytes > targetBytes) {
        tasks++;
        current = 0;
      }
      current += bytes;
    }
    return tasks + (current > 0 ? 1 : 0);
  }
}
