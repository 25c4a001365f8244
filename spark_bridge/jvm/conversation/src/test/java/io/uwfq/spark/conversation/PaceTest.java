package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Talk is leisurely as long as there is nothing to put in order. */
class PaceTest {
  private static Pace pace(String key, String value) {
    return new Pace(
        Settings.of(
            Map.of("spark.uwfq.target", "in-process:1", "spark.uwfq." + key, value), List.of()));
  }

  @Test
  void aJobThatIsAloneIsNotWorthManyMessages() {
    Pace alone = pace("staleAfter", "5s");
    assertFalse(alone.jobAppeared());
    Pace shared = pace("staleAfter", "5s");
    shared.jobAppeared();
    assertTrue(shared.jobAppeared());
    assertTrue(alone.gatherMillis() > shared.gatherMillis());
    assertTrue(alone.reportMillis(false) > shared.reportMillis(false));
  }

  /** Who waits for the last of a job does not wait for the sake of few messages. */
  @Test
  void whatIsWaitedForIsSaidSoon() {
    Pace alone = pace("staleAfter", "5s");
    Pace shared = pace("staleAfter", "5s");
    shared.jobAppeared();
    shared.jobAppeared();
    assertTrue(alone.reportMillis(true) < shared.reportMillis(false));
    assertEquals(alone.reportMillis(true), shared.reportMillis(true));
  }

  /** The change is said once, to those who wait for it. */
  @Test
  void onlyTheSecondJobEndsLeisure() {
    Pace pace = pace("staleAfter", "5s");
    assertFalse(pace.jobAppeared());
    assertTrue(pace.jobAppeared());
    assertFalse(pace.jobAppeared());
    pace.jobEnded();
    assertFalse(pace.jobAppeared());
    pace.jobEnded();
    pace.jobEnded();
    assertTrue(pace.jobAppeared());
  }

  /** The order is asked for in good time before the last one counts as too old. */
  @Test
  void aLongRestDoesNotLookLikeLoss() {
    assertEquals(25, pace("staleAfter", "100ms").orderMillis());
    assertTrue(pace("staleAfter", "1s").orderMillis() <= 250);
  }

  /** As long as reports flow, each brings the order: no poll comes between them. */
  @Test
  void reportsComeBeforeTheNextPoll() {
    Pace shared = pace("staleAfter", "5s");
    shared.jobAppeared();
    shared.jobAppeared();
    assertTrue(shared.gatherMillis() + shared.reportMillis(false) < shared.orderMillis());
  }

  @Test
  void underAGateNothingIsHeldBack() {
    Pace pace = pace("gate", "leases");
    assertFalse(pace.jobAppeared());
    assertFalse(pace.jobAppeared());
    assertEquals(0, pace.reportMillis(false));
    assertEquals(3, pace.gatherMillis());
    assertEquals(5, pace.orderMillis());
  }
}
