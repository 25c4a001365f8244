package io.uwfq.spark.conversation;

import java.util.random.RandomGenerator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Whether the service answers, and how long to wait before it is asked again.
 *
 * <p>The poll for the order alone decides: it is under way, or soon to be when no report is
 * answered, so a broken connection shows there at once, and a call that one job fails with says
 * nothing about the others.
 *
 * <pre>
 *   silent  -- an answer --&gt;  answers       all that is open is said (again)
 *   answers -- a failure --&gt;  silent        nothing more is said, but the poll
 * </pre>
 *
 * <p>A single failure (a proxy that closes old connections, say) is no news. The second in a row,
 * or silence for too long, is logged as a loss, once; and the end of it, once. Confined to the
 * speaker's thread, but for {@link #answers}, which any thread may read.
 */
final class Contact {
  private static final Logger LOG = LoggerFactory.getLogger(Contact.class);
  private static final long FIRST_DELAY_MILLIS = 100;
  private static final long LAST_DELAY_MILLIS = 2_000;
  private static final String SILENCE = "it is silent";

  private final String target;
  private final Figures figures;
  private final RandomGenerator random;

  private boolean everHeard;
  private boolean lossLogged;
  private int failures;
  private String lastFailure = SILENCE;
  private volatile boolean answers;

  Contact(String target, Figures figures, RandomGenerator random) {
    this.target = target;
    this.figures = figures;
    this.random = random;
  }

  /** Whether the last that came of the poll is an answer. Before the first: false. */
  boolean answers() {
    return answers;
  }

  /** The poll was answered. Returns whether the one before was not: then all is to be said. */
  boolean heard() {
    boolean found = !answers;
    failures = 0;
    lastFailure = SILENCE;
    answers = true;
    if (!everHeard) {
      LOG.info("UWFQ service at {} orders the tasks", target);
    } else if (lossLogged) {
      figures.rejoins.increment();
      LOG.info("UWFQ service at {} answers again: it orders the tasks from now on", target);
    }
    everHeard = true;
    lossLogged = false;
    return found;
  }

  /** The poll has failed. Returns milliseconds to wait before the next. */
  long failed(String why) {
    answers = false;
    lastFailure = why;
    if (failures >= 1) {
      noteLoss();
    }
    return Backoff.millis(FIRST_DELAY_MILLIS, LAST_DELAY_MILLIS, failures++, random);
  }

  /**
   * The service is there, and has no time or no room for the poll: no more than a delay, unless
   * there is no order to go by meanwhile.
   */
  void busy(String why) {
    lastFailure = why;
    if (!answers && failures++ >= 1) {
      noteLoss();
    }
  }

  /** Nothing was heard for so long that the order is not worth anything any more. */
  void stale() {
    noteLoss();
  }

  private void noteLoss() {
    if (lossLogged) {
      return;
    }
    lossLogged = true;
    if (everHeard) {
      figures.fallbacks.increment();
    }
    LOG.warn(
        "UWFQ service at {} does not answer ({}). Spark goes on without: {}. The service is asked"
            + " again until it answers",
        target,
        lastFailure,
        everHeard ? "in the last order for a while, then users take turns" : "users take turns");
  }
}
