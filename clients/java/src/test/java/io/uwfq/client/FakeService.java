package io.uwfq.client;

import com.google.protobuf.Any;
import com.google.protobuf.Message;
import com.google.protobuf.util.Durations;
import com.google.rpc.RetryInfo;
import io.grpc.BindableService;
import io.grpc.ClientInterceptor;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import io.uwfq.v1.GetJobRequest;
import io.uwfq.v1.GetJobResponse;
import io.uwfq.v1.Job;
import io.uwfq.v1.LeaseRenewal;
import io.uwfq.v1.LeaseStatus;
import io.uwfq.v1.ListJobsRequest;
import io.uwfq.v1.ListJobsResponse;
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.NextTaskResponse;
import io.uwfq.v1.RenewLeasesRequest;
import io.uwfq.v1.RenewLeasesResponse;
import io.uwfq.v1.SchedulerServiceGrpc.SchedulerServiceImplBase;
import io.uwfq.v1.SubmitJobRequest;
import io.uwfq.v1.SubmitJobResponse;
import io.uwfq.v1.TaskDoneRequest;
import io.uwfq.v1.TaskDoneResponse;
import io.uwfq.v1.TaskLease;
import io.uwfq.v1.TaskResult;
import io.uwfq.v1.TaskResultAck;
import io.uwfq.v1.TaskResultStatus;
import io.uwfq.v1.WatchJobRequest;
import io.uwfq.v1.WatchJobResponse;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;

/**
 * A service inside the test's process, with just enough of UWFQ in it, and faults at will.
 *
 * <p>It leases first come, first served, honours poll ids, and remembers what it was told. {@link
 * #lose} carries a call out and drops its answer; {@link #refuse} drops the call itself; {@link
 * #stop} goes away, and {@link #start} comes back with the same state, as a durable service does.
 */
final class FakeService implements AutoCloseable {
  private static final long TEST_HAS_FAILED_SECONDS = 30;

  /** A refusal, and whether the call is carried out before. */
  private record Fault(Throwable refusal, boolean carriedOut) {}

  /** What a poll was granted. */
  private record Granted(long pollId, List<TaskLease> leases) {}

  private final String name = UUID.randomUUID().toString();
  private final List<ManagedChannel> channels = new ArrayList<>();
  private Server server;

  // All of the following is guarded by this, whose waiters are told of every change.
  private double leaseSeconds = 30;
  private long lastLease;
  private final Deque<TaskLease> waiting = new ArrayDeque<>();
  private final Map<Long, TaskLease> leases = new LinkedHashMap<>();
  private final Map<Long, TaskResult> results = new LinkedHashMap<>();
  private final Map<String, Granted> granted = new HashMap<>();
  private final TreeSet<Long> revoked = new TreeSet<>();
  private final Map<Class<?>, Deque<Fault>> faults = new HashMap<>();
  private final Map<Class<?>, List<Message>> requests = new HashMap<>();
  private final Map<String, Job> jobs = new LinkedHashMap<>();
  private boolean silent;

  FakeService() {
    start();
  }

  // ------------------------------------------------------------------------------------ for tests

  static Throwable unavailable() {
    return Status.UNAVAILABLE.withDescription("going down").asRuntimeException();
  }

  static Throwable exhausted(long retryMillis) {
    return refusal(
        Status.Code.RESOURCE_EXHAUSTED,
        "full",
        RetryInfo.newBuilder().setRetryDelay(Durations.fromMillis(retryMillis)).build());
  }

  static Throwable refusal(Status.Code code, String text, Message... details) {
    com.google.rpc.Status.Builder status =
        com.google.rpc.Status.newBuilder().setCode(code.value()).setMessage(text);
    for (Message detail : details) {
      status.addDetails(Any.pack(detail));
    }
    return StatusProto.toStatusRuntimeException(status.build());
  }

  /** A channel with the retries of the shared service config. */
  ManagedChannel channel(ClientInterceptor... interceptors) {
    ManagedChannel channel =
        InProcessChannelBuilder.forName(name)
            .intercept(interceptors)
            .defaultServiceConfig(ServiceConfig.asMap())
            .enableRetry()
            .build();
    channels.add(channel);
    return channel;
  }

  Endpoint endpoint() {
    return Endpoint.of(channel());
  }

  /** A channel as a worker opens it: what fails, fails at once. */
  Endpoint workerEndpoint() {
    ManagedChannel channel = InProcessChannelBuilder.forName(name).disableRetry().build();
    channels.add(channel);
    return Endpoint.of(channel);
  }

  synchronized void leaseSeconds(double seconds) {
    leaseSeconds = seconds;
  }

  synchronized void addTasks(String jobId, int tasks) {
    addTasks(tasks, TaskLease.newBuilder().setJobId(jobId).setKind("noop"));
  }

  synchronized void addTasks(int tasks, TaskLease.Builder like) {
    for (int index = 0; index < tasks; index++) {
      TaskLease.Builder lease = like.clone().setTaskIndex(index).setTaskCount(tasks).setAttempt(1);
      waiting.add(lease.setSlots(Math.max(1, like.getSlots())).build());
    }
    notifyAll();
  }

