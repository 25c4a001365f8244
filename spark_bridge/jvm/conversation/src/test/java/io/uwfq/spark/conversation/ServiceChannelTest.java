package io.uwfq.spark.conversation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.uwfq.v1.GetJobRequest;
import io.uwfq.v1.SchedulerServiceGrpc;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import javax.net.ssl.SSLHandshakeException;
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

  /** The log should tell a service that is down from a certificate that nobody trusts. */
  @Test
  void aFailureTellsWhatIsBehindIt() {
    Throwable deepest = new IOException("PKIX path building failed");
    Throwable layer = new SSLHandshakeException("PKIX path building failed");
    layer.initCause(deepest);
    Throwable failed = Status.UNAVAILABLE.withCause(layer).asRuntimeException();
    assertEquals(
        "UNAVAILABLE: PKIX path building failed",
        Service.describe(Status.fromThrowable(failed).withCause(failed)));
  }

  @Test
  void aFailureWithoutACauseIsDescribedAsItIs() {
    for (Status status :
        List.of(Status.UNAVAILABLE, Status.UNAVAILABLE.withDescription("it stops"))) {
      Throwable failed = status.asRuntimeException();
      String said = status.getDescription() == null ? "" : ": it stops";
      assertEquals(
          "UNAVAILABLE" + said, Service.describe(Status.fromThrowable(failed).withCause(failed)));
    }
  }

  @Test
  @Timeout(60)
  void aServiceThatIsNotThereRefusesTheConnection() throws Exception {
    try (Socket reserved = new Socket()) { // Nobody else gets its port, and nobody listens there.
      reserved.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      StatusRuntimeException failed = failureOfACallTo("127.0.0.1:" + reserved.getLocalPort());
      assertEquals(
          "UNAVAILABLE: Connection refused",
          Service.describe(Status.fromThrowable(failed).withCause(failed)));
    }
  }

  /** The conversation says it once; gRPC would say it each time that it is asked again. */
  @Test
  @Timeout(60)
  void thatAHostIsUnknownIsNoNewsOfGrpcs() {
    List<String> logged = Collections.synchronizedList(new ArrayList<>());
    Handler log =
        new Handler() {
          @Override
          public void publish(LogRecord record) {
            logged.add(record.getMessage());
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        };
    Logger grpc = Logger.getLogger("io.grpc");
    grpc.addHandler(log);
    // No name has parts as long as this, so that nobody has to be asked.
    StatusRuntimeException failed = failureOfACallTo("x".repeat(64) + ".invalid:7170");
    grpc.removeHandler(log);
    assertEquals(Status.Code.UNAVAILABLE, failed.getStatus().getCode());
    assertEquals(List.of(), logged);
  }

  private static StatusRuntimeException failureOfACallTo(String target) {
    Settings settings = Settings.of(Map.of("spark.uwfq.target", target), List.of());
    ManagedChannel channel = ServiceChannel.open(settings);
    StatusRuntimeException failed =
        assertThrows(
            StatusRuntimeException.class,
            () ->
                SchedulerServiceGrpc.newBlockingStub(channel)
                    .getJob(GetJobRequest.getDefaultInstance()));
    channel.shutdownNow();
    return failed;
  }
}
