package io.uwfq.spark;

import io.uwfq.spark.conversation.Conversation;
import io.uwfq.spark.conversation.Figures;
import io.uwfq.spark.conversation.JobEnd;
import io.uwfq.spark.conversation.JobFacts;
import io.uwfq.spark.conversation.SplitQuestion;
import io.uwfq.spark.conversation.StageFacts;
import io.uwfq.spark.conversation.StageKey;
import io.uwfq.spark.conversation.Standings;
import io.uwfq.spark.conversation.TaskKey;
import io.uwfq.spark.conversation.TaskOutcome;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.function.ToIntFunction;

/** Remembers the facts in their order, and shows the standings that a test sets. */
public final class RecordingConversation implements Conversation {
  /** A fact, and what it is about. */
  public record Fact(String kind, String id, Object content) {}

  private static final Duration PATIENCE = Duration.ofMinutes(1);

  private final List<Fact> facts = new ArrayList<>();
  private final Figures figures = new Figures();
  private volatile Supplier<Standings> standings = () -> Standings.NONE;
  private volatile ToIntFunction<String> launchLimitOfUser = user -> 0;
  private volatile Runnable launchLimitsChanged = () -> {};
  private volatile boolean broken;

  /** From now on this is what the service last said. */
  public void show(Supplier<Standings> standings) {
    this.standings = standings;
  }

  /** From now on so many tasks of each stage may have been launched, by its user. */
  public void limit(ToIntFunction<String> launchLimitOfUser) {
    this.launchLimitOfUser = launchLimitOfUser;
    launchLimitsChanged.run();
  }

  /** From now on every fact is answered by an error of linkage, as one in the wrong Spark is. */
  public void breakDown() {
    broken = true;
  }

  /** The facts so far. */
  public synchronized List<Fact> facts() {
    return List.copyOf(facts);
  }

  /** The content of the facts of this kind. */
  @SuppressWarnings("unchecked")
  public <T> List<T> all(String kind) {
    return (List<T>)
        facts().stream().filter(fact -> fact.kind.equals(kind)).map(Fact::content).toList();
  }

  /** Waits until the facts are so; fails the test if they do not become it. */
  public synchronized List<Fact> await(Predicate<List<Fact>> condition)
      throws InterruptedException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.test(facts)) {
      long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
      if (left <= 0) {
        throw new AssertionError("what was awaited did not come; there is " + facts);
      }
      wait(left);
    }
    return List.copyOf(facts);
  }

  /** Waits for so many facts of a kind. */
  public List<Fact> await(String kind, int count) throws InterruptedException {
    return await(all -> all.stream().filter(fact -> fact.kind.equals(kind)).count() >= count);
  }

  private synchronized void record(String kind, String id, Object content) {
    if (broken) {
      throw new NoSuchMethodError("broken for the test");
    }
    facts.add(new Fact(kind, id, content));
    notifyAll();
  }

  @Override
  public void jobAppeared(JobFacts job) {
    record("job", job.jobId(), job);
  }

  @Override
  public void stageAppeared(StageFacts stage) {
    record("stage", stage.key().jobId(), stage);
  }

  @Override
  public void taskStarted(TaskKey task) {
    record("start", task.stage().jobId(), task);
  }

  @Override
  public void taskEnded(TaskKey task, TaskOutcome outcome) {
    record("end", task.stage().jobId(), outcome);
  }

  @Override
  public void stageEnded(StageKey stage) {
    record("stageEnd", stage.jobId(), stage);
  }

  @Override
  public void jobEnded(String jobId, JobEnd end) {
    record("jobEnd", jobId, end);
  }

  @Override
  public void slotsChanged(int slots) {
    record("slots", "", slots);
  }

  @Override
  public Standings standings() {
    return standings.get();
  }

  @Override
  public OptionalInt launchLimit(StageKey stage) {
    return this.<JobFacts>all("job").stream()
        .filter(job -> job.jobId().equals(stage.jobId()))
        .mapToInt(job -> launchLimitOfUser.applyAsInt(job.user()))
        .findFirst();
  }

  @Override
  public void onLaunchLimits(Runnable changed) {
    launchLimitsChanged = changed;
  }

  @Override
  public OptionalInt taskCount(SplitQuestion question, Duration limit) {
    return OptionalInt.empty();
  }

  @Override
  public Figures figures() {
    return figures;
  }

  @Override
  public void close() {
    record("close", "", null);
  }
}
