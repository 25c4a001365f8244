package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** A loss is one loss, however often the service is asked meanwhile. */
class ContactTest {
  private final Figures figures = new Figures();
  private final Contact contact = new Contact("here:1", figures, new Random(1));

  @Test
  void theFirstAnswerOpensTheConversation() {
    assertFalse(contact.answers());
    assertTrue(contact.heard());
    assertTrue(contact.answers());
    assertFalse(contact.heard(), "nothing is to be said again");
    assertEquals(0, figures.rejoins.sum());
  }

  @Test
  void oneFailureIsNoLossButAllIsSaidAgain() {
    contact.heard();
    contact.failed("reset");
    assertFalse(contact.answers());
    assertTrue(contact.heard());
    assertEquals(0, figures.fallbacks.sum() + figures.rejoins.sum());
  }

  @Test
  void aLossIsCountedOnceAndSoIsItsEnd() {
    contact.heard();
    for (int i = 0; i < 10; i++) {
      contact.failed("refused");
    }
    contact.stale();
    assertEquals(1, figures.fallbacks.sum());
    assertTrue(contact.heard());
    assertFalse(contact.heard());
    assertEquals(1, figures.rejoins.sum());
    contact.stale();
    assertEquals(2, figures.fallbacks.sum());
  }

  @Test
  void aServiceThatWasNeverThereIsNotLost() {
    contact.failed("refused");
    contact.failed("refused");
    assertEquals(0, figures.fallbacks.sum());
    assertTrue(contact.heard());
    assertEquals(0, figures.rejoins.sum());
  }

  @Test
  void aServiceThatHasNoRoomIsSpokenOfOnceAndWithItsReason() {
    String said =
        logOf(
            () -> {
              for (int i = 0; i < 10; i++) {
                contact.busy("the pool is full");
              }
            });
    assertEquals(1, said.lines().filter(line -> line.contains("(the pool is full)")).count(), said);
    assertEquals(0, figures.fallbacks.sum());
  }

  @Test
  void aServiceThatIsBusyForAMomentIsNotLost() {
    contact.heard();
    for (int i = 0; i < 10; i++) {
      contact.busy("many calls wait");
    }
    assertTrue(contact.answers());
    assertEquals(0, figures.fallbacks.sum());
    assertTrue(logOf(contact::stale).contains("(many calls wait)"));
  }

  private static String logOf(Runnable action) {
    PrintStream log = System.err;
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    System.setErr(new PrintStream(said, true, StandardCharsets.UTF_8));
    try {
      action.run();
    } finally {
      System.setErr(log);
    }
    return said.toString(StandardCharsets.UTF_8);
  }

  @Test
  void pausesGrowToALimitAndDiffer() {
    long first = contact.failed("refused");
    assertTrue(first >= 50 && first <= 100, first + " ms");
    long last = 0;
    for (int i = 0; i < 80; i++) {
      last = contact.failed("refused");
      assertTrue(last <= 2_000, last + " ms");
    }
    assertTrue(last >= 1_000, last + " ms");
  }
}
