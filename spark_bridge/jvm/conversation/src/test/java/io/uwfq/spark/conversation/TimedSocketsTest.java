package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class TimedSocketsTest {
  private static final InetAddress HERE = InetAddress.getLoopbackAddress();

  private final TimedSockets sockets =
      new TimedSockets(Duration.ofSeconds(20), Duration.ofMillis(50));

  @Test
  void silenceEndsARead() throws IOException {
    try (ServerSocket silent = new ServerSocket(0, 1, HERE);
        Socket socket = sockets.createSocket(HERE, silent.getLocalPort())) {
      assertThrows(SocketTimeoutException.class, () -> socket.getInputStream().read());
    }
  }

  @Test
  void whatArrivesIsRead() throws IOException {
    try (ServerSocket server = new ServerSocket(0, 1, HERE);
        Socket socket = sockets.createSocket("localhost", server.getLocalPort());
        Socket peer = server.accept()) {
      peer.getOutputStream().write(7);
      assertEquals(7, socket.getInputStream().read());
    }
  }

  @Test
  void aRefusedConnectionIsAFailure() throws IOException {
    try (Socket reserved = new Socket()) { // Nobody else gets its port, and nobody listens there.
      reserved.bind(new InetSocketAddress(HERE, 0));
      int port = reserved.getLocalPort();
      assertThrows(ConnectException.class, () -> sockets.createSocket(HERE, port));
    }
  }
}
