package io.uwfq.client;

import io.grpc.Channel;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * A channel, and the care that it needs: made anew within a second or so after a restart of the
 * service (gRPC by itself waits up to two minutes), closed once. Thread-safe.
 */
final class Connection implements AutoCloseable {
  private static final Duration RECONNECT_INTERVAL = Duration.ofSeconds(1);
  private static final long CLOSING_SECONDS = 5;

  private final Channel channel;

  /** The same channel, if it is ours to look after; or null. */
  private final ManagedChannel owned;

  private Connection(Channel channel, ManagedChannel owned) {
    this.channel = channel;
    this.owned = owned;
  }

  /** A channel that somebody else has made and will close. */
  static Connection borrowed(Channel channel) {
    return new Connection(channel, null);
  }

  /** A channel to look after. */
  static Connection owned(ManagedChannel channel) {
    Connection connection = new Connection(channel, channel);
    connection.watch();
    return connection;
  }

  Channel channel() {
    return channel;
  }

  private void watch() {
    ConnectivityState state = owned.getState(false);
    switch (state) {
      case SHUTDOWN -> {}
      case TRANSIENT_FAILURE -> later(this::reconnect);
      default -> owned.notifyWhenStateChanged(state, this::watch);
    }
  }

  /** The state need not change between two failures, so this one goes by the clock. */
  private void reconnect() {
    owned.resetConnectBackoff();
    watch();
  }

  private static void later(Runnable step) {
    Executor timer =
        CompletableFuture.delayedExecutor(RECONNECT_INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
    timer.execute(step);
  }

  /**
   * Ends the calls that are under way, and lets go of the sockets. Does nothing the second time.
   */
  @Override
  public void close() {
    if (owned == null || owned.isShutdown()) {
      return;
    }
    owned.shutdownNow();
    try {
      owned.awaitTermination(CLOSING_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException hurry) {
      Thread.currentThread().interrupt();
    }
  }
}
