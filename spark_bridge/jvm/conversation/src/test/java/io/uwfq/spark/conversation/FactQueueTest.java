package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Facts come in order and are not waited for; what is too much is dropped and counted. */
class FactQueueTest {
  private final Speaker speaker = new Speaker();
  private final Figures figures = new Figures();
  private final List<Integer> taken = new ArrayList<>();

  @AfterEach
  void end() {
    speaker.stop();
  }

  private FactQueue queue(int maxFacts, Runnable gathered) {
    return new FactQueue(maxFacts, () -> 1, speaker, figures, gathered);
  }

  /** Keeps the speaker from listening until the latch is opened. */
  private CountDownLatch busySpeaker() {
    CountDownLatch free = new CountDownLatch(1);
    speaker.execute(
        () -> {
          try {
            free.await();
          } catch (InterruptedException over) {
            Thread.currentThread().interrupt();
          }
        });
    return free;
  }

  private void awaitSpeaker() throws Exception {
    CountDownLatch reached = new CountDownLatch(1);
    // After what gathers: a listening speaker may have been called for in a millisecond.
    speaker.after(50, reached::countDown);
    assertEquals(true, reached.await(30, TimeUnit.SECONDS));
  }

  @Test
  void factsKeepTheirOrderAndComeTogether() throws Exception {
    List<Integer> sizes = new ArrayList<>();
    FactQueue queue = queue(100, () -> sizes.add(taken.size()));
    CountDownLatch free = busySpeaker();
    for (int i = 0; i < 10; i++) {
      int fact = i;
      if (i % 3 == 0) {
        queue.bring(() -> taken.add(fact));
      } else {
        queue.bringAttempt(() -> taken.add(fact));
      }
    }
    free.countDown();
    awaitSpeaker();
    assertEquals(IntStream.range(0, 10).boxed().toList(), taken);
    assertEquals(10, sizes.get(0), "all ten are there when the first is acted on");
  }

  /** Attempts may be lost; the end of a job must not be, while there is any room. */
  @Test
  void attemptsAreDroppedFirst() throws Exception {
    FactQueue queue = queue(10, () -> {});
    CountDownLatch free = busySpeaker();
    for (int i = 0; i < 7; i++) {
      int fact = i;
      queue.bringAttempt(() -> taken.add(fact));
    }
    assertEquals(2, figures.droppedFacts.sum());
    for (int i = 10; i < 16; i++) {
      int fact = i;
      queue.bring(() -> taken.add(fact));
    }
    assertEquals(3, figures.droppedFacts.sum());
    free.countDown();
    awaitSpeaker();
    assertEquals(List.of(0, 1, 2, 3, 4, 10, 11, 12, 13, 14), taken);
    queue.bringAttempt(() -> taken.add(99));
    awaitSpeaker();
    assertEquals(99, taken.get(10), "there is room again");
  }

  @Test
  void oneBrokenFactHarmsNoOther() throws Exception {
    FactQueue queue = queue(10, () -> {});
    queue.bring(
        () -> {
          throw new IllegalStateException("for the test");
        });
    queue.bring(() -> taken.add(1));
    awaitSpeaker();
    assertEquals(List.of(1), taken);
    assertEquals(1, figures.droppedFacts.sum());
  }
}