  synchronized void put(Job job) {
    jobs.put(job.getJobId(), job);
    notifyAll();
  }

  synchronized void revoke(long leaseId) {
    revoked.add(leaseId);
    notifyAll();
  }

  synchronized void expireLeases() {
    leases.clear();
  }

  /** Refuses the next calls without carrying them out. */
  synchronized void refuse(Class<? extends Message> request, Throwable refusal, int times) {
    for (int i = 0; i < times; i++) {
      faultsOf(request).add(new Fault(refusal, false));
    }
  }

  /** Carries the next calls out, but loses their answers. */
  synchronized void lose(Class<? extends Message> request, int times) {
    for (int i = 0; i < times; i++) {
      faultsOf(request).add(new Fault(unavailable(), true));
    }
  }

  /** From now on it takes calls, and answers none of them. */
  synchronized void fallSilent() {
    silent = true;
  }

  synchronized void loseNothingMore() {
    faults.clear();
  }

  synchronized <T extends Message> List<T> requests(Class<T> request) {
    return requests.getOrDefault(request, List.of()).stream().map(request::cast).toList();
  }

  synchronized Map<Long, TaskResult> results() {
    return new LinkedHashMap<>(results);
  }

  synchronized int leased() {
    return leases.size();
  }

  synchronized int waiting() {
    return waiting.size();
  }

