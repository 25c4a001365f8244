package io.uwfq.spark.conversation;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * What the conversation costs, with the service itself: CPU and calls at a given rate of tasks, and
 * how soon a new stage has its place. Prints a table; decides nothing.
 *
 * <p>Its main method takes the command of the service, and needs the class path of the tests.
 */
final class ConversationBench {
  private static final int SECONDS = 10;
  private static final int TASKS_PER_STAGE = 200;

  private ConversationBench() {}

  public static void main(String[] arguments) throws Exception {
    System.out.println(
        "tasks/s  ms of CPU/s: here, service   calls/s   new stage placed in ms: p50, p95");
    for (int rate : new int[] {0, 200, 2_000}) {
      run(arguments[0], rate);
    }
  }

  private static void run(String command, int tasksPerSecond) throws Exception {
    RealService service = new RealService(command);
    service.start(Files.createTempDirectory("uwfq-bench"));
    Settings settings = Settings.of(Map.of("spark.uwfq.target", service.target()), List.of());
    GrpcConversation conversation =
        new GrpcConversation(settings, "bench", ServiceChannel.open(settings));
    conversation.start();
    conversation.slotsChanged(64);
    Waiting.until("the first answer", () -> conversation.standings().reachable());
    load(conversation, tasksPerSecond, 3, "warm"); // For the compilers.
    long calls = conversation.figures().rpcs.sum();
    double here = cpuSeconds();
    double there = service.cpuSeconds();
    List<Double> placed = load(conversation, tasksPerSecond, SECONDS, "run");
    Collections.sort(placed);
    System.out.printf(
        "%7d  %17.1f, %7.1f   %7.1f   %24.1f, %.1f%n",
        tasksPerSecond,
        (cpuSeconds() - here) * 1e3 / SECONDS,
        (service.cpuSeconds() - there) * 1e3 / SECONDS,
        (conversation.figures().rpcs.sum() - calls) / (double) SECONDS,
        placed.isEmpty() ? Double.NaN : placed.get(placed.size() / 2),
        placed.isEmpty() ? Double.NaN : placed.get(placed.size() * 95 / 100));
    conversation.close();
    service.close();
  }

  /** Runs queries of one stage; returns how long each stage waited for its place, ms. */
  private static List<Double> load(
      GrpcConversation conversation, int tasksPerSecond, int seconds, String prefix) {
    List<Double> placed = new ArrayList<>();
    long beganNanos = System.nanoTime();
    int queries = Math.max(0, tasksPerSecond * seconds / TASKS_PER_STAGE);
    for (int query = 0; query < queries; query++) {
      StageKey key = new StageKey(prefix + query, "0.0");
      conversation.jobAppeared(
          new JobFacts(
              key.jobId(),
              "user" + query % 4,
              OptionalDouble.empty(),
              () -> new JobShape("bench", OptionalLong.of(1 << 20)),
              Map::of));
      long appearedNanos = System.nanoTime();
      conversation.stageAppeared(
          new StageFacts(key, TASKS_PER_STAGE, new long[TASKS_PER_STAGE], 1, StageKind.SCAN));
      boolean known = false;
      for (int index = 0; index < TASKS_PER_STAGE; index++) {
        double dueSeconds = (query * TASKS_PER_STAGE + index + 1.0) / tasksPerSecond;
        while (System.nanoTime() - beganNanos < dueSeconds * 1e9) {
          if (!known && conversation.standings().rankByStage().containsKey(key)) {
            known = true;
            placed.add((System.nanoTime() - appearedNanos) / 1e6);
          }
          LockSupport.parkNanos(200_000);
        }
        TaskKey task = new TaskKey(key, index, 1);
        conversation.taskStarted(task);
        conversation.taskEnded(
            task, new TaskOutcome.Success(0.02, OptionalLong.of(5_000), OptionalLong.of(10)));
      }
      conversation.jobEnded(key.jobId(), JobEnd.SUCCEEDED);
    }
    long restNanos = TimeUnit.SECONDS.toNanos(seconds) - (System.nanoTime() - beganNanos);
    LockSupport.parkNanos(Math.max(0, restNanos));
    return placed;
  }

  /** CPU of all threads but the one that makes the load. */
  private static double cpuSeconds() {
    ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    long nanos = 0;
    for (long thread : threads.getAllThreadIds()) {
      if (thread != Thread.currentThread().getId()) {
        nanos += Math.max(0, threads.getThreadCpuTime(thread));
      }
    }
    return nanos / 1e9;
  }
}
