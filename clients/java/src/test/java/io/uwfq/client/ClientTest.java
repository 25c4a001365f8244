package io.uwfq.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.ResourceInfo;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.Status;
import io.uwfq.v1.GetJobRequest;
import io.uwfq.v1.Job;
import io.uwfq.v1.JobState;
import io.uwfq.v1.ListJobsRequest;
import io.uwfq.v1.SubmitJobRequest;
import io.uwfq.v1.WatchJobRequest;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The client's calls against a service that misbehaves on demand. */
@Timeout(60)
class ClientTest {
  private static final SubmitJobRequest SUBMISSION =
      SubmitJobRequest.newBuilder().setUser("alice").addStages(Jobs.stage("scan", 8)).build();

  private final FakeService service = new FakeService();
  private final Client client = Client.connect(service.endpoint());

  @AfterEach
  void close() {
    client.close();
    service.close();
  }

  private static Job job(String id, JobState state) {
    return Job.newBuilder().setJobId(id).setState(state).build();
  }

  private <T extends Message> int calls(Class<T> request) {
    return service.requests(request).size();
  }

  // -------------------------------------------------------------------------------------- retries

  /** Gone under a call that was just about to be sent: the transport does not know, but we do. */
  @Test
  void aConnectionThatIsLostUnderACallIsUnavailable() {
    Status lost =
        Status.UNKNOWN.withDescription("channel closed").withCause(new ClosedChannelException());
    assertEquals(Status.Code.UNAVAILABLE, UwfqException.from(lost.asRuntimeException()).code());
    assertEquals(
        Status.Code.UNKNOWN, UwfqException.from(Status.UNKNOWN.asRuntimeException()).code());
  }

  @Test
  void aServiceThatCannotBeReachedSaysWhyInOneLine() {
    Status broken =
        Status.UNAVAILABLE
            .withDescription("io exception\nChannel Pipeline: [A#0, B#0]")
            .withCause(new IOException(new ConnectException("Connection refused")));
    assertEquals(
        "io exception: Connection refused",
        UwfqException.from(broken.asRuntimeException()).description());
    try (Client away = Client.connect("127.0.0.1:1")) {
      String message = timeoutThatSays("Connection refused", away);
      assertEquals(1, message.lines().count(), message);
    }
  }

  /** What a call says whose time is up. The time grows while there was none to connect in. */
  private static String timeoutThatSays(String why, Client client) {
    String message = "";
    for (int seconds = 1; seconds < 30 && !message.contains(why); seconds *= 3) {
      Client brief = client.withTimeout(Duration.ofSeconds(seconds));
      message = assertThrows(UwfqException.class, () -> brief.get("j-1")).getMessage();
    }
    assertTrue(message.contains(why), message);
    return message;
  }

  /** So does a service that wants TLS, or a certificate, and gRPC says only that it was closed. */
  @Test
  void aConnectionThatIsClosedAtOnceSaysWhatThatMayMean() throws Exception {
    try (ServerSocket hasty = new ServerSocket(0, 9, InetAddress.getLoopbackAddress())) {
      Thread closing =
          new Thread(
              () -> {
                while (!hasty.isClosed()) {
                  try {
                    hasty.accept().close();
                  } catch (IOException over) {
                    return;
                  }
                }
              });
      closing.start();
      try (Client client = Client.connect("127.0.0.1:" + hasty.getLocalPort())) {
        timeoutThatSays("does the service want TLS", client);
      }
    }
  }

  /** As a load balancer does whose service is gone. gRPC would wait for ever. */
  @Test
  void aConnectionThatIsTakenAndNotGreetedIsMadeAnew() throws Exception {
    ServerSocket silent = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
    int port = silent.getLocalPort();
    Endpoint endpoint =
        Endpoint.of("127.0.0.1:" + port)
            .withKeepAlive(Duration.ofSeconds(30), Duration.ofSeconds(1));
    try (Client client = Client.connect(endpoint)) {
      CompletableFuture<Job> asked = client.async().get("j-1");
      Socket taken = silent.accept();
      silent.close();
      Server server =
          Grpc.newServerBuilderForPort(port, InsecureServerCredentials.create()).build().start();
      Throwable refusal = assertThrows(ExecutionException.class, asked::get).getCause();
      assertEquals(
          Status.Code.UNIMPLEMENTED, assertInstanceOf(UwfqException.class, refusal).code());
      server.shutdownNow();
      taken.close();
    }
  }