  /** Waits for a condition over the state; the limit only ends a test that has failed. */
  synchronized void await(BooleanSupplier condition) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(TEST_HAS_FAILED_SECONDS);
    while (!condition.getAsBoolean()) {
      long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
      if (left <= 0) {
        throw new AssertionError("waited in vain; results: " + results + ", leases: " + leases);
      }
      wait(left);
    }
  }

  void start() {
    try {
      server = InProcessServerBuilder.forName(name).addService(calls()).build().start();
    } catch (IOException impossible) {
      throw new AssertionError(impossible);
    }
  }

  void stop() {
    server.shutdownNow();
    try {
      server.awaitTermination();
    } catch (InterruptedException impossible) {
      throw new AssertionError(impossible);
    }
  }

  @Override
  public void close() {
    channels.forEach(ManagedChannel::shutdownNow);
    stop();
  }

  // ------------------------------------------------------------------------------------- plumbing

  private Deque<Fault> faultsOf(Class<?> request) {
    return faults.computeIfAbsent(request, key -> new ArrayDeque<>());
  }

  private <Q extends Message, A> void answer(
      Q request, StreamObserver<A> observer, Supplier<A> work) {
    Fault fault;
    synchronized (this) {
      requests.computeIfAbsent(request.getClass(), key -> new ArrayList<>()).add(request);
      fault = faultsOf(request.getClass()).poll();
      notifyAll();
      if (silent) {
        return;
      }
    }
    if (fault != null && !fault.carriedOut) {
      observer.onError(fault.refusal);
      return;
    }
    A response;
    try {
      response = work.get();
    } catch (RuntimeException refusal) {
      observer.onError(refusal);
      return;
    }
    if (fault != null) {
      observer.onError(fault.refusal);
      return;
    }
    observer.onNext(response);
    observer.onCompleted();
  }

  private BindableService calls() {
    return new SchedulerServiceImplBase() {
      @Override
      public void submitJob(SubmitJobRequest request, StreamObserver<SubmitJobResponse> observer) {
        answer(
            request,
            observer,
            () -> SubmitJobResponse.newBuilder().setJobId(request.getJobId()).build());
      }

      @Override
      public void getJob(GetJobRequest request, StreamObserver<GetJobResponse> observer) {
        answer(
            request,
            observer,
            () -> {
              synchronized (FakeService.this) {
                return GetJobResponse.newBuilder().setJob(jobs.get(request.getJobId())).build();
              }
            });
      }

      @Override
      public void listJobs(ListJobsRequest request, StreamObserver<ListJobsResponse> observer) {
        answer(request, observer, () -> page(request));
      }

      @Override
      public void watchJob(WatchJobRequest request, StreamObserver<WatchJobResponse> observer) {
        watch(request, observer);
      }

      @Override
      public void nextTask(NextTaskRequest request, StreamObserver<NextTaskResponse> observer) {
        answer(request, observer, () -> poll(request));
      }

      @Override
      public void taskDone(TaskDoneRequest request, StreamObserver<TaskDoneResponse> observer) {
        answer(
            request,
            observer,
            () -> TaskDoneResponse.newBuilder().addAllAcks(take(request.getResultsList())).build());
      }

      @Override
      public void renewLeases(
          RenewLeasesRequest request, StreamObserver<RenewLeasesResponse> observer) {
        answer(request, observer, () -> renew(request));
      }
    };
  }

  // -------------------------------------------------------------------------------------- answers

  private synchronized ListJobsResponse page(ListJobsRequest request) {
    int begin = request.getPageToken().isEmpty() ? 0 : Integer.parseInt(request.getPageToken());
    int end = Math.min(begin + request.getPageSize(), jobs.size());
    return ListJobsResponse.newBuilder()
        .addAllJobs(List.copyOf(jobs.values()).subList(begin, end))
        .setNextPageToken(end < jobs.size() ? Integer.toString(end) : "")
        .build();
  }

  private void watch(WatchJobRequest request, StreamObserver<WatchJobResponse> observer) {
    Fault fault;
    Job seen;
    synchronized (this) {
      requests.computeIfAbsent(request.getClass(), key -> new ArrayList<>()).add(request);
      fault = faultsOf(request.getClass()).poll();
      seen = jobs.get(request.getJobId());
      notifyAll();
    }
    if (fault != null && !fault.carriedOut) {
      observer.onError(fault.refusal);
      return;
    }
    observer.onNext(WatchJobResponse.newBuilder().setJob(seen).build());
    while (!Jobs.hasEnded(seen)) {
      if (fault != null) {
        observer.onError(fault.refusal);
        return;
      }
      synchronized (this) {
        Job known = seen;
        try {
          await(() -> !jobs.get(request.getJobId()).equals(known));
        } catch (InterruptedException | AssertionError over) {
          observer.onError(Status.CANCELLED.asRuntimeException());
          return;
        }
        seen = jobs.get(request.getJobId());
      }
      observer.onNext(WatchJobResponse.newBuilder().setJob(seen).build());
    }
    observer.onCompleted();
  }

  private synchronized NextTaskResponse poll(NextTaskRequest request) {
    NextTaskResponse.Builder response =
        NextTaskResponse.newBuilder().addAllDoneAcks(take(request.getDoneList()));
    if (request.getLeaving()) {
      waiting.addAll(leases.values());
      leases.clear();
      granted.remove(request.getWorkerId());
      return response.build();
    }
    List<TaskLease> leased = grant(request);
    long deadline = System.nanoTime() + (long) (request.getWaitSeconds() * 1e9);
    while (leased.isEmpty() && revoked.isEmpty() && request.getDoneCount() == 0) {
      long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
      if (left <= 0) {
        break;
      }
      try {
        wait(left);
      } catch (InterruptedException over) {
        throw Status.CANCELLED.asRuntimeException();
      }
      if (Context.current().isCancelled()) {
        throw Status.CANCELLED.asRuntimeException();
      }
      leased = grant(request);
    }
    response.addAllLeases(leased).addAllRevokedLeaseIds(revoked);
    revoked.clear();
    return response.build();
  }

  private List<TaskLease> grant(NextTaskRequest request) {
    Granted before = granted.get(request.getWorkerId());
    if (before != null && before.pollId == request.getPollId() && !before.leases.isEmpty()) {
      return before.leases;
    }
    int held = leases.values().stream().mapToInt(TaskLease::getSlots).sum();
    int room =
        Math.min(
            request.getFreeSlots() + request.getPrefetch(),
            request.getSlots() + request.getPrefetch() - held);
    int most = request.hasMaxTasks() ? request.getMaxTasks() : waiting.size();
    List<TaskLease> leased = new ArrayList<>();
    while (!waiting.isEmpty() && waiting.peek().getSlots() <= room && leased.size() < most) {
      TaskLease lease =
          waiting.remove().toBuilder()
              .setLeaseId(++lastLease)
              .setExpiresInSeconds(leaseSeconds)
              .build();
      room -= lease.getSlots();
      leases.put(lease.getLeaseId(), lease);
      leased.add(lease);
    }
    granted.put(request.getWorkerId(), new Granted(request.getPollId(), leased));
    notifyAll();
    return leased;
  }

  private synchronized List<TaskResultAck> take(List<TaskResult> reported) {
    List<TaskResultAck> acks = new ArrayList<>();
    for (TaskResult result : reported) {
      TaskResultStatus status = TaskResultStatus.TASK_RESULT_STATUS_UNKNOWN;
      if (results.containsKey(result.getLeaseId())) {
        status = TaskResultStatus.TASK_RESULT_STATUS_STALE;
      } else if (leases.remove(result.getLeaseId()) != null) {
        results.put(result.getLeaseId(), result);
        status = TaskResultStatus.TASK_RESULT_STATUS_ACCEPTED;
      }
      acks.add(
          TaskResultAck.newBuilder().setLeaseId(result.getLeaseId()).setStatus(status).build());
    }
    notifyAll();
    return acks;
  }

  private synchronized RenewLeasesResponse renew(RenewLeasesRequest request) {
    RenewLeasesResponse.Builder response = RenewLeasesResponse.newBuilder();
    for (long leaseId : request.getLeaseIdsList()) {
      LeaseRenewal.Builder renewal = response.addRenewalsBuilder().setLeaseId(leaseId);
      if (revoked.remove(leaseId)) {
        renewal.setStatus(LeaseStatus.LEASE_STATUS_REVOKED);
      } else if (leases.containsKey(leaseId)) {
        renewal.setStatus(LeaseStatus.LEASE_STATUS_RENEWED).setExpiresInSeconds(leaseSeconds);
      } else {
        renewal.setStatus(LeaseStatus.LEASE_STATUS_UNKNOWN);
      }
    }
    return response.build();
  }
}
