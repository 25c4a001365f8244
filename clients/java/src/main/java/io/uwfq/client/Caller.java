package io.uwfq.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.MethodDescriptor;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** A session's calls: none blocks, and each is answered on the session's thread, at most once. */
final class Caller {
  /** A call that is under way. */
  interface Call {
    /** Calls it off: neither answer nor refusal will be told. On the session's thread. */
    void cancel();
  }

  private final Channel channel;
  private final Executor loop;

  Caller(Channel channel, Executor loop) {
    this.channel = channel;
    this.loop = loop;
  }

  /** Calls; then runs one of the two on the loop. */
  <Q, A> Call call(
      MethodDescriptor<Q, A> method,
      Q request,
      Duration timeout,
      Consumer<A> answered,
      Consumer<UwfqException> refused) {
    CallOptions options =
        CallOptions.DEFAULT
            .withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS)
            // What happens there is to hand the outcome on.
            .withExecutor(Runnable::run);
    ClientCall<Q, A> call = channel.newCall(method, options);
    Once<A> once = new Once<>(call, answered, refused);
    ClientCalls.asyncUnaryCall(call, request, once);
    return once;
  }

  private final class Once<A> implements Call, StreamObserver<A> {
    private final ClientCall<?, A> call;
    private final Consumer<A> answered;
    private final Consumer<UwfqException> refused;

    /** Whether all is said. Confined to the loop. */
    private boolean over;

    Once(ClientCall<?, A> call, Consumer<A> answered, Consumer<UwfqException> refused) {
      this.call = call;
      this.answered = answered;
      this.refused = refused;
    }

    @Override
    public void cancel() {
      over = true;
      call.cancel("not wanted any more", null);
    }

    @Override
    public void onNext(A answer) {
      tell(() -> answered.accept(answer));
    }

    @Override
    public void onError(Throwable error) {
      UwfqException refusal = UwfqException.from(error);
      tell(() -> refused.accept(refusal));
    }

    @Override
    public void onCompleted() {
      // Without an answer gRPC has called onError.
    }

    private void tell(Runnable outcome) {
      loop.execute(
          () -> {
            if (!over) {
              over = true;
              outcome.run();
            }
          });
    }
  }
}
