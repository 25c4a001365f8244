package io.uwfq.spark.conversation;

import java.util.concurrent.atomic.LongAdder;

/** What the bridge counts. Shown through Spark's metrics system; safe from any thread. */
public final class Figures {
  /** RPCs that were answered, long polls apart. */
  public final LongAdder rpcs = new LongAdder();

  /** RPCs that failed, whatever the reason. */
  public final LongAdder failedRpcs = new LongAdder();

  /** Sum of the round trips of the {@link #rpcs}, nanoseconds. */
  public final LongAdder rpcNanos = new LongAdder();

  /** Times that the service was lost. */
  public final LongAdder fallbacks = new LongAdder();

  /** Times that it was found again. */
  public final LongAdder rejoins = new LongAdder();

  /** Placements of a stage that the service had not ranked yet. */
  public final LongAdder provisionalPlacements = new LongAdder();

  /** Placements by round-robin over users, without the service. */
  public final LongAdder roundRobinPlacements = new LongAdder();

  /**
   * Exceptions that were caught under Spark's scheduler lock, and answered by Spark's own order.
   */
  public final LongAdder caughtErrors = new LongAdder();

  /** Facts about jobs and stages that were never announced, or that found the queue full. */
  public final LongAdder droppedFacts = new LongAdder();

  /** Jobs that the service does not take, or fails at each time: they run unscheduled. */
  public final LongAdder givenUpJobs = new LongAdder();

  /** Stages that were cut as the service said. */
  public final LongAdder splits = new LongAdder();

  /** Stages that stayed as Spark had cut them since no answer came in time. */
  public final LongAdder splitTimeouts = new LongAdder();

  /** Exceptions that were caught while a query was planned; its plan stayed as Spark made it. */
  public final LongAdder planningErrors = new LongAdder();

  /** Launches without a lease, since the service had not answered in time. */
  public final LongAdder launchesWithoutLease = new LongAdder();
}