  /** As one is on which the service's pings were not answered: this machine was asleep, say. */
  @Test
  void aWatchGoesOnAfterTheServiceHasDroppedTheConnection() throws Exception {
    ServerSocket wary = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
    int port = wary.getLocalPort();
    try (Client client = Client.connect("127.0.0.1:" + port)) {
      CompletableFuture<Job> watched = client.async().waitFor("j-1");
      try (Socket taken = wary.accept()) {
        wary.close();
        HexFormat frame = HexFormat.of();
        taken.getOutputStream().write(frame.parseHex("000000" + "04" + "0000000000")); // SETTINGS
        awaitData(new DataInputStream(taken.getInputStream()));
        // GOAWAY with ENHANCE_YOUR_CALM, which is not about the streams that are open.
        byte[] goAway = frame.parseHex("000008" + "07" + "0000000000" + "7fffffff" + "0000000b");
        taken.getOutputStream().write(goAway);
        taken.shutdownOutput();
        taken.getInputStream().transferTo(OutputStream.nullOutputStream());
      }
      Server server =
          Grpc.newServerBuilderForPort(port, InsecureServerCredentials.create()).build().start();
      Throwable refusal = assertThrows(ExecutionException.class, watched::get).getCause();
      assertEquals(
          Status.Code.UNIMPLEMENTED, assertInstanceOf(UwfqException.class, refusal).code());
      server.shutdownNow();
    }
  }

  /** Reads HTTP/2 up to the first message of a call. */
  private static void awaitData(DataInputStream frames) throws IOException {
    frames.skipNBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".length());
    int type;
    do {
      int lengthAndType = frames.readInt();
      type = lengthAndType & 0xff;
      frames.skipNBytes(5 + (lengthAndType >>> 8));
    } while (type != 0);
  }

  @Test
  void aRetriedSubmissionKeepsItsRandomRequestId() {
    service.lose(SubmitJobRequest.class, 2);
    client.submit(SUBMISSION);
    client.async().submit(SUBMISSION).join();
    List<String> ids =
        service.requests(SubmitJobRequest.class).stream()
            .map(SubmitJobRequest::getRequestId)
            .toList();
    assertEquals(4, ids.size());
    assertEquals(2, ids.stream().distinct().count());
    assertEquals(1, ids.stream().limit(3).distinct().count());
    assertFalse(ids.contains(""));
  }

  @Test
  void aSubmissionWithAnIdentityOfItsOwnIsLeftAsItIs() {
    SubmitJobRequest named = SUBMISSION.toBuilder().setJobId("j").build();
    SubmitJobRequest marked = SUBMISSION.toBuilder().setRequestId("r").build();
    client.submit(named);
    client.submit(marked);
    assertEquals(List.of(named, marked), service.requests(SubmitJobRequest.class));
  }

  @ParameterizedTest
  @EnumSource(
      value = Status.Code.class,
      mode = EnumSource.Mode.EXCLUDE,
      names = {"OK", "UNAVAILABLE", "CANCELLED"})
  void nothingElseIsTriedAgain(Status.Code code) {
    service.refuse(GetJobRequest.class, FakeService.refusal(code, "no"), 2);
    UwfqException refusal = assertThrows(UwfqException.class, () -> client.get("j"));
    assertEquals(code, refusal.code());
    assertEquals(1, calls(GetJobRequest.class));
  }

  /** A server that ends cancels the calls that have just come to it. */
  @Test
  void aCallThatTheServiceHasCancelledIsTriedAgain() {
    service.put(Job.newBuilder().setJobId("j").build());
    service.refuse(GetJobRequest.class, FakeService.refusal(Status.Code.CANCELLED, "ends"), 2);
    assertEquals("j", client.get("j").getJobId());
    assertEquals(3, calls(GetJobRequest.class));
  }

  @Test
  void howeverManyCallsAreUnderWayAllAreTriedAgain() {
    service.put(Job.newBuilder().setJobId("j").build());
    service.refuse(GetJobRequest.class, FakeService.unavailable(), 100);
    List<CompletableFuture<Job>> asked;
    synchronized (
        service) { // It answers when all have asked: else the first ones are out of tries.
      asked = IntStream.range(0, 100).mapToObj(i -> client.async().get("j")).toList();
    }
    asked.forEach(CompletableFuture::join);
    assertEquals(200, calls(GetJobRequest.class));
  }

  @Test
  void fiveTriesAreEnough() {
    service.refuse(GetJobRequest.class, FakeService.unavailable(), 100);
    UwfqException refusal = assertThrows(UwfqException.class, () -> client.get("j"));
    assertEquals(Status.Code.UNAVAILABLE, refusal.code());
    assertEquals(5, calls(GetJobRequest.class));
  }

  // --------------------------------------------------------------------------------------- errors

