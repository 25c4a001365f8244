package io.uwfq.spark.conversation;

import com.google.common.util.concurrent.ListenableFuture;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.uwfq.v1.InputDescriptor;
import io.uwfq.v1.SchedulerServiceGrpc;
import io.uwfq.v1.SplitStageRequest;
import io.uwfq.v1.SplitStageResponse;
import io.uwfq.v1.StageSpec;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;

/**
 * Asks the service how finely to cut, on the thread that plans, within a limit.
 *
 * <p>A service that does not answer costs each query the limit. So after a few time-outs in a row
 * nobody waits for it, for a while or until it was lost and found. An answer holds for a second:
 * planners ask the same more than once. Safe from any thread.
 */
final class SplitAnswers {
  private static final int TIMEOUTS_IN_A_ROW = 3;
  private static final long PAUSE_NANOS = TimeUnit.SECONDS.toNanos(5);
  private static final long HOLDS_NANOS = TimeUnit.SECONDS.toNanos(1);
  private static final int MAX_REMEMBERED = 1_000;

  private record Answer(int taskCount, long atNanos) {}

  private final Settings settings;
  private final SchedulerServiceGrpc.SchedulerServiceFutureStub stub;
  private final Figures figures;
  private final BooleanSupplier answers;
  private final LongSupplier nanoClock;

  // Guarded by this.
  private final Map<SplitQuestion, Answer> remembered =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<SplitQuestion, Answer> eldest) {
          return size() > MAX_REMEMBERED;
        }
      };
  private int timeouts;
  private long lastTimeoutNanos;

  SplitAnswers(
      Settings settings,
      ManagedChannel channel,
      Figures figures,
      BooleanSupplier answers,
      LongSupplier nanoClock) {
    this.settings = settings;
    this.stub = SchedulerServiceGrpc.newFutureStub(channel);
    this.figures = figures;
    this.answers = answers;
    this.nanoClock = nanoClock;
  }

  /** The service was lost and answers again: it is worth waiting for. */
  synchronized void found() {
    timeouts = 0;
  }

  /** Whether a question that is new would be asked now. */
  boolean mayAnswer() {
    return answers.getAsBoolean() && !isPausing();
  }

  private synchronized boolean isPausing() {
    return timeouts >= TIMEOUTS_IN_A_ROW && nanoClock.getAsLong() - lastTimeoutNanos < PAUSE_NANOS;
  }

  /** How many tasks; empty: no answer within the limit, or nobody to ask (then at once). */
  OptionalInt taskCount(SplitQuestion question, Duration limit) {
    if (!answers.getAsBoolean()) {
      return OptionalInt.empty();
    }
    synchronized (this) {
      long nowNanos = nanoClock.getAsLong();
      Answer answer = remembered.get(question);
      if (answer != null && nowNanos - answer.atNanos() < HOLDS_NANOS) {
        return OptionalInt.of(answer.taskCount());
      }
    }
    if (isPausing()) {
      return OptionalInt.empty();
    }
    return ask(question, limit);
  }

  private OptionalInt ask(SplitQuestion question, Duration limit) {
    long sentAtNanos = System.nanoTime();
    ListenableFuture<SplitStageResponse> answer =
        stub.withDeadlineAfter(limit.toNanos(), TimeUnit.NANOSECONDS).splitStage(request(question));
    try {
      int count = answer.get(limit.toNanos(), TimeUnit.NANOSECONDS).getSplit().getTaskCount();
      figures.rpcs.increment();
      figures.rpcNanos.add(System.nanoTime() - sentAtNanos);
      return remember(question, count);
    } catch (TimeoutException unanswered) {
      noteTimeout();
    } catch (ExecutionException failed) {
      if (Service.isOutOfReach(Status.fromThrowable(failed))) {
        noteTimeout();
      } else {
        figures.failedRpcs.increment(); // It answers, and this question is none for it.
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt(); // The query is being cancelled: Spark will see to it.
    } finally {
      answer.cancel(true);
    }
    return OptionalInt.empty();
  }

  private SplitStageRequest request(SplitQuestion question) {
    StageSpec.Builder stage =
        StageSpec.newBuilder()
            .setStage("stage")
            .setSignature(StageMirror.signature(question.signature(), question.kind()))
            .setInput(
                InputDescriptor.newBuilder()
                    .addUnitSizes(question.inputBytes())
                    .setSplittable(true));
    return SplitStageRequest.newBuilder()
        .setPool(settings.pool())
        .setUser(question.user())
        .setSignature(question.signature())
        .setStage(stage)
        .setOmitRanges(true)
        .build();
  }

  private synchronized OptionalInt remember(SplitQuestion question, int count) {
    timeouts = 0;
    if (count < 1) {
      return OptionalInt.empty();
    }
    remembered.put(question, new Answer(count, nanoClock.getAsLong()));
    return OptionalInt.of(count);
  }

  private synchronized void noteTimeout() {
    figures.failedRpcs.increment();
    timeouts++;
    lastTimeoutNanos = nanoClock.getAsLong();
  }
}
