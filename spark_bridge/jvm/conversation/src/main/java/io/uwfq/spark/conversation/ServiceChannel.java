package io.uwfq.spark.conversation;

import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import java.io.File;
import java.io.IOException;

/** The way to the service: plain, or over TLS if {@code spark.uwfq.tls.ca} is set. */
public final class ServiceChannel {
  private ServiceChannel() {}

  /**
   * Opens a channel, which connects when the first call is made.
   *
   * @throws IllegalArgumentException names the setting whose file is of no use
   */
  public static ManagedChannel open(Settings settings) {
    ChannelCredentials credentials = credentials(settings);
    try {
      return NettyChannelBuilder.forTarget(settings.target(), credentials).build();
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