  @Test
  void theDetailsOfARefusalAreValues() {
    BadRequest.FieldViolation violation =
        BadRequest.FieldViolation.newBuilder()
            .setField("stages[0].tasks")
            .setDescription("must be at least 1")
            .build();
    service.refuse(
        GetJobRequest.class,
        FakeService.refusal(
            Status.Code.INVALID_ARGUMENT,
            "malformed",
            BadRequest.newBuilder().addFieldViolations(violation).build(),
            ErrorInfo.newBuilder().setReason("INVALID_FIELD").build(),
            ResourceInfo.newBuilder().setResourceType("job").setResourceName("j").build()),
        1);
    service.refuse(GetJobRequest.class, FakeService.exhausted(1500), 1);

    UwfqException invalid = assertThrows(UwfqException.class, () -> client.get("j"));
    assertEquals(
        "INVALID_ARGUMENT: malformed (stages[0].tasks: must be at least 1)", invalid.getMessage());
    assertEquals("malformed", invalid.description());
    assertEquals(
        List.of(new UwfqException.FieldViolation("stages[0].tasks", "must be at least 1")),
        invalid.fieldViolations());
    assertEquals(Optional.of("INVALID_FIELD"), invalid.reason());
    assertEquals(Optional.of(new UwfqException.Resource("job", "j")), invalid.resource());
    assertEquals(Optional.empty(), invalid.retryAfter());

    UwfqException full = assertThrows(UwfqException.class, () -> client.get("j"));
    assertEquals(Optional.of(Duration.ofMillis(1500)), full.retryAfter());
    assertEquals("RESOURCE_EXHAUSTED: full", full.getMessage());
  }

  @Test
  void aFutureFailsWithTheSameException() {
    service.refuse(
        GetJobRequest.class, FakeService.refusal(Status.Code.NOT_FOUND, "no such job"), 1);
    CompletableFuture<Job> future = client.async().get("j");
    Throwable cause = assertThrows(CompletionException.class, future::join).getCause();
    assertEquals(Status.Code.NOT_FOUND, assertInstanceOf(UwfqException.class, cause).code());
  }

  @Test
  void cancellingAFutureCancelsItsCall() {
    service.stop(); // So the call waits for a connection.
    List<Status> ends = new CopyOnWriteArrayList<>();
    try (Client watched = Client.connect(Endpoint.of(service.channel(noting(ends))))) {
      CompletableFuture<Job> future = watched.async().get("j");
      assertTrue(future.cancel(true));
      assertThrows(CancellationException.class, future::join);
    }
    assertEquals(List.of(Status.Code.CANCELLED), ends.stream().map(Status::getCode).toList());
  }

