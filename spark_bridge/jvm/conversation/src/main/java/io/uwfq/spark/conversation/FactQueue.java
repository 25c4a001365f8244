package io.uwfq.spark.conversation;

import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;

/**
 * Carries facts from Spark's threads to the speaker, in their order, without a wait.
 *
 * <p>Facts about jobs and stages are taken in at once. Those about attempts are many, and what
 * comes of them can wait a little: they gather, so that the service hears of them in few messages.
 * The queue is bounded; when the speaker cannot keep up, facts about attempts are the first to be
 * dropped and counted, since a lost start or end costs accuracy, and a lost end of a job would
 * leave it open.
 */
final class FactQueue {
  private final int maxAttemptFacts;
  private final int maxFacts;
  private final LongSupplier gatherMillis;
  private final Speaker speaker;
  private final Figures figures;
  private final Runnable gathered;

  private final Queue<Runnable> facts = new ConcurrentLinkedQueue<>();
  private final AtomicInteger size = new AtomicInteger();
  private final AtomicBoolean listening = new AtomicBoolean();
  private final AtomicBoolean gathering = new AtomicBoolean();

  /**
   * A queue.
   *
   * @param maxFacts facts that may wait; those about attempts may fill half of it
   * @param gatherMillis how long a fact about an attempt that comes now waits for company
   * @param gathered runs on the speaker's thread whenever facts were taken in
   */
  FactQueue(
      int maxFacts,
      LongSupplier gatherMillis,
      Speaker speaker,
      Figures figures,
      Runnable gathered) {
    this.maxAttemptFacts = maxFacts / 2;
    this.maxFacts = maxFacts;
    this.gatherMillis = gatherMillis;
    this.speaker = speaker;
    this.figures = figures;
    this.gathered = gathered;
  }

  /** Brings a fact about a job or a stage, or about the application. From any thread. */
  void bring(Runnable fact) {
    if (add(fact, maxFacts) && listening.compareAndSet(false, true)) {
      speaker.execute(this::listen);
    }
  }

  /** Brings a fact about an attempt. From any thread. */
  void bringAttempt(Runnable fact) {
    if (add(fact, maxAttemptFacts) && gathering.compareAndSet(false, true)) {
      speaker.after(gatherMillis.getAsLong(), this::listen);
    }
  }

  private boolean add(Runnable fact, int limit) {
    if (size.incrementAndGet() > limit) {
      size.decrementAndGet();
      figures.droppedFacts.increment();
      return false;
    }
    facts.add(fact);
    return true;
  }

  /** Takes in what has been brought. On the speaker's thread. */
  void listen() {
    // First, so that whatever is added from here on calls again.
    listening.set(false);
    gathering.set(false);
    Runnable fact;
    while ((fact = facts.poll()) != null) {
      size.decrementAndGet();
      try {
        fact.run();
      } catch (RuntimeException ours) {
        figures.droppedFacts.increment();
        speaker.execute(
            () -> {
              throw ours; // There it is logged; the other facts do not wait for it.
            });
      }
    }
    gathered.run();
  }
}
