package io.uwfq.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Target sizes give the number of tasks asked for, as nearly as the pieces allow. */
class TargetSizesTest {

  @Test
  void roundingKeepsWithinASixteenth() {
    Random random = new Random(1);
    for (int i = 0; i < 10_000; i++) {
      long bytes = 1 + (random.nextLong() >>> (2 + random.nextInt(60)));
      long rounded = TargetSizes.roundedUp(bytes);
      assertTrue(rounded >= bytes && rounded - bytes <= bytes / 16, bytes + " to " + rounded);
      assertEquals(rounded, TargetSizes.roundedUp(rounded));
    }
  }

  @Test
  void evenPartitionsJoinEvenly() {
    long[] even = new long[200];
    Arrays.fill(even, 1000);
    for (int taskCount : new int[] {200, 100, 50, 40, 1}) {
      long target = TargetSizes.forShuffle(even, taskCount);
      assertEquals(taskCount, TargetSizes.taskCountWith(even, target));
    }
    // 150 tasks cannot be had, and 200 were not asked for.
    assertEquals(100, TargetSizes.taskCountWith(even, TargetSizes.forShuffle(even, 150)));
  }

  @Test
  void targetIsTheSmallestThatWillDo() {
    Random random = new Random(2);
    for (int i = 0; i < 500; i++) {
      long[] bytes = random.longs(1 + random.nextInt(30), 0, 50).toArray();
      int taskCount = 1 + random.nextInt(bytes.length);
      long target = TargetSizes.forShuffle(bytes, taskCount);
      assertTrue(TargetSizes.taskCountWith(bytes, target) <= taskCount);
      long total = Arrays.stream(bytes).sum();
      if (target > 1 && target > TargetSizes.ceilDiv(total, taskCount)) {
        assertTrue(TargetSizes.taskCountWith(bytes, target - 1) > taskCount);
      }
    }
  }
}
