package io.uwfq.spark.conversation;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.RetryInfo;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import io.uwfq.v1.SchedulerServiceGrpc;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * Unary calls to the service: each with a deadline, each answered on the speaker's thread exactly
 * once.
 */
final class Service {
  /** Starts one call on a stub that carries its deadline. */
  interface Call<Q, A> {
    void start(
        SchedulerServiceGrpc.SchedulerServiceStub stub, Q request, StreamObserver<A> observer);
  }

  private final ManagedChannel channel;
  private final SchedulerServiceGrpc.SchedulerServiceStub stub;
  private final Speaker speaker;
  private final Figures figures;

  Service(ManagedChannel channel, Speaker speaker, Figures figures) {
    this.channel = channel;
    this.stub = SchedulerServiceGrpc.newStub(channel);
    this.speaker = speaker;
    this.figures = figures;
  }

  /** Calls; then runs one of the two on the speaker's thread. */
  <Q, A> void call(
      Call<Q, A> call,
      Q request,
      long deadlineMillis,
      Consumer<A> answered,
      Consumer<Status> failed) {
    long sentAtNanos = System.nanoTime();
    send(
        call,
        request,
        deadlineMillis,
        answer -> {
          figures.rpcs.increment();
          figures.rpcNanos.add(System.nanoTime() - sentAtNanos);
          answered.accept(answer);
        },
        failed);
  }

  /** As {@link #call}, for a call that the service may park: its round trip is no figure. */
  <Q, A> void longPoll(
      Call<Q, A> call,
      Q request,
      long deadlineMillis,
      Consumer<A> answered,
      Consumer<Status> failed) {
    send(call, request, deadlineMillis, answered, failed);
  }

  private <Q, A> void send(
      Call<Q, A> call,
      Q request,
      long deadlineMillis,
      Consumer<A> answered,
      Consumer<Status> failed) {
    Once<A> answer =
        new Once<>(
            (value, status) ->
                speaker.execute(
                    () -> {
                      if (value != null) {
                        answered.accept(value);
                      } else {
                        figures.failedRpcs.increment();
                        failed.accept(status);
                      }
                    }));
    try {
      call.start(stub.withDeadlineAfter(deadlineMillis, TimeUnit.MILLISECONDS), request, answer);
    } catch (RuntimeException unsent) {
      answer.onError(unsent);
    }
  }

  Figures figures() {
    return figures;
  }

  ManagedChannel channel() {
    return channel;
  }

  /**
   * A call was not answered in time. If the connection is still in the making, somebody has taken
   * it and says nothing (a load balancer whose service is gone, say), and gRPC would wait for ever:
   * the next call makes another.
   */
  void abandonConnecting() {
    if (channel.getState(false) == ConnectivityState.CONNECTING) {
      channel.enterIdle();
    }
  }

  /** The failure in a line: as gRPC describes it, or else what is behind it. */
  static String describe(Status status) {
    if (status.getCode() == Status.Code.DEADLINE_EXCEEDED) {
      return "no answer in time"; // gRPC's text tells of its buffers.
    }
    String description = status.getDescription();
    Throwable behind = status.getCause();
    while (description == null && behind != null) {
      // Of a connection that fails the channel says no word, and its layers say each other's.
      if (behind.getCause() == null && !(behind instanceof StatusRuntimeException)) {
        description = behind.getMessage();
      }
      behind = behind.getCause();
    }
    return description == null ? status.getCode().name() : status.getCode() + ": " + description;
  }

  /** Whether the failure says that the service is out of reach, not that it refuses. */
  static boolean isOutOfReach(Status status) {
    return switch (status.getCode()) {
      case UNAVAILABLE,
          DEADLINE_EXCEEDED,
          CANCELLED,
          INTERNAL,
          UNKNOWN,
          UNIMPLEMENTED,
          DATA_LOSS,
          ABORTED,
          UNAUTHENTICATED,
          PERMISSION_DENIED ->
          true;
      default -> false;
    };
  }

  /**
   * Whether the failure says that something is wrong with the service, or on the way to it: what it
   * meets with once it may well meet with each time.
   */
  static boolean isFault(Status status) {
    return switch (status.getCode()) {
      case INTERNAL, UNKNOWN, UNIMPLEMENTED, DATA_LOSS -> true;
      default -> false;
    };
  }

  /** Whether the service asks to be spared for a while. */
  static boolean isBusy(Status status) {
    return status.getCode() == Status.Code.RESOURCE_EXHAUSTED;
  }

  /** How long the service asks its caller to wait before the next try, milliseconds. */
  static OptionalLong retryDelayMillis(Status status) {
    com.google.rpc.Status details =
        status.getCause() == null ? null : StatusProto.fromThrowable(status.getCause());
    if (details == null) {
      return OptionalLong.empty();
    }
    for (Any detail : details.getDetailsList()) {
      if (detail.is(RetryInfo.class)) {
        try {
          var delay = detail.unpack(RetryInfo.class).getRetryDelay();
          return OptionalLong.of(delay.getSeconds() * 1000 + delay.getNanos() / 1_000_000);
        } catch (InvalidProtocolBufferException broken) {
          return OptionalLong.empty();
        }
      }
    }
    return OptionalLong.empty();
  }

  /** Hands on the first of what a unary call yields. */
  private static final class Once<A> implements StreamObserver<A> {
    private final BiConsumer<A, Status> then;
    private A answer;
    private boolean over;

    Once(BiConsumer<A, Status> then) {
      this.then = then;
    }

    @Override
    public void onNext(A value) {
      answer = value;
    }

    @Override
    public void onError(Throwable error) {
      if (!over) {
        over = true;
        // The details travel in the trailers, which the exception alone has.
        then.accept(null, Status.fromThrowable(error).withCause(error));
      }
    }

    @Override
    public void onCompleted() {
      if (answer == null) {
        onError(Status.INTERNAL.withDescription("no answer in a unary call").asRuntimeException());
      } else if (!over) {
        over = true;
        then.accept(answer, null);
      }
    }
  }
}
