package io.uwfq.spark.conversation;

import com.google.common.util.concurrent.ListenableFuture;
import io.grpc.ManagedChannel;
import io.uwfq.v1.InputDescriptor;
import io.uwfq.v1.SchedulerServiceGrpc;
import io.uwfq.v1.SplitStageRequest;
import io.uwfq.v1.SplitStageResponse;
import io.uwfq.v1.StageSpec;
import java.time.Duration;
import java.util.OptionalInt;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;

/**
 * Asks the service how finely to cut, on the thread that plans, within a limit.
 *
 * <p>A service that does not answer costs each query the limit. So after a few time-outs in a row
 * nobody waits for it until it was heard again, on whatever call.
 */
final class SplitAnswers {
  private static final int TIMEOUTS_IN_A_ROW = 3;

  private final Settings settings;
  private final SchedulerServiceGrpc.SchedulerServiceFutureStub stub;
  private final Figures figures;
  private final BooleanSupplier answers;
  private final AtomicInteger timeouts = new AtomicInteger();

  SplitAnswers(
      Settings settings, ManagedChannel channel, Figures figures, BooleanSupplier answers) {
    this.settings = settings;
    this.stub = SchedulerServiceGrpc.newFutureStub(channel);
    this.figures = figures;
    this.answers = answers;
  }

  /** The service was heard on another call: it is worth waiting for again. */
  void heard() {
    timeouts.set(0);
  }

  OptionalInt taskCount(SplitQuestion question, Duration limit) {
    if (!answers.getAsBoolean() || timeouts.get() >= TIMEOUTS_IN_A_ROW) {
      return OptionalInt.empty();
    }
    StageSpec.Builder stage =
        StageSpec.newBuilder()
            .setStage("stage")
            .setSignature(StageMirror.signature(question.signature(), question.kind()))
            .setInput(
                InputDescriptor.newBuilder()
                    .addUnitSizes(question.inputBytes())
                    .setSplittable(true));
    SplitStageRequest request =
        SplitStageRequest.newBuilder()
            .setPool(settings.pool())
            .setUser(question.user())
            .setSignature(question.signature())
            .setStage(stage)
            .setOmitRanges(true)
            .build();
    long sentAtNanos = System.nanoTime();
    ListenableFuture<SplitStageResponse> answer =
        stub.withDeadlineAfter(limit.toNanos(), TimeUnit.NANOSECONDS).splitStage(request);
    try {
      int count = answer.get(limit.toNanos(), TimeUnit.NANOSECONDS).getSplit().getTaskCount();
      timeouts.set(0);
      figures.rpcs.increment();
      figures.rpcNanos.add(System.nanoTime() - sentAtNanos);
      return count > 0 ? OptionalInt.of(count) : OptionalInt.empty();
    } catch (TimeoutException | ExecutionException unanswered) {
      timeouts.incrementAndGet();
      figures.failedRpcs.increment();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt(); // The query is being cancelled: Spark will see to it.
    } finally {
      answer.cancel(true);
    }
    return OptionalInt.empty();
  }
}
