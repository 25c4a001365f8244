package io.uwfq.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * Unary calls of a client, each with a deadline, blocking or not. Retries happen below, in the
 * channel. Thread-safe.
 *
 * @param timeout of one call with all its retries
 */
record Calls(Channel channel, Duration timeout) {
  /** Beyond any deadline; and as nanoseconds it still leaves room in a long. */
  private static final Duration FOR_EVER = Duration.ofDays(36_500);

  Calls {
    requirePositive(timeout);
  }

  static void requirePositive(Duration timeout) {
    if (timeout.isNegative() || timeout.isZero()) {
      throw new IllegalArgumentException("a timeout must be longer than nothing, not " + timeout);
    }
  }

  /** A timeout in nanoseconds, even one of {@code Duration.ofSeconds(Long.MAX_VALUE)}. */
  static long nanos(Duration timeout) {
    return (timeout.compareTo(FOR_EVER) < 0 ? timeout : FOR_EVER).toNanos();
  }

  /** Calls, and waits. Where the thread is interrupted, the call is cancelled. */
  <Q, A> A blocking(MethodDescriptor<Q, A> method, Q request) {
    try {
      return ClientCalls.blockingUnaryCall(channel, method, options(), request);
    } catch (StatusRuntimeException error) {
      throw UwfqException.from(error);
    }
  }

  /** Calls; cancelling the future cancels the call. */
  <Q, A> CompletableFuture<A> future(MethodDescriptor<Q, A> method, Q request) {
    return future(method, request, answer -> answer);
  }

  /** As above, with what is read off the answer. */
  <Q, A, R> CompletableFuture<R> future(
      MethodDescriptor<Q, A> method, Q request, Function<A, R> read) {
    ClientCall<Q, A> call = channel.newCall(method, options());
    Answer<A, R> answer = new Answer<>(call, read);
    ClientCalls.asyncUnaryCall(call, request, answer);
    return answer;
  }

  private CallOptions options() {
    return CallOptions.DEFAULT.withDeadlineAfter(nanos(timeout), TimeUnit.NANOSECONDS);
  }

  /** The future of one call. */
  private static final class Answer<A, R> extends CompletableFuture<R>
      implements StreamObserver<A> {
    private final ClientCall<?, A> call;
    private final Function<A, R> read;

    Answer(ClientCall<?, A> call, Function<A, R> read) {
      this.call = call;
      this.read = read;
    }

    @Override
    public void onNext(A answer) {
      complete(read.apply(answer));
    }

    @Override
    public void onError(Throwable error) {
      completeExceptionally(UwfqException.from(error));
    }

    @Override
    public void onCompleted() {
      // Without an answer gRPC has called onError.
    }

    @Override
    public boolean cancel(boolean mayInterruptIfRunning) {
      boolean cancelled = super.cancel(mayInterruptIfRunning);
      if (cancelled) {
        call.cancel("the future was cancelled", null);
      }
      return cancelled;
    }

    /** What follows a call is an ordinary future. */
    @Override
    public <U> CompletableFuture<U> newIncompleteFuture() {
      return new CompletableFuture<>();
    }
  }
}
