package io.uwfq.client;

import static io.uwfq.v1.AdminServiceGrpc.getGetPoolMethod;
import static io.uwfq.v1.AdminServiceGrpc.getListPoolsMethod;
import static io.uwfq.v1.AdminServiceGrpc.getListUsersMethod;
import static io.uwfq.v1.AdminServiceGrpc.getSetUserMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getAddStagesMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getCancelJobMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getCloseJobMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getDropStagesMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getExplainJobMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getGetJobMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getListJobsMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getNextTaskMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getRenewLeasesMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getSplitStageMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getSubmitJobMethod;
import static io.uwfq.v1.SchedulerServiceGrpc.getTaskDoneMethod;

import io.uwfq.v1.AddStagesRequest;
import io.uwfq.v1.AddStagesResponse;
import io.uwfq.v1.CancelJobRequest;
import io.uwfq.v1.CancelJobResponse;
import io.uwfq.v1.CloseJobRequest;
import io.uwfq.v1.CloseJobResponse;
import io.uwfq.v1.DropStagesRequest;
import io.uwfq.v1.DropStagesResponse;
import io.uwfq.v1.ExplainJobRequest;
import io.uwfq.v1.ExplainJobResponse;
import io.uwfq.v1.GetJobRequest;
import io.uwfq.v1.GetJobResponse;
import io.uwfq.v1.GetPoolRequest;
import io.uwfq.v1.GetPoolResponse;
import io.uwfq.v1.Job;
import io.uwfq.v1.ListJobsRequest;
import io.uwfq.v1.ListJobsResponse;
import io.uwfq.v1.ListPoolsRequest;
import io.uwfq.v1.ListPoolsResponse;
import io.uwfq.v1.ListUsersRequest;
import io.uwfq.v1.ListUsersResponse;
import io.uwfq.v1.NextTaskRequest;
import io.uwfq.v1.NextTaskResponse;
import io.uwfq.v1.RenewLeasesRequest;
import io.uwfq.v1.RenewLeasesResponse;
import io.uwfq.v1.SetUserRequest;
import io.uwfq.v1.SetUserResponse;
import io.uwfq.v1.SplitStageRequest;
import io.uwfq.v1.SplitStageResponse;
import io.uwfq.v1.SubmitJobRequest;
import io.uwfq.v1.SubmitJobResponse;
import io.uwfq.v1.TaskDoneRequest;
import io.uwfq.v1.TaskDoneResponse;
import java.time.Duration;
import java.util.Objects;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * A connection to the service, for those who bring jobs and for operators.
 *
 * <pre>{@code
 * try (Client client = Client.connect("127.0.0.1:7170")) {
 *   SubmitJobRequest request =
 *       SubmitJobRequest.newBuilder()
 *           .setUser("alice")
 *           .setKind("sum")
 *           .addStages(Jobs.stage("scan", 8).setEstimatedWorkSlotSeconds(4.0))
 *           .build();
 *   Job done = client.waitFor(client.submit(request).getJobId());
 *   System.out.println(done.getMeasuredWorkSlotSeconds());
 * }
 * }</pre>
 *
 * <p>Each call blocks until it is answered, at most for the client's timeout (30 s, see {@link
 * #withTimeout}); {@link #async} has the same calls as futures. Every call is safe to repeat, and
 * is repeated while the service is out of reach ({@link ServiceConfig}), so a restart of the
 * service is waited out. Whatever else goes wrong is a {@link UwfqException}: {@code
 * INVALID_ARGUMENT} with the fields, {@code NOT_FOUND} with the resource, {@code
 * RESOURCE_EXHAUSTED} with when to come again, {@code DEADLINE_EXCEEDED} when the timeout is over
 * (the request may have been carried out), {@code CANCELLED} when the thread was interrupted.
 *
 * <p>Thread-safe. Opens nothing before its first call.
 */
public final class Client implements AutoCloseable {
  /** No timeout. */
  static final Duration FOR_EVER = Duration.ofSeconds(Long.MAX_VALUE);

  private static final Duration DEFAULT_TIMEOUT = Duration.ofSeconds(30);

  private final Connection connection;
  private final Calls calls;
  private final AsyncClient async;

  private Client(Connection connection, Duration timeout) {
    this.connection = connection;
    this.calls = new Calls(connection.channel(), timeout);
    this.async = new AsyncClient(calls);
  }

  /**
   * A client of the service at an address, without encryption.
   *
   * @param target {@code host:port}
   * @return a client to close
   */
  public static Client connect(String target) {
    return connect(Endpoint.of(target));
  }

  /**
   * A client of a service, over TLS for example.
   *
   * @param endpoint the service and how to reach it
   * @return a client to close
   */
  public static Client connect(Endpoint endpoint) {
    return new Client(endpoint.open(true), DEFAULT_TIMEOUT);
  }

