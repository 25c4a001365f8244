package io.uwfq.client;

import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.TimeUnit;

/**
 * One service and how to reach it. Immutable; each {@code with} gives a changed copy.
 *
 * <pre>{@code
 * Endpoint.of("uwfq.example:7170")
 *     .withCredentials(TlsChannelCredentials.newBuilder().trustManager(new File("ca.pem")).build())
 * }</pre>
 *
 * <p>For mutual TLS give the credentials a {@code keyManager}, too.
 */
public final class Endpoint {
  /** Where the service listens unless it is told otherwise. */
  public static final String DEFAULT_TARGET = "127.0.0.1:7170";

  /** A call may carry 16 MiB to the service, and must be kept whole to be repeated. */
  private static final long MAX_CALL_BYTES = 16 << 20;

  private static final long MAX_RETRY_BYTES = 8 * MAX_CALL_BYTES;

  private final String target;
  private final ChannelCredentials credentials;
  private final String authority;
  private final Duration keepAliveTime;
  private final Duration keepAliveTimeout;

  /** The caller's own, in place of all of the above; or null. */
  private final Channel channel;

  private Endpoint(
      String target,
      ChannelCredentials credentials,
      String authority,
      Duration keepAliveTime,
      Duration keepAliveTimeout,
      Channel channel) {
    this.target = target;
    this.credentials = credentials;
    this.authority = authority;
    this.keepAliveTime = keepAliveTime;
    this.keepAliveTimeout = keepAliveTimeout;
    this.channel = channel;
  }

  /**
   * A service by its address, without encryption.
   *
   * @param target {@code host:port}, or any other target that gRPC understands
   * @return the endpoint
   */
  public static Endpoint of(String target) {
    return new Endpoint(
        Objects.requireNonNull(target, "target"),
        InsecureChannelCredentials.create(),
        null,
        Duration.ofSeconds(30),
        Duration.ofSeconds(10),
        null);
  }

  /**
   * A channel of your own, with its own credentials, retries ({@link ServiceConfig}) and limits on
   * message sizes (a batch of leases takes up to 4 MiB). It is used as it is, and stays open.
   *
   * @param channel open for as long as the client or worker that uses it
   * @return the endpoint
   */
  public static Endpoint of(Channel channel) {
    Objects.requireNonNull(channel, "channel");
    return new Endpoint(channel.authority(), null, null, null, null, channel);
  }

  /**
   * With TLS, or other credentials of gRPC's.
   *
   * @param credentials e.g. {@code TlsChannelCredentials.create()}: whom the JDK trusts
   * @return a copy
   */
  public Endpoint withCredentials(ChannelCredentials credentials) {
    requireOwnChannel();
    return new Endpoint(
        target,
        Objects.requireNonNull(credentials, "credentials"),
        authority,
        keepAliveTime,
        keepAliveTimeout,
        null);
  }

  /**
   * With the name that the service's certificate carries, where it is not the target's.
   *
   * @param authority a host name
   * @return a copy
   */
  public Endpoint withAuthority(String authority) {
    requireOwnChannel();
    return new Endpoint(target, credentials, authority, keepAliveTime, keepAliveTimeout, null);
  }

  /**
   * With another idea of how soon a connection that has gone silent is noticed.
   *
   * <p>While a call is under way, the client pings a service that has been silent for {@code time},
   * and makes the connection anew if no answer comes within {@code timeout}; so it does with one
   * that was just made, and that the service does not greet. Not given: 30 s and 10 s. A service
   * drops clients that ping more often than it allows (ours: every 5 s).
   *
   * @param time of silence before a ping
   * @param timeout of the ping
   * @return a copy
   */
  public Endpoint withKeepAlive(Duration time, Duration timeout) {
    requireOwnChannel();
    return new Endpoint(target, credentials, authority, time, timeout, null);
  }

  private void requireOwnChannel() {
    if (channel != null) {
      throw new IllegalStateException("this is your own channel: set it up where you build it");
    }
  }

  /**
   * Opens a channel, which connects when the first call is made.
   *
   * @param retries whether gRPC repeats calls and waits for connections; a worker does both itself
   */
  Connection open(boolean retries) {
    if (channel != null) {
      return Connection.borrowed(channel);
    }
    ManagedChannelBuilder<?> builder =
        Grpc.newChannelBuilder(target, credentials)
            .userAgent("uwfq-java")
            // A batch of leases carries its payloads; the service bounds what it sends.
            .maxInboundMessageSize(Integer.MAX_VALUE)
            .keepAliveTime(keepAliveTime.toNanos(), TimeUnit.NANOSECONDS)
            .keepAliveTimeout(keepAliveTimeout.toNanos(), TimeUnit.NANOSECONDS);
    if (authority != null) {
      builder.overrideAuthority(authority);
    }
    TrustCheck trust = new TrustCheck();
    if (retries) {
      builder
          .intercept(trust)
          .enableRetry()
          .defaultServiceConfig(ServiceConfig.asMap())
          .perRpcBufferLimit(MAX_CALL_BYTES)
          .retryBufferSize(MAX_RETRY_BYTES);
    } else {
      builder.disableRetry();
    }
    // A config from DNS would be another one than that of the other clients.
    ManagedChannel opened = builder.disableServiceConfigLookUp().build();
    trust.watch(opened);
    return Connection.owned(opened, keepAliveTimeout);
  }

  @Override
  public String toString() {
    return target;
  }
}
