package io.uwfq.spark.conversation;

import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The way to the service, over real sockets. */
class ServiceChannelTest {
  /** As a load balancer does whose service is gone. gRPC would wait for ever. */
  @Test
  @Timeout(60)
  void aConnectionThatIsTakenAndNotGreetedIsMadeAnew() throws Exception {
    ServerSocket silent = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
    int port = silent.getLocalPort();
    Settings settings =
        Settings.of(
            Map.of(
                "spark.uwfq.target", "127.0.0.1:" + port,
                "spark.uwfq.staleAfter", "100ms",
                "spark.uwfq.rpcTimeout", "100ms"),
            List.of());
    try (ScriptedService service = new ScriptedService();
        GrpcConversation conversation =
            new GrpcConversation(settings, "engine", ServiceChannel.open(settings))) {
      conversation.start();
      Socket taken = silent.accept();
      silent.close();
      Server server =
          Grpc.newServerBuilderForPort(port, InsecureServerCredentials.create())
              .addService(service)
              .build()
              .start();
      Waiting.until("an answer", () -> conversation.standings().reachable());
      server.shutdownNow();
      taken.close();
    }
  }
}