  /**
   * The same client with another deadline: {@code client.withTimeout(ofSeconds(2)).get(jobId)}.
   *
   * @param timeout of one call with all its retries; watching and waiting have their own
   * @return a view on the same connection, which closing either of the two closes
   */
  public Client withTimeout(Duration timeout) {
    return new Client(connection, timeout);
  }

  /**
   * The same calls as futures.
   *
   * @return a view on the same connection, with the same timeout
   */
  public AsyncClient async() {
    return async;
  }

  /** Drops the connection. Calls that are under way fail; jobs go on. */
  @Override
  public void close() {
    connection.close();
  }

  // ---------------------------------------------------------------------------------------- jobs

  /**
   * Admits a job; workers choose a handler by its {@code kind}.
   *
   * <p>Safe to repeat: a request with neither {@code job_id} nor {@code request_id} is given a
   * {@code request_id}, so that a retry after a lost answer does not submit twice. Set one of the
   * two yourself to make your own repetitions safe, e.g. after a crash of your program.
   *
   * @param request the job
   * @return what was admitted
   * @throws UwfqException also {@code ALREADY_EXISTS}, when the name is taken by another job
   */
  public SubmitJobResponse submit(SubmitJobRequest request) {
    return calls.blocking(getSubmitJobMethod(), repeatable(request));
  }

  static SubmitJobRequest repeatable(SubmitJobRequest request) {
    if (!request.getJobId().isEmpty() || !request.getRequestId().isEmpty()) {
      return request;
    }
    return request.toBuilder().setRequestId(UUID.randomUUID().toString()).build();
  }

  /**
   * Adds stages to an open job; {@code close} says that they are the last. A stage that the job has
   * already is left as it is.
   *
   * @param request the stages
   * @return how they were cut
   */
  public AddStagesResponse addStages(AddStagesRequest request) {
    return calls.blocking(getAddStagesMethod(), request);
  }

  /**
   * How {@link #addStages} would cut a stage now; nothing is admitted. For engines that plan a
   * stage before they submit it.
   *
   * @param request the stage
   * @return advice: what is learned meanwhile may cut the same stage otherwise
   */
  public SplitStageResponse splitStage(SplitStageRequest request) {
    return calls.blocking(getSplitStageMethod(), request);
  }

  /**
   * Says that what waits of some stages will never run. For an engine that places its tasks itself;
   * {@code FAILED_PRECONDITION} for any other job.
   *
   * @param request the stages
   * @return the job, as it stands
   */
  public DropStagesResponse dropStages(DropStagesRequest request) {
    return calls.blocking(getDropStagesMethod(), request);
  }

  /**
   * Says that no more stages will come; or, for an engine that places its tasks itself, that the
   * job is {@code finished}.
   *
   * @param request the job
   * @return the job, as it stands
   */
  public CloseJobResponse closeJob(CloseJobRequest request) {
    return calls.blocking(getCloseJobMethod(), request);
  }

  /**
   * Says that no more stages will come.
   *
   * @param jobId the job
   * @return the job, as it stands
   */
  public Job closeJob(String jobId) {
    return closeJob(CloseJobRequest.newBuilder().setJobId(jobId).build()).getJob();
  }

  /**
   * Cancels a job; one that has ended stays as it ended.
   *
   * <p>Waiting tasks go at once; what runs is told within a third of its lease.
   *
   * @param request the job
   * @return the job, as it stands
   */
  public CancelJobResponse cancel(CancelJobRequest request) {
    return calls.blocking(getCancelJobMethod(), request);
  }

  /**
   * Cancels a job, as {@link #cancel(CancelJobRequest)}.
   *
   * @param jobId the job
   * @param reason why, for people
   * @return the job, as it stands
   */
  public Job cancel(String jobId, String reason) {
    return cancel(CancelJobRequest.newBuilder().setJobId(jobId).setReason(reason).build()).getJob();
  }

  /**
   * One job, as it stands.
   *
   * @param request which job
   * @return the job
   * @throws UwfqException also {@code NOT_FOUND}: it was never submitted, or is forgotten
   */
  public GetJobResponse get(GetJobRequest request) {
    return calls.blocking(getGetJobMethod(), request);
  }

  /**
   * One job, as {@link #get(GetJobRequest)}.
   *
   * @param jobId the job
   * @return the job, as it stands
   */
  public Job get(String jobId) {
    return get(GetJobRequest.newBuilder().setJobId(jobId).build()).getJob();
  }

  /**
   * One page of jobs, newest first.
   *
   * @param request which jobs, and which page
   * @return the page, and the token of the next one
   */
  public ListJobsResponse list(ListJobsRequest request) {
    return calls.blocking(getListJobsMethod(), request);
  }

