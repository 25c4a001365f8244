package io.uwfq.client;

import com.google.protobuf.Empty;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ConnectivityState;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.security.cert.CertificateException;
import javax.net.ssl.SSLException;

/**
 * Tells calls at once that there will be no connection, however long they wait for one, where the
 * client does not trust the service's certificate or the service speaks no TLS. gRPC tells those
 * who wait nothing, so a call that comes upon no connection has another one beside it, which does
 * not wait. Thread-safe.
 */
final class TrustCheck implements ClientInterceptor {
  /** Of a service that is there it asks nothing. */
  private static final MethodDescriptor<Empty, Empty> HEALTH =
      MethodDescriptor.<Empty, Empty>newBuilder()
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName("grpc.health.v1.Health/Check")
          .setRequestMarshaller(ProtoUtils.marshaller(Empty.getDefaultInstance()))
          .setResponseMarshaller(ProtoUtils.marshaller(Empty.getDefaultInstance()))
          .build();

  /** Whose calls these are. */
  private volatile ManagedChannel channel;

  void watch(ManagedChannel channel) {
    this.channel = channel;
  }

  @Override
  public <Q, A> ClientCall<Q, A> interceptCall(
      MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
    ClientCall<Q, A> call = next.newCall(method, options);
    if (channel.getState(false) == ConnectivityState.READY) {
      return call;
    }
    CallOptions hasty = CallOptions.DEFAULT.withDeadline(options.getDeadline());
    return new Checked<>(call, next.newCall(HEALTH, hasty));
  }

  /** Whether no connection can be made for as long as both sides are as they are. */
  static boolean isDistrust(Throwable error) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof CertificateException
          || cause instanceof SSLException
              && String.valueOf(cause.getMessage()).startsWith("not an SSL/TLS record")) {
        return true;
      }
    }
    return false;
  }

  private static final class Checked<Q, A> extends SimpleForwardingClientCall<Q, A> {
    private final ClientCall<Empty, Empty> beside;

    /** Why the call was cancelled; null: it was not. */
    private volatile Status distrust;

    Checked(ClientCall<Q, A> call, ClientCall<Empty, Empty> beside) {
      super(call);
      this.beside = beside;
    }

    @Override
    public void start(Listener<A> listener, Metadata headers) {
      super.start(
          new SimpleForwardingClientCallListener<>(listener) {
            @Override
            public void onClose(Status status, Metadata trailers) {
              super.onClose(distrust == null ? status : distrust, trailers);
            }
          },
          headers);
    }

    /** The request is with gRPC, so that nothing but the answer is left to be cancelled. */
    @Override
    public void halfClose() {
      super.halfClose();
      ClientCalls.asyncUnaryCall(beside, Empty.getDefaultInstance(), new Beside());
    }

    private final class Beside implements StreamObserver<Empty> {
      @Override
      public void onNext(Empty answer) {}

      @Override
      public void onError(Throwable error) {
        if (isDistrust(error)) {
          distrust = Status.fromThrowable(error);
          cancel("there will be no connection", error);
        }
      }

      @Override
      public void onCompleted() {}
    }
  }
}
