package io.uwfq.spark.sql;

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
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;

/** A service that answers what a test tells it to, and remembers what it was asked. */
final class FakeConversation implements Conversation {
  final List<SplitQuestion> questions = new CopyOnWriteArrayList<>();
  final List<Duration> limits = new CopyOnWriteArrayList<>();
  private volatile boolean away;
  private final Figures figures = new Figures();
  private volatile Function<SplitQuestion, OptionalInt> answer = question -> OptionalInt.empty();

  void answer(Function<SplitQuestion, OptionalInt> answer) {
    this.answer = answer;
  }

  void answer(int taskCount) {
    answer(question -> OptionalInt.of(taskCount));
  }

  void away() {
    away = true;
  }

  @Override
  public boolean mayAnswer() {
    return !away;
  }

  @Override
  public OptionalInt taskCount(SplitQuestion question, Duration limit) {
    questions.add(question);
    limits.add(limit);
    return answer.apply(question);
  }

  @Override
  public Figures figures() {
    return figures;
  }

  @Override
  public Standings standings() {
    return Standings.NONE;
  }

  @Override
  public void jobAppeared(JobFacts job) {}

  @Override
  public void stageAppeared(StageFacts stage) {}

  @Override
  public void taskStarted(TaskKey task) {}

  @Override
  public void taskEnded(TaskKey task, TaskOutcome outcome) {}

  @Override
  public void stageEnded(StageKey stage) {}

  @Override
  public void jobEnded(String jobId, JobEnd end) {}

  @Override
  public void slotsChanged(int slots) {}

  @Override
  public void close() {}
}