  /**
   * Jobs, newest first, fetched page by page as the stream is consumed.
   *
   * @param request which jobs; {@code page_size} is how many come with one call
   * @return a lazy stream; it throws what {@link #list} throws
   */
  public Stream<Job> listAll(ListJobsRequest request) {
    return Stream.iterate(list(request), Objects::nonNull, page -> pageAfter(page, request))
        .flatMap(page -> page.getJobsList().stream());
  }

  private ListJobsResponse pageAfter(ListJobsResponse page, ListJobsRequest request) {
    String token = page.getNextPageToken();
    return token.isEmpty() ? null : list(request.toBuilder().setPageToken(token).build());
  }

  /**
   * A job's progress, for as long as it takes: see {@link #watch(String, Duration)}.
   *
   * @param jobId the job
   * @return a stream to close
   */
  public Stream<Job> watch(String jobId) {
    return watch(jobId, FOR_EVER);
  }

  /**
   * A job's progress: its state now, then whenever it has changed, the last being its end. Goes on
   * after a restart of the service.
   *
   * <p>The stream blocks while it is consumed, and holds a call at the service: close it, unless it
   * is consumed to its end. Where another thread closes it, the one that reads it gets {@code
   * CANCELLED}.
   *
   * @param jobId the job
   * @param timeout of the whole watch
   * @return a stream to close; it throws {@link UwfqException}
   */
  public Stream<Job> watch(String jobId, Duration timeout) {
    return JobStream.of(async.watch(jobId, timeout));
  }

  /**
   * Waits for a job's end, for as long as it takes: see {@link #waitFor(String, Duration)}.
   *
   * @param jobId the job
   * @return the job, once it has ended
   */
  public Job waitFor(String jobId) {
    return waitFor(jobId, FOR_EVER);
  }

  /**
   * Waits for a job's end, whatever it is; {@link Jobs#requireSucceeded} insists on success.
   *
   * @param jobId the job
   * @param timeout after which it throws {@code DEADLINE_EXCEEDED}
   * @return the job, once it has ended
   */
  public Job waitFor(String jobId, Duration timeout) {
    try (Stream<Job> progress = watch(jobId, timeout)) {
      return progress.reduce((earlier, later) -> later).orElseThrow();
    }
  }

  /**
   * Why a job waits: who is ahead, its position, its predicted start and finish.
   *
   * @param request which job, and how many of those ahead to name
   * @return the explanation
   */
  public ExplainJobResponse explain(ExplainJobRequest request) {
    return calls.blocking(getExplainJobMethod(), request);
  }

  /**
   * Why a job waits, as {@link #explain(ExplainJobRequest)}.
   *
   * @param jobId the job
   * @return the explanation, with at most ten jobs ahead
   */
  public ExplainJobResponse explain(String jobId) {
    return explain(ExplainJobRequest.newBuilder().setJobId(jobId).build());
  }

  // ----------------------------------------------------------------------------------- operators

  /**
   * Sets a user's weight and caps; what is absent stays as it is, 0 lifts a cap.
   *
   * @param request the user and what to set
   * @return the user, as it stands
   */
  public SetUserResponse setUser(SetUserRequest request) {
    return calls.blocking(getSetUserMethod(), request);
  }

  /**
   * One page of a pool's users, by name.
   *
   * @param request which pool, and which page
   * @return the page, and the token of the next one
   */
  public ListUsersResponse listUsers(ListUsersRequest request) {
    return calls.blocking(getListUsersMethod(), request);
  }

  /**
   * One pool, as it stands.
   *
   * @param request which pool
   * @return the pool
   */
  public GetPoolResponse getPool(GetPoolRequest request) {
    return calls.blocking(getGetPoolMethod(), request);
  }

  /**
   * All pools.
   *
   * @return the pools, by name
   */
  public ListPoolsResponse listPools() {
    return calls.blocking(getListPoolsMethod(), ListPoolsRequest.getDefaultInstance());
  }

  // -------------------------------------------------------------- workers and engines of your own

  /**
   * A poll for leases or for a ranking. {@link Worker} does it for you; this is for engines that
   * place tasks themselves. The wait is cut to the client's timeout.
   *
   * @param request the poll
   * @return leases, or a ranking
   */
  public NextTaskResponse nextTask(NextTaskRequest request) {
    return calls.blocking(getNextTaskMethod(), request);
  }

  /**
   * Reports how attempts ended. {@link Worker} does it for you.
   *
   * @param request the results
   * @return what became of them, in order
   */
  public TaskDoneResponse taskDone(TaskDoneRequest request) {
    return calls.blocking(getTaskDoneMethod(), request);
  }

  /**
   * Extends leases. {@link Worker} does it for you.
   *
   * @param request the leases
   * @return what became of them
   */
  public RenewLeasesResponse renewLeases(RenewLeasesRequest request) {
    return calls.blocking(getRenewLeasesMethod(), request);
  }
}
