package io.uwfq.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.uwfq.spark.conversation.SplitQuestion;
import io.uwfq.spark.conversation.StageKind;
import java.time.Duration;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

/** One query's questions share their answers and their time. */
class QueryAnswersTest {
  private final FakeConversation service = new FakeConversation();

  private static SplitQuestion question(long bytes) {
    return new SplitQuestion("alice", "q", StageKind.SCAN, bytes);
  }

  @Test
  void sameQuestionGetsTheSameAnswer() {
    QueryAnswers answers = new QueryAnswers(Duration.ofMinutes(1));
    service.answer(4);
    assertEquals(OptionalInt.of(4), answers.taskCount(service, question(10)));
    service.answer(5);
    assertEquals(OptionalInt.of(4), answers.taskCount(service, question(10)));
    assertEquals(OptionalInt.of(5), answers.taskCount(service, question(11)));
  }

  @Test
  void timeIsShared() {
    QueryAnswers answers = new QueryAnswers(Duration.ofMinutes(1));
    for (int bytes = 1; bytes <= 3; bytes++) {
      answers.taskCount(service, question(bytes));
    }
    assertTrue(service.limits.get(1).compareTo(service.limits.get(0)) < 0);
    assertTrue(service.limits.get(2).compareTo(service.limits.get(1)) < 0);
  }

  /** A table that is read twice is read in the same way, also if the time is up in between. */
  @Test
  void scansAreAllLookedAtOrNone() {
    QueryAnswers answered = new QueryAnswers(Duration.ofMinutes(1));
    service.answer(4);
    assertTrue(answered.mayAnswerScans(service));
    answered.taskCount(service, question(10));
    service.away();
    assertTrue(answered.mayAnswerScans(service));

    QueryAnswers unanswered = new QueryAnswers(Duration.ofMinutes(1));
    assertFalse(unanswered.mayAnswerScans(service));
    assertFalse(unanswered.mayAnswerScans(new FakeConversation()));
    assertFalse(new QueryAnswers(Duration.ZERO).mayAnswerScans(new FakeConversation()));
    assertEquals(1, service.figures().splitTimeouts.sum());
  }

  @Test
  void whenTimeIsUpNothingIsAsked() {
    QueryAnswers answers = new QueryAnswers(Duration.ofNanos(1));
    service.answer(4);
    answers.taskCount(service, question(1));
    assertEquals(OptionalInt.empty(), answers.taskCount(service, question(2)));
    assertEquals(1, service.questions.size());
    assertEquals(1, service.figures().splitTimeouts.sum());
  }
}
