package io.uwfq.spark.conversation;

import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one thread that owns what the conversation knows: whatever runs here needs no lock.
 *
 * <p>Nothing that is thrown ends it, and what is brought after its end is dropped. Safe from any
 * thread.
 */
final class Speaker {
  private static final Logger LOG = LoggerFactory.getLogger(Speaker.class);

  private final ScheduledThreadPoolExecutor executor;

  /** Only the first is worth a stack trace; the thread alone counts. */
  private int errors;

  Speaker() {
    executor =
        new ScheduledThreadPoolExecutor(
            1,
            task -> {
              Thread thread = new Thread(task, "uwfq-conversation");
              thread.setDaemon(true);
              return thread;
            });
    executor.setRemoveOnCancelPolicy(true);
  }

  /** Runs it soon, after what was brought before. */
  void execute(Runnable task) {
    after(0, task);
  }

  /** Runs it in so many milliseconds. */
  void after(long millis, Runnable task) {
    try {
      executor.schedule(() -> run(task), millis, TimeUnit.MILLISECONDS);
    } catch (RejectedExecutionException over) {
      // The conversation is over: nobody waits for this.
    }
  }

  /** Runs it again and again, until the end. */
  void every(long millis, Runnable task) {
    executor.scheduleWithFixedDelay(() -> run(task), millis, millis, TimeUnit.MILLISECONDS);
  }

  /** Drops all that waits. What runs, runs on. */
  void stop() {
    executor.shutdownNow();
  }

  private void run(Runnable task) {
    try {
      task.run();
    } catch (RuntimeException | Error ours) {
      if (errors++ == 0) {
        LOG.error("the conversation with the UWFQ service has a bug; it goes on (said once)", ours);
      }
    }
  }
}
