package io.uwfq.spark.conversation;

import java.util.random.RandomGenerator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Whether the service answers, and how long to wait before it is asked again.
 *
 * <p>Losing and finding it are each logged once, whatever the number of calls that fail meanwhile.
 * Confined to the speaker's thread, but for {@link #answers}, which any thread may read.
 */
final class Contact {
  private static final Logger LOG = LoggerFactory.getLogger(Contact.class);
  private static final long FIRST_DELAY_MILLIS = 100;
  private static final long LAST_DELAY_MILLIS = 2_000;

  private final String target;
  private final Figures figures;
  private final RandomGenerator random;

  private boolean everHeard;
  private boolean lost;
  private int failures;
  private volatile boolean answers = true;

  Contact(String target, Figures figures, RandomGenerator random) {
    this.target = target;
    this.figures = figures;
    this.random = random;
  }

  /** Whether the last that was heard of the service is an answer. Before the first call: true. */
  boolean answers() {
    return answers;
  }

  /** The service has answered. Returns whether it had been lost: then all is to be said again. */
  boolean heard() {
    failures = 0;
    answers = true;
    boolean found = lost && everHeard;
    if (found) {
      figures.rejoins.increment();
      LOG.info("UWFQ service at {} answers again: it orders the tasks from now on", target);
    } else if (!everHeard) {
      LOG.info("UWFQ service at {} orders the tasks", target);
    }
    everHeard = true;
    lost = false;
    return found;
  }

  /** A call has failed since the service is out of reach. Returns milliseconds to wait. */
  long failed(String why) {
    answers = false;
    if (!lost) {
      lost = true;
      if (everHeard) {
        figures.fallbacks.increment();
      }
      LOG.warn(
          "UWFQ service at {} does not answer ({}). Spark goes on without: {}. The service is asked"
              + " again until it answers",
          target,
          why,
          everHeard ? "in the last order for a while, then users take turns" : "users take turns");
    }
    long ceiling = Math.min(LAST_DELAY_MILLIS, FIRST_DELAY_MILLIS << Math.min(failures++, 10));
    return ceiling / 2 + random.nextLong(ceiling / 2 + 1);
  }
}
