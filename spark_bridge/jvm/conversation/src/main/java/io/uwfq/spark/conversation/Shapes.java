package io.uwfq.spark.conversation;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds out what jobs run, on threads of its own: it may wait for Spark's planner, and for what the
 * planner waits for. Who takes too long is scheduled without history.
 */
final class Shapes {
  private static final Logger LOG = LoggerFactory.getLogger(Shapes.class);
  private static final int THREADS = 2;
  private static final int MAX_WAITING = 1_000;
  private static final long LIMIT_MILLIS = 2_000;

  private final Speaker speaker;
  private final ThreadPoolExecutor executor;
  private volatile boolean failureLogged;

  Shapes(Speaker speaker) {
    this.speaker = speaker;
    executor =
        new ThreadPoolExecutor(
            THREADS,
            THREADS,
            10,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(MAX_WAITING),
            task -> {
              Thread thread = new Thread(task, "uwfq-shapes");
              thread.setDaemon(true);
              return thread;
            });
    executor.allowCoreThreadTimeOut(true);
  }

  /** Computes what a job runs; hands it over on the speaker's thread, within two seconds. */
  void find(JobFacts job, Consumer<JobShape> found) {
    CompletableFuture<JobShape> shape = new CompletableFuture<>();
    try {
      executor.execute(() -> shape.complete(of(job)));
    } catch (RejectedExecutionException full) {
      shape.complete(JobShape.UNKNOWN);
    }
    shape
        .completeOnTimeout(JobShape.UNKNOWN, LIMIT_MILLIS, TimeUnit.MILLISECONDS)
        .thenAccept(known -> speaker.execute(() -> found.accept(known)));
  }

  void stop() {
    executor.shutdownNow();
  }

  /** Whatever is thrown, the job is scheduled. */
  private JobShape of(JobFacts job) {
    try {
      JobShape shape = job.shape().get();
      return shape == null ? JobShape.UNKNOWN : shape;
    } catch (Throwable broken) {
      if (!failureLogged) {
        failureLogged = true;
        LOG.warn(
            "what job {} runs cannot be told; it is scheduled without history (said once)",
            job.jobId(),
            broken);
      }
      return JobShape.UNKNOWN;
    }
  }
}