  /** Notes how calls are cancelled by their caller. */
  private static ClientInterceptor noting(List<Status> ends) {
    return new ClientInterceptor() {
      @Override
      public <Q, A> ClientCall<Q, A> interceptCall(
          MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
        return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
          @Override
          public void cancel(String message, Throwable cause) {
            ends.add(Status.CANCELLED.withDescription(message).withCause(cause));
            super.cancel(message, cause);
          }
        };
      }
    };
  }

  @Test
  void aTimeoutIsTheDeadlineOfTheCall() throws Exception {
    service.stop();
    Client hasty = client.withTimeout(Duration.ofMillis(50));
    UwfqException late = assertThrows(UwfqException.class, () -> hasty.get("j"));
    assertEquals(Status.Code.DEADLINE_EXCEEDED, late.code());
    assertThrows(IllegalArgumentException.class, () -> client.withTimeout(Duration.ZERO));
  }

  // ------------------------------------------------------------------------------------- listing

  @Test
  void pagesAreFetchedAsTheyAreConsumed() {
    for (int i = 0; i < 5; i++) {
      service.put(job("j-" + i, JobState.JOB_STATE_WAITING));
    }
    ListJobsRequest request = ListJobsRequest.newBuilder().setPageSize(2).build();
    assertEquals("j-0", client.listAll(request).findFirst().orElseThrow().getJobId());
    assertEquals(1, calls(ListJobsRequest.class));
    assertEquals(5, client.listAll(request).map(Job::getJobId).distinct().count());
    assertEquals(4, calls(ListJobsRequest.class));
  }

  // ------------------------------------------------------------------------------------ watching

  @Test
  void aWatchGoesOnAfterABreakAndTellsNothingTwice() throws Exception {
    service.put(job("j", JobState.JOB_STATE_WAITING));
    // Each of these streams tells the state, then breaks.
    service.lose(WatchJobRequest.class, 2);
    CompletableFuture<Job> end = client.async().waitFor("j");
    try (Stream<Job> progress = client.watch("j")) {
      CompletableFuture<Void> script =
          CompletableFuture.runAsync(
              () -> {
                try {
                  service.await(() -> service.requests(WatchJobRequest.class).size() == 4);
                } catch (InterruptedException over) {
                  throw new AssertionError(over);
                }
                service.put(job("j", JobState.JOB_STATE_SUCCEEDED));
              });
      assertEquals(
          List.of(JobState.JOB_STATE_WAITING, JobState.JOB_STATE_SUCCEEDED),
          progress.map(Job::getState).toList());
      script.join();
    }
    assertTrue(Jobs.hasSucceeded(end.join()));
  }

  /** The service has as many watches as it takes, and says when to come back. */
  @Test
  void aWatchThatIsOneTooManyWaitsForItsTurn() {
    service.put(job("j", JobState.JOB_STATE_SUCCEEDED));
    service.refuse(WatchJobRequest.class, FakeService.exhausted(1), 2);
    assertTrue(Jobs.hasSucceeded(client.waitFor("j")));
    assertEquals(3, calls(WatchJobRequest.class));
  }

  /** Of a refusal without a time to come back waiting would not be the end. */
  @Test
  void aWatchBeyondAnyMeasureIsNotTriedAgain() {
    service.refuse(
        WatchJobRequest.class, FakeService.refusal(Status.Code.RESOURCE_EXHAUSTED, "too large"), 9);
    UwfqException refusal = assertThrows(UwfqException.class, () -> client.waitFor("j"));
    assertEquals(Status.Code.RESOURCE_EXHAUSTED, refusal.code());
    assertEquals(1, calls(WatchJobRequest.class));
  }

  @Test
  void aWatchOfNothingIsNotTriedAgain() {
    service.refuse(
        WatchJobRequest.class, FakeService.refusal(Status.Code.NOT_FOUND, "no such job"), 9);
    UwfqException refusal = assertThrows(UwfqException.class, () -> client.waitFor("j"));
    assertEquals(Status.Code.NOT_FOUND, refusal.code());
    assertEquals(1, calls(WatchJobRequest.class));
  }

  @Test
  void aWatchEndsWithItsClient() throws Exception {
    service.put(job("j", JobState.JOB_STATE_WAITING));
    ManagedChannel channel = service.channel();
    Client closing = Client.connect(Endpoint.of(channel));
    CompletableFuture<Job> waiting = closing.async().waitFor("j");
    service.await(() -> calls(WatchJobRequest.class) == 1);
    channel.shutdownNow();
    for (CompletableFuture<Job> each : List.of(waiting, closing.async().waitFor("j"))) {
      CompletionException ended =
          assertThrows(CompletionException.class, each.orTimeout(10, TimeUnit.SECONDS)::join);
      UwfqException closed = assertInstanceOf(UwfqException.class, ended.getCause());
      assertEquals(Status.Code.UNAVAILABLE, closed.code());
    }
  }

  /** Whoever reads it would wait for ever; and its last state is not the job's end. */
  @Test
  void aStreamThatIsClosedElsewhereSaysSo() throws Exception {
    service.put(job("j", JobState.JOB_STATE_WAITING));
    Stream<Job> progress = client.watch("j");
    CountDownLatch seen = new CountDownLatch(1);
    CompletableFuture<UwfqException> thrown =
        CompletableFuture.supplyAsync(
            () ->
                assertThrows(
                    UwfqException.class, () -> progress.forEach(state -> seen.countDown())));
    seen.await();
    progress.close();
    assertEquals(Status.Code.CANCELLED, thrown.get(10, TimeUnit.SECONDS).code());
  }

  @Test
  void waitingEndsWithItsTimeoutOrWithAnInterrupt() throws Exception {
    service.put(job("j", JobState.JOB_STATE_WAITING));
    UwfqException late =
        assertThrows(UwfqException.class, () -> client.waitFor("j", Duration.ofMillis(50)));
    assertEquals(Status.Code.DEADLINE_EXCEEDED, late.code());

    CountDownLatch waits = new CountDownLatch(1);
    CompletableFuture<UwfqException> thrown = new CompletableFuture<>();
    Thread waiter =
        new Thread(
            () -> {
              waits.countDown();
              thrown.complete(assertThrows(UwfqException.class, () -> client.waitFor("j")));
            });
    waiter.start();
    waits.await();
    waiter.interrupt();
    assertEquals(Status.Code.CANCELLED, thrown.join().code());
  }

  // --------------------------------------------------------------------------------------- helpers

  @Test
  void successIsInsistedOnWithTheJobsCause() {
    Job failed = job("j", JobState.JOB_STATE_FAILED).toBuilder().setCause("disk on fire").build();
    JobFailedException error =
        assertThrows(JobFailedException.class, () -> Jobs.requireSucceeded(failed));
    assertEquals("job j has ended as failed: disk on fire", error.getMessage());
    assertEquals(failed, error.job());
    Job waiting = job("j", JobState.JOB_STATE_WAITING);
    assertThrows(IllegalArgumentException.class, () -> Jobs.requireSucceeded(waiting));
    Job done = job("j", JobState.JOB_STATE_SUCCEEDED);
    assertEquals(done, Jobs.requireSucceeded(done));
  }
}
