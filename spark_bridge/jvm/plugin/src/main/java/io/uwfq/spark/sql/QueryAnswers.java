package io.uwfq.spark.sql;

import io.uwfq.spark.conversation.Conversation;
import io.uwfq.spark.conversation.SplitQuestion;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import org.apache.spark.SparkContext;

/**
 * What the service has answered one query, and how long the query may still wait for more.
 *
 * <p>The same question gets the same answer as long as the query runs. Spark reuses an exchange
 * only if both plans are equal to the last option; two answers to one question would read a table
 * twice.
 *
 * <p>The limit is on the sum of all waiting: adaptive execution plans a query in many small steps,
 * and a service that hangs must not cost one limit each.
 */
final class QueryAnswers {
  /** Queries remembered; more than run at a time. What is forgotten is asked again. */
  private static final int REMEMBERED_QUERIES = 512;

  private static final Map<QueryKey, QueryAnswers> byQuery =
      new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<QueryKey, QueryAnswers> eldest) {
          return size() > REMEMBERED_QUERIES;
        }
      };

  private final Map<SplitQuestion, OptionalInt> answers = new ConcurrentHashMap<>();
  private final AtomicLong remainingNanos;
  private final Map<Long, Boolean> repeatableByExecution = new ConcurrentHashMap<>();
  private volatile String signature;
  private volatile boolean scansUnanswered;

  QueryAnswers(Duration limit) {
    remainingNanos = new AtomicLong(limit.toNanos());
  }

  private record QueryKey(String applicationId, long rootExecutionId) {}

  /** Those of the query that the calling thread works for; if there is none yet, new ones. */
  static QueryAnswers ofRunningQuery(SparkContext context, Duration limit) {
    OptionalLong root = QueryShapes.rootExecutionId(context);
    if (root.isEmpty()) {
      return new QueryAnswers(limit);
    }
    QueryKey key = new QueryKey(context.applicationId(), root.getAsLong());
    synchronized (byQuery) {
      return byQuery.computeIfAbsent(key, unseen -> new QueryAnswers(limit));
    }
  }

  /** The service's answer, if it comes before the query's time is up. */
  OptionalInt taskCount(Conversation conversation, SplitQuestion question) {
    return answers.computeIfAbsent(question, unseen -> ask(conversation, question));
  }

  /**
   * Whether it is worth the work to find out what to ask about a scan. Once it was not, it stays so
   * for all scans of the query; once one was answered, the others are looked at, since the same
   * table must be read in the same way.
   */
  boolean mayAnswerScans(Conversation conversation) {
    if (answers.values().stream().anyMatch(OptionalInt::isPresent)) {
      return true;
    }
    scansUnanswered |= remainingNanos.get() <= 0 || !conversation.mayAnswer();
    if (scansUnanswered) {
      conversation.figures().splitTimeouts.increment();
    }
    return !scansUnanswered;
  }

  /** The query's signature, computed when it is first asked for. */
  String signature(Supplier<String> compute) {
    if (signature == null) {
      signature = compute.get();
    }
    return signature;
  }

  /** Whether this execution, of the query itself or within it, is the same however it is cut. */
  boolean mayCut(long executionId) {
    return repeatableByExecution.computeIfAbsent(executionId, QueryShapes::isRepeatable);
  }

  private OptionalInt ask(Conversation conversation, SplitQuestion question) {
    long limitNanos = remainingNanos.get();
    OptionalInt answer = OptionalInt.empty();
    if (limitNanos > 0) {
      long startedAtNanos = System.nanoTime();
      answer = conversation.taskCount(question, Duration.ofNanos(limitNanos));
      remainingNanos.addAndGet(startedAtNanos - System.nanoTime());
    }
    if (answer.isEmpty()) {
      conversation.figures().splitTimeouts.increment();
    }
    return answer;
  }
}
