package io.uwfq.spark.conversation;

import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.TlsChannelCredentials;
import io.grpc.okhttp.OkHttpChannelBuilder;
import java.io.File;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;

/** The way to the service: plain, or over TLS if {@code spark.uwfq.tls.ca} is set. */
public final class ServiceChannel {
  private static final String USER_AGENT = "uwfq-spark";
  private static final int MAX_MESSAGE_BYTES = 16 << 20;

  /** The service takes a ping every five seconds. */
  private static final long KEEP_ALIVE_SECONDS = 15;

  private static final long KEEP_ALIVE_TIMEOUT_SECONDS = 5;

  private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(5);

  /** Twice as long as a call is under way without a ping. */
  private static final Duration SILENCE_TIMEOUT = Duration.ofSeconds(2 * KEEP_ALIVE_SECONDS);

  /**
   * Of gRPC, by the name that it has here, so that no other's is meant. It warns of a host without
   * an address, with a stack trace, each time that it is asked again; {@link Contact} says once
   * what came of a call. Kept, since a log manager does not keep loggers.
   */
  private static final Logger GRPC = Logger.getLogger(ManagedChannel.class.getPackageName());

  static {
    GRPC.setLevel(Level.SEVERE);
  }

  private ServiceChannel() {}

  /**
   * Opens a channel, which connects when the first call is made.
   *
   * @throws IllegalArgumentException names the setting whose file is of no use
   */
  public static ManagedChannel open(Settings settings) {
    ChannelCredentials credentials = credentials(settings);
    try {
      return OkHttpChannelBuilder.forTarget(settings.target(), credentials)
          .userAgent(USER_AGENT)
          .maxInboundMessageSize(MAX_MESSAGE_BYTES)
          .socketFactory(new TimedSockets(CONNECT_TIMEOUT, SILENCE_TIMEOUT))
          // All that is done with an answer is to hand it over: no thread between is worth its
          // waking.
          .directExecutor()
          // A connection that a firewall has dropped is noticed, and made anew.
          .keepAliveTime(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
          .keepAliveTimeout(KEEP_ALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
          .build();
    } catch (RuntimeException wrong) {
      throw new IllegalArgumentException(
          Settings.PREFIX
              + "target and "
              + Settings.PREFIX
              + "tls.*: "
              + wrong.getMessage()
              + ": check the address, and that the files are what they should be",
          wrong);
    }
  }

  /**
   * Finds out whether a channel can be opened, without a connection.
   *
   * @throws IllegalArgumentException as {@link #open}
   */
  public static void check(Settings settings) {
    open(settings).shutdownNow();
  }

  private static ChannelCredentials credentials(Settings settings) {
    if (settings.tlsCertificateAuthority().isEmpty()) {
      return InsecureChannelCredentials.create();
    }
    TlsChannelCredentials.Builder tls = TlsChannelCredentials.newBuilder();
    String file = settings.tlsCertificateAuthority();
    String key = "tls.ca";
    try {
      tls.trustManager(new File(file));
      if (!settings.tlsCertificate().isEmpty()) {
        key = "tls.certificate or tls.key";
        file = settings.tlsCertificate() + " with " + settings.tlsKey();
        tls.keyManager(new File(settings.tlsCertificate()), new File(settings.tlsKey()));
      }
      return tls.build();
    } catch (IOException | RuntimeException wrong) {
      throw new IllegalArgumentException(
          Settings.PREFIX
              + key
              + " is \""
              + file
              + "\": name files in PEM that the driver can read",
          wrong);
    }
  }
}
