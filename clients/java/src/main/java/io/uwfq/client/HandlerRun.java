package io.uwfq.client;

import java.util.Arrays;
import java.util.function.Consumer;

/**
 * One call of a handler, in a thread of the executor. It is interrupted only while the handler
 * runs: the thread belongs to somebody else before and after.
 */
final class HandlerRun implements Runnable {
  private static final double NANOS_PER_SECOND = 1e9;

  private final Handler handler;
  private final Task task;
  private final Consumer<Outcome> ended;

  /** The thread while the handler runs in it; else null. Guarded by this. */
  private Thread runner;

  /**
   * A call to be made.
   *
   * @param ended told once, in the executor's thread
   */
  HandlerRun(Handler handler, Task task, Consumer<Outcome> ended) {
    this.handler = handler;
    this.task = task;
    this.ended = ended;
  }

  @Override
  public void run() {
    ended.accept(begin() ? call() : Outcome.lost("it was stopped before it began"));
  }

  /** Asks the handler to stop; it ends when it does. */
  synchronized void interrupt() {
    task.cancel();
    if (runner != null) {
      runner.interrupt();
    }
  }

  /** Whether the handler has called {@code System.exit}, which does not return. */
  synchronized boolean exits() {
    return runner != null
        && Arrays.stream(runner.getStackTrace())
            .anyMatch(frame -> frame.getClassName().equals("java.lang.Shutdown"));
  }

  private synchronized boolean begin() {
    if (task.cancelled()) {
      return false;
    }
    runner = Thread.currentThread();
    return true;
  }

  private Outcome call() {
    long beganAt = System.nanoTime();
    try {
      Measurement measurement = handler.run(task);
      return Outcome.returned(measurement, secondsSince(beganAt));
    } catch (Throwable error) {
      return Outcome.thrown(error, secondsSince(beganAt));
    } finally {
      end();
    }
  }

  private synchronized void end() {
    runner = null;
    if (task.cancelled()) {
      // An interrupt that the handler did not notice is not meant for the thread's next task.
      Thread.interrupted();
    }
  }

  private static double secondsSince(long beganAt) {
    return (System.nanoTime() - beganAt) / NANOS_PER_SECOND;
  }
}
