package io.uwfq.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.uwfq.v1.AddStagesRequest;
import io.uwfq.v1.GetPoolRequest;
import io.uwfq.v1.Job;
import io.uwfq.v1.JobState;
import io.uwfq.v1.ListJobsRequest;
import io.uwfq.v1.ListUsersRequest;
import io.uwfq.v1.SetUserRequest;
import io.uwfq.v1.SubmitJobRequest;
import io.uwfq.v1.SubmitJobResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The client and the worker against {@code uwfq serve}. */
@Timeout(120)
class RealServiceTest {
  @TempDir Path data;
  private RealService service;
  private Client client;

  @BeforeEach
  void start() throws Exception {
    service = RealService.start(data);
    client = Client.connect(service.target());
  }

  @AfterEach
  void stop() throws Exception {
    if (client != null) {
      client.close();
      service.close();
    }
  }

  private static SubmitJobRequest.Builder job(String jobId, int tasks) {
    return SubmitJobRequest.newBuilder()
        .setJobId(jobId)
        .setUser("alice")
        .setKind("noop")
        .addStages(Jobs.stage("scan", tasks).setEstimatedWorkSlotSeconds(1));
  }

  @Test
  void aJobGoesItsWay() {
    assertEquals(
        List.of("default"),
        client.listPools().getPoolsList().stream().map(p -> p.getPool()).toList());
    client.setUser(SetUserRequest.newBuilder().setUser("alice").setWeight(2).build());
    assertEquals(
        2.0, client.listUsers(ListUsersRequest.getDefaultInstance()).getUsers(0).getWeight());

    SubmitJobResponse submitted = client.submit(job("j", 3).setOpen(true).build());
    assertFalse(submitted.getDuplicate());
    assertTrue(client.submit(job("j", 3).setOpen(true).build()).getDuplicate());
    UwfqException taken =
        assertThrows(UwfqException.class, () -> client.submit(job("j", 4).build()));
    assertEquals(Status.Code.ALREADY_EXISTS, taken.code());
    assertEquals("j", taken.resource().orElseThrow().name());
    assertEquals(1, client.explain("j").getPosition());

    client.addStages(
        AddStagesRequest.newBuilder()
            .setJobId("j")
            .addStages(Jobs.stage("join", 2).addAfter("scan"))
            .build());
    client.closeJob("j");
    try (Worker worker =
        Worker.builder(service.target())
            .slots(2)
            .handler("noop", task -> Measurement.ofRows(1))
            .build()
            .start()) {
      Job done = Jobs.requireSucceeded(client.waitFor("j", Duration.ofMinutes(1)));
      assertEquals(List.of(3, 2), done.getStagesList().stream().map(s -> s.getDone()).toList());
      assertEquals(2, client.getPool(GetPoolRequest.getDefaultInstance()).getPool().getSlots());
      assertEquals(5, WorkerFixture.statsAtTheEnd(worker).succeeded());
    }
    // It has taken leave, so its slots are gone at once.
    assertEquals(0, client.getPool(GetPoolRequest.getDefaultInstance()).getPool().getSlots());
    assertEquals(1, client.listAll(ListJobsRequest.getDefaultInstance()).count());
  }

  @Test
  void refusalsNameTheFieldAndTheResource() {
    UwfqException invalid =
        assertThrows(UwfqException.class, () -> client.submit(job("j", 1).setUser("").build()));
    assertEquals(Status.Code.INVALID_ARGUMENT, invalid.code());
    assertEquals("user", invalid.fieldViolations().get(0).field());
    UwfqException unknown = assertThrows(UwfqException.class, () -> client.get("none"));
    assertEquals(Status.Code.NOT_FOUND, unknown.code());
    assertEquals("none", unknown.resource().orElseThrow().name());
  }

  @Test
  void aCancelledJobStopsItsHandlerAtTheNextRenewal() throws Exception {
    service.kill();
    service.start("--set", "scheduling.lease_seconds=1");
    CountDownLatch interrupted = new CountDownLatch(1);
    CountDownLatch running = new CountDownLatch(1);
    Handler handler =
        task -> {
          running.countDown();
          try {
            new CountDownLatch(1).await(1, TimeUnit.MINUTES);
          } finally {
            interrupted.countDown();
          }
          return Measurement.NONE;
        };
    try (Worker worker =
        Worker.builder(service.target()).slots(2).handler("noop", handler).build().start()) {
      client.submit(job("j", 1).build());
      running.await();
      assertEquals(JobState.JOB_STATE_CANCELLED, client.cancel("j", "enough").getState());
      interrupted.await();
      assertEquals("enough", client.waitFor("j").getCause());
      assertEquals(0, worker.stats().succeeded());
    }
  }

  @Test
  void whatTheWorkerHasQueuedGoesBackWithoutCostingAnAttempt() throws Exception {
    CountDownLatch running = new CountDownLatch(1);
    Handler handler =
        task -> {
          running.countDown();
          new CountDownLatch(1).await(1, TimeUnit.MINUTES);
          return Measurement.NONE;
        };
    Worker worker =
        Worker.builder(service.target()).slots(1).prefetch(3).handler("noop", handler).build();
    client.submit(job("j", 4).build());
    worker.start();
    running.await();
    worker.stop(Duration.ZERO);
    Job job = client.get("j");
    assertEquals(1, job.getFailedAttempts());
    assertEquals(4, job.getStages(0).getWaiting());
  }

  @Test
  void aHandlerThatEndsTheProcessHasFailed() throws Exception {
    SubmitJobRequest.Builder exits = job("j", 1).setKind("exit");
    exits.getStagesBuilder(0).setMaxAttempts(1);
    client.submit(exits.build());
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    Process worker =
        new ProcessBuilder(
                java,
                "-cp",
                System.getProperty("java.class.path"),
                ExitingWorker.class.getName(),
                service.target())
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    try {
      // The worker waits for the handler, and System.exit for the worker.
      Job job = client.waitFor("j", Duration.ofMinutes(1));
      assertTrue(job.getCause().contains("its handler has called System.exit"), job.getCause());
      assertEquals(ExitingWorker.EXIT_STATUS, worker.waitFor());
    } finally {
      worker.destroyForcibly();
    }
  }

  @Test
  void aKilledServiceLosesNothing() throws Exception {
    int tasks = 400;
    ConcurrentHashMap<Integer, Integer> runs = new ConcurrentHashMap<>();
    CountDownLatch someDone = new CountDownLatch(100);
    Handler handler =
        task -> {
          runs.merge(task.index(), 1, Integer::sum);
          someDone.countDown();
          Thread.sleep(2); // The work.
          return Measurement.ofRows(1);
        };
    client.submit(job("j", tasks).build());
    try (Worker worker =
        Worker.builder(service.target())
            .slots(2)
            .prefetch(20)
            .handler("noop", handler)
            .build()
            .start()) {
      someDone.await();
      service.kill();
      service.start();
      // The watch and the calls ride it out, too.
      Job done = Jobs.requireSucceeded(client.waitFor("j", Duration.ofMinutes(1)));
      assertEquals(tasks, done.getStages(0).getDone());
      assertEquals(0, done.getFailedAttempts());
      assertEquals(tasks, WorkerFixture.statsAtTheEnd(worker).succeeded());
    }
    assertEquals(tasks, runs.size());
    assertTrue(runs.values().stream().allMatch(count -> count == 1), runs::toString);
  }
}
