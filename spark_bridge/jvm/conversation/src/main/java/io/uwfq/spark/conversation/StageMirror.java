package io.uwfq.spark.conversation;

import io.uwfq.v1.StageSpec;
import io.uwfq.v1.TaskList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What is known of one stage attempt, and what the service has been told of it.
 *
 * <p>Confined to the speaker's thread. Memory: a bit per task, and an entry per attempt that runs,
 * has failed or is still to be told, and per task whose first did not succeed.
 */
final class StageMirror {
  /** Outcomes kept until the service knows the stage; of more than these it hears the mean. */
  private static final int MAX_UNTOLD = 10_000;

  /** A stage with more failures than this will hardly succeed, and is not worth the memory. */
  private static final int MAX_FAILED = 10_000;

  final StageFacts facts;

  /** Attempts that run: (index, attempt) to when they started, {@link System#nanoTime}. */
  final Map<Long, Long> startedAtNanos = new HashMap<>();

  /** Attempts that have failed, in their order: (index, attempt) to seconds that they took. */
  final SortedMap<Long, Double> failedSeconds = new TreeMap<>();

  /** Tasks that have succeeded. */
  final BitSet done = new BitSet();

  /**
   * What became of attempts of which the service will hear soon, with the stage: (index, attempt).
   */
  final Map<Long, TaskOutcome> untold = new HashMap<>();

  /** Which attempt has succeeded, of the tasks whose first did not. */
  private final Map<Integer, Integer> laterWinners = new HashMap<>();

  /** Seconds that the successful attempts have held their slots. */
  private double doneSeconds;

  /** Whether the service has acknowledged the stage since all was said anew. */
  boolean announced;

  /** Whether Spark will start no more tasks of it. */
  boolean dropped;

  /** Whether the service knows that. */
  boolean dropTold;

  StageMirror(StageFacts facts) {
    this.facts = facts;
  }

  static long attemptKey(int index, int attempt) {
    return ((long) index << 32) | (attempt & 0xffffffffL);
  }

  static int indexOf(long attemptKey) {
    return (int) (attemptKey >> 32);
  }

  static int attemptOf(long attemptKey) {
    return (int) attemptKey;
  }

  /** Notes that a task has succeeded, unless another attempt has made it succeed before. */
  void succeeded(int index, int attempt, double runtimeSeconds) {
    if (!done.get(index)) {
      done.set(index);
      doneSeconds += runtimeSeconds;
      if (attempt != 1) {
        laterWinners.put(index, attempt);
      }
    }
  }

  /** Notes that an attempt has failed; those beyond {@link #MAX_FAILED} go unremembered. */
  void failed(int index, int attempt, double runtimeSeconds) {
    if (failedSeconds.size() < MAX_FAILED) {
      failedSeconds.put(attemptKey(index, attempt), runtimeSeconds);
    }
  }

  /** Which attempt of a task has succeeded. */
  int winner(int index) {
    return laterWinners.getOrDefault(index, 1);
  }

  /** Keeps what became of an attempt until it can be told; to be called before it is noted. */
  void keepUntold(int index, int attempt, TaskOutcome outcome) {
    boolean late = done.get(index) && outcome instanceof TaskOutcome.Success;
    if (!late && untold.size() < MAX_UNTOLD) {
      untold.put(attemptKey(index, attempt), outcome);
    }
  }

  /** What a success that is not kept as untold has taken on average; 0 before the first. */
  double meanSecondsOfOthers() {
    int others = done.cardinality();
    double seconds = doneSeconds;
    for (TaskOutcome outcome : untold.values()) {
      if (outcome instanceof TaskOutcome.Success) {
        others--;
        seconds -= outcome.runtimeSeconds();
      }
    }
    return others == 0 ? 0 : Math.max(0, seconds / others);
  }

  /** Whether nothing has happened in it, nor will. */
  boolean isVoid() {
    return dropped && startedAtNanos.isEmpty() && failedSeconds.isEmpty() && done.isEmpty();
  }

  boolean isDone() {
    return done.cardinality() == facts.taskCount();
  }

  /** The stage as the service is told of it. Cost: linear in tasks when their bytes are known. */
  StageSpec spec(String jobSignature) {
    TaskList.Builder tasks = TaskList.newBuilder().setCount(facts.taskCount());
    if (facts.taskBytes() != null) {
      for (long bytes : facts.taskBytes()) {
        tasks.addTaskBytes(Math.max(0, bytes));
      }
    }
    StageSpec.Builder spec = StageSpec.newBuilder().setStage(facts.key().stage()).setTasks(tasks);
    if (facts.slotsPerTask() > 1) {
      spec.setSlotsPerTask(facts.slotsPerTask());
    }
    return spec.setSignature(signature(jobSignature, facts.kind())).build();
  }

  /** The name under which the service keeps the history of stages of this kind in such jobs. */
  static String signature(String jobSignature, StageKind kind) {
    return jobSignature.isEmpty() ? "" : jobSignature + "/" + kind.name().toLowerCase(Locale.ROOT);
  }
}
