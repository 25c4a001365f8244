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
 * service (gRPC by itself waits up to two minutes), and when a connection is taken but not answered
 * (gRPC waits for ever), closed once. Thread-safe.
 */
final class Connection implements AutoCloseable {
  private static final Duration RECONNECT_INTERVAL = Duration.ofSeconds(1);
  private static final long CLOSING_SECONDS = 5;

  private final Channel channel;

  /** The same channel, if it is ours to look after; or null. */
  private final ManagedChannel owned;

  /** Looks, an interval apart, after which a connection that is still not made is begun anew. */
  private final long patience;

  /** Such looks since it was made, was idle, or was begun anew. One step of the watch at a time. */
  private long looks;

  private Connection(Channel channel, ManagedChannel owned, Duration answerTimeout) {
    this.channel = channel;
    this.owned = owned;
    this.patience = answerTimeout.dividedBy(RECONNECT_INTERVAL);
  }

  /** A channel that somebody else has made and will close. */
  static Connection borrowed(Channel channel) {
    return new Connection(channel, null, Duration.ZERO);
  }

  /**
   * A channel to look after.
   *
   * @param answerTimeout how long a connection may take to be made
   */
  static Connection owned(ManagedChannel channel, Duration answerTimeout) {
    Connection connection = new Connection(channel, channel, answerTimeout);
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
      case CONNECTING, TRANSIENT_FAILURE -> later(this::reconnect);
      default -> {
        looks = 0;
        owned.notifyWhenStateChanged(state, this::watch);
      }
    }
  }

  /** The state need not change between two failures, so this one goes by the clock. */
  private void reconnect() {
    looks++;
    if (looks > patience) {
      // Maybe somebody has taken the connection and says nothing. What waits for it, waits on.
      looks = 0;
      owned.enterIdle();
    } else {
      owned.resetConnectBackoff();
    }
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
