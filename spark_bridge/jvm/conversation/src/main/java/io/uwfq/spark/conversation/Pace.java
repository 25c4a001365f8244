package io.uwfq.spark.conversation;

/**
 * How long what can wait waits for company, before it is said or asked.
 *
 * <p>A call now and then costs the driver and the service milliseconds of processor time, as much
 * as some tens of tasks in it. A deadline that moves is worth a quarter of a second's wait, for a
 * job that comes has its own with the answer. While there is one job the order has nothing to
 * change: then the talk is leisurely. The second job is told at once, and so is the end of each.
 *
 * <p>Under a gate Spark waits for the answers, so that nothing is held back for long. The jobs are
 * counted on the speaker's thread; the rest is safe from any.
 */
final class Pace {
  private static final long GATHER_MILLIS = 50;
  private static final long REPORT_MILLIS = 250;
  private static final long HURRIED_REPORT_MILLIS = 25;

  /** Longer than between reports: as long as they flow, the order comes with their answers. */
  private static final long ORDER_MILLIS = 1_000;

  private static final long GATED_GATHER_MILLIS = 3;
  private static final long GATED_ORDER_MILLIS = 5;

  private static final long LEISURELY_GATHER_MILLIS = 250;
  private static final long LEISURELY_MILLIS = 500;

  private final boolean gated;

  /** Short enough for silence to be noticed in time. */
  private final long orderMillis;

  /** Jobs that Spark has not ended; {@code volatile} for those who bring facts. */
  private volatile int jobs;

  Pace(Settings settings) {
    gated = settings.gate() == Settings.Gate.LEASES;
    orderMillis =
        gated ? GATED_ORDER_MILLIS : Math.min(ORDER_MILLIS, settings.staleAfterMillis() / 4);
  }

  /** A job more. Returns whether the talk was leisurely up to now, and is no longer. */
  boolean jobAppeared() {
    boolean before = isLeisurely();
    jobs = jobs + 1;
    return before && !isLeisurely();
  }

  void jobEnded() {
    jobs = jobs - 1;
  }

  private boolean isLeisurely() {
    return !gated && jobs <= 1;
  }

  /** How long facts about attempts gather before they are taken in. */
  long gatherMillis() {
    return gated ? GATED_GATHER_MILLIS : isLeisurely() ? LEISURELY_GATHER_MILLIS : GATHER_MILLIS;
  }

  /** From the answer to a report to the next report; {@code hurried}: somebody waits for it. */
  long reportMillis(boolean hurried) {
    if (gated) {
      return 0;
    }
    return hurried ? HURRIED_REPORT_MILLIS : isLeisurely() ? LEISURELY_MILLIS : REPORT_MILLIS;
  }

  /** From the news of a stage to its announcement, so that several share one. */
  long announceMillis() {
    return isLeisurely() ? LEISURELY_MILLIS : 0;
  }

  /** From one order to the poll for the next, so that a storm of changes is one answer. */
  long orderMillis() {
    return orderMillis;
  }
}
