package io.uwfq.client;

import java.util.concurrent.Executor;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * One thread, to which the state of a session is confined, and its timers.
 *
 * <p>Any thread may hand it steps; they run one after another. What comes after the loop is closed
 * is dropped: nobody is left whom it could concern.
 */
final class EventLoop implements Executor, AutoCloseable {
  /** A step that is due later. */
  interface Timer {
    /** Does nothing once the step has begun. */
    void cancel();
  }

  private final ScheduledThreadPoolExecutor thread;
  private final Consumer<Throwable> defects;
  private final long originNanos = System.nanoTime();

  /**
   * A loop that runs from now on, in a daemon thread.
   *
   * @param defects told what a step has thrown, on the loop
   */
  EventLoop(String name, Consumer<Throwable> defects) {
    this.defects = defects;
    this.thread =
        new ScheduledThreadPoolExecutor(
            1,
            step -> {
              Thread made = new Thread(step, name);
              made.setDaemon(true);
              return made;
            });
    thread.setRemoveOnCancelPolicy(true);
    thread.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
  }

  /** Nanoseconds since the loop was made; never runs back. */
  long nowNanos() {
    return System.nanoTime() - originNanos;
  }

  @Override
  public void execute(Runnable step) {
    try {
      thread.execute(guarded(step));
    } catch (RejectedExecutionException closed) {
      // See above.
    }
  }

  /** Runs a step on the loop in so many nanoseconds. */
  Timer after(long nanos, Runnable step) {
    try {
      Future<?> due = thread.schedule(guarded(step), nanos, TimeUnit.NANOSECONDS);
      return () -> due.cancel(false);
    } catch (RejectedExecutionException closed) {
      return () -> {};
    }
  }

  /** The executor would keep what a step throws to itself. */
  private Runnable guarded(Runnable step) {
    return () -> {
      try {
        step.run();
      } catch (Throwable defect) {
        defects.accept(defect);
      }
    };
  }

  /** Runs what was handed in before, then ends; timers are dropped. Does not wait. */
  @Override
  public void close() {
    thread.shutdown();
  }
}
