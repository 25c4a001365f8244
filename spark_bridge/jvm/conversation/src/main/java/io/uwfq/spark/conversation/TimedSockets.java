package io.uwfq.spark.conversation;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.time.Duration;
import javax.net.SocketFactory;

/**
 * Connected sockets that give up: a thread of the channel connects, shakes hands and reads, and
 * would wait for as long as the other side lets it, whether the channel still wants the connection
 * or not.
 */
final class TimedSockets extends SocketFactory {
  private final int connectMillis;
  private final int silenceMillis;

  /**
   * @param connect longest that a connection may take to be made
   * @param silence longest that nothing may arrive
   */
  TimedSockets(Duration connect, Duration silence) {
    connectMillis = Math.toIntExact(connect.toMillis());
    silenceMillis = Math.toIntExact(silence.toMillis());
  }

  @Override
  public Socket createSocket(String host, int port) throws IOException {
    return createSocket(InetAddress.getByName(host), port);
  }

  @Override
  public Socket createSocket(String host, int port, InetAddress localHost, int localPort)
      throws IOException {
    return createSocket(InetAddress.getByName(host), port, localHost, localPort);
  }

  @Override
  public Socket createSocket(InetAddress host, int port) throws IOException {
    return connected(new InetSocketAddress(host, port), null);
  }

  @Override
  public Socket createSocket(InetAddress host, int port, InetAddress localHost, int localPort)
      throws IOException {
    return connected(
        new InetSocketAddress(host, port), new InetSocketAddress(localHost, localPort));
  }

  private Socket connected(InetSocketAddress remote, InetSocketAddress local) throws IOException {
    Socket socket = new Socket();
    try {
      socket.bind(local);
      socket.setSoTimeout(silenceMillis);
      socket.connect(remote, connectMillis);
      return socket;
    } catch (IOException | RuntimeException failed) {
      socket.close();
      throw failed;
    }
  }
}
