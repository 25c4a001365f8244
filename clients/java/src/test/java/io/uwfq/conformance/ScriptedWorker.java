package io.uwfq.conformance;

import com.google.gson.JsonObject;
import com.google.gson.annotations.SerializedName;
import io.uwfq.client.Measurement;
import io.uwfq.client.PermanentFailure;
import io.uwfq.client.Task;
import io.uwfq.client.Worker;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A worker whose handlers do what a scenario says, and note what they did. */
final class ScriptedWorker {
  /** One handler call that has ended. */
  record Run(
      @SerializedName("job_id") String jobId,
      String stage,
      @SerializedName("task_index") int taskIndex,
      int attempt,
      String outcome) {}

  private final Worker worker;

  // Guarded by this, whose waiters are told of every change.
  private final List<Run> runs = new ArrayList<>();
  private final Map<String, Integer> running = new HashMap<>();
  private final Set<String> released = new HashSet<>();

  ScriptedWorker(String target, JsonObject script) {
    Worker.Builder builder =
        Worker.builder(target)
            .slots(script.get("slots").getAsInt())
            .prefetch(script.get("prefetch").getAsInt());
    if (!Adapter.isNull(script, "worker_id")) {
      builder.workerId(Adapter.string(script, "worker_id"));
    }
    if (!Adapter.isNull(script, "pool")) {
      builder.pool(Adapter.string(script, "pool"));
    }
    JsonObject kinds = script.getAsJsonObject("kinds");
    for (String kind : kinds.keySet()) {
      JsonObject act = kinds.getAsJsonObject(kind);
      builder.handler(kind, task -> noted(task, act));
    }
    worker = builder.build();
  }

  void start() {
    worker.start();
  }

  /** Stops it; a grace of null: as long as it takes. */
  void stop(Duration grace) {
    if (grace == null) {
      worker.close();
    } else {
      worker.stop(grace);
    }
  }

  synchronized List<Run> runs() {
    return List.copyOf(runs);
  }

  synchronized void release(String kind) {
    released.add(kind);
    notifyAll();
  }

  synchronized void awaitRunning(String kind, int count, Duration timeout)
      throws InterruptedException, TimeoutException {
    long deadline = System.nanoTime() + timeout.toNanos();
    while (running.getOrDefault(kind, 0) < count) {
      long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
      if (left <= 0) {
        throw new TimeoutException(running + " run, and not " + count + " of " + kind);
      }
      wait(left);
    }
  }

  // ------------------------------------------------------------------------------------- handlers

  private Measurement noted(Task task, JsonObject act) throws Exception {
    change(task.kind(), 1);
    String outcome = "failed";
    try {
      Measurement measurement = perform(task, act);
      outcome = "succeeded";
      return measurement;
    } finally {
      note(task, task.cancelled() && !outcome.equals("succeeded") ? "cancelled" : outcome);
      change(task.kind(), -1);
    }
  }

  private Measurement perform(Task task, JsonObject act) throws Exception {
    switch (Adapter.string(act, "act")) {
      case "succeed" -> {}
      case "sleep" -> Thread.sleep(Adapter.seconds(act, "seconds").toMillis());
      case "fail" -> {
        if (task.attempt() <= act.get("attempts").getAsInt()) {
          throw new IllegalStateException("attempt " + task.attempt() + " is to fail");
        }
      }
      case "fail_for_good" -> throw new PermanentFailure("no attempt can succeed");
      case "hold" -> hold(task.kind());
      default -> throw new PermanentFailure("no such act: " + act);
    }
    return Measurement.ofRows(1);
  }

  private synchronized void hold(String kind) throws InterruptedException {
    while (!released.contains(kind)) {
      wait();
    }
  }

  private synchronized void change(String kind, int by) {
    running.merge(kind, by, Integer::sum);
    notifyAll();
  }

  private synchronized void note(Task task, String outcome) {
    runs.add(new Run(task.jobId(), task.stage(), task.index(), task.attempt(), outcome));
  }
}
