package io.uwfq.spark.conversation;

import java.util.Map;

/**
 * One immutable snapshot of where everybody stands, for Spark's scheduler to sort by.
 *
 * @param version the service's version of the ranking; 0: none was received yet
 * @param rankByStage place of each launchable stage, 0 first
 * @param deadlineByJob virtual deadline of each open job that the service has answered for
 * @param deadlineByUser the last deadline known of each user: where a next job would go at best
 * @param heardAtNanos {@link System#nanoTime} when the service last gave the order
 * @param reachable whether the order is fresh; false: order by yourself. A service that has just
 *     been lost leaves it fresh until {@code spark.uwfq.staleAfter} has passed: no other order is
 *     better
 */
public record Standings(
    long version,
    Map<StageKey, Integer> rankByStage,
    Map<String, Double> deadlineByJob,
    Map<String, Double> deadlineByUser,
    long heardAtNanos,
    boolean reachable) {
  /** Before the first answer. */
  public static final Standings NONE =
      new Standings(0, Map.of(), Map.of(), Map.of(), Long.MIN_VALUE, false);
}
