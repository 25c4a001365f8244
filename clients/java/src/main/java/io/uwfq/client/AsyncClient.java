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
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;

/**
 * The calls of {@link Client} as futures: the same names, the same meaning, nothing blocks.
 *
 * <p>A future fails with a {@link UwfqException} (inside the {@code CompletionException} that
 * {@code join} throws). Cancelling it cancels the call; what the service has done by then stays
 * done. What is chained to a future runs on gRPC's threads. Thread-safe.
 */
public final class AsyncClient {
  private final Calls calls;

  AsyncClient(Calls calls) {
    this.calls = calls;
  }

  /**
   * The same client with another deadline.
   *
   * @param timeout of one call with all its retries
   * @return a view on the same connection
   */
  public AsyncClient withTimeout(Duration timeout) {
    return new AsyncClient(new Calls(calls.channel(), timeout));
  }

  /**
   * See {@link Client#submit}.
   *
   * @param request the job
   * @return what was admitted
   */
  public CompletableFuture<SubmitJobResponse> submit(SubmitJobRequest request) {
    return calls.future(getSubmitJobMethod(), Client.repeatable(request));
  }

  /**
   * See {@link Client#addStages}.
   *
   * @param request the stages
   * @return how they were cut
   */
  public CompletableFuture<AddStagesResponse> addStages(AddStagesRequest request) {
    return calls.future(getAddStagesMethod(), request);
  }

  /**
   * See {@link Client#splitStage}.
   *
   * @param request the stage
   * @return how it would be cut
   */
  public CompletableFuture<SplitStageResponse> splitStage(SplitStageRequest request) {
    return calls.future(getSplitStageMethod(), request);
  }

  /**
   * See {@link Client#dropStages}.
   *
   * @param request the stages
   * @return the job, as it stands
   */
  public CompletableFuture<DropStagesResponse> dropStages(DropStagesRequest request) {
    return calls.future(getDropStagesMethod(), request);
  }

  /**
   * See {@link Client#closeJob(CloseJobRequest)}.
   *
   * @param request the job
   * @return the job, as it stands
   */
  public CompletableFuture<CloseJobResponse> closeJob(CloseJobRequest request) {
    return calls.future(getCloseJobMethod(), request);
  }

  /**
   * See {@link Client#closeJob(String)}.
   *
   * @param jobId the job
   * @return the job, as it stands
   */
  public CompletableFuture<Job> closeJob(String jobId) {
    CloseJobRequest request = CloseJobRequest.newBuilder().setJobId(jobId).build();
    return calls.future(getCloseJobMethod(), request, CloseJobResponse::getJob);
  }

  /**
   * See {@link Client#cancel(CancelJobRequest)}.
   *
   * @param request the job
   * @return the job, as it stands
   */
  public CompletableFuture<CancelJobResponse> cancel(CancelJobRequest request) {
    return calls.future(getCancelJobMethod(), request);
  }

  /**
   * See {@link Client#cancel(String, String)}.
   *
   * @param jobId the job
   * @param reason why, for people
   * @return the job, as it stands
   */
  public CompletableFuture<Job> cancel(String jobId, String reason) {
    CancelJobRequest request =
        CancelJobRequest.newBuilder().setJobId(jobId).setReason(reason).build();
    return calls.future(getCancelJobMethod(), request, CancelJobResponse::getJob);
  }

  /**
   * See {@link Client#get(GetJobRequest)}.
   *
   * @param request which job
   * @return the job, as it stands
   */
  public CompletableFuture<GetJobResponse> get(GetJobRequest request) {
    return calls.future(getGetJobMethod(), request);
  }

  /**
   * See {@link Client#get(String)}.
   *
   * @param jobId the job
   * @return the job, as it stands
   */
  public CompletableFuture<Job> get(String jobId) {
    GetJobRequest request = GetJobRequest.newBuilder().setJobId(jobId).build();
    return calls.future(getGetJobMethod(), request, GetJobResponse::getJob);
  }

  /**
   * See {@link Client#list}.
   *
   * @param request which jobs
   * @return one page
   */
  public CompletableFuture<ListJobsResponse> list(ListJobsRequest request) {
    return calls.future(getListJobsMethod(), request);
  }

  /**
   * A job's progress, as in {@link Client#watch(String)}, pushed at the subscriber's pace.
   *
   * @param jobId the job
   * @return each subscriber has a watch of its own, for as long as it takes
   */
  public Flow.Publisher<Job> watch(String jobId) {
    return watch(jobId, Client.FOR_EVER);
  }

  /**
   * A job's progress, as in {@link Client#watch(String, Duration)}, pushed at the subscriber's
   * pace.
   *
   * @param jobId the job
   * @param timeout of the whole watch, from its subscription
   * @return each subscriber has a watch of its own
   */
  public Flow.Publisher<Job> watch(String jobId, Duration timeout) {
    return new JobWatch(calls.channel(), jobId, timeout);
  }

  /**
   * See {@link Client#waitFor(String)}.
   *
   * @param jobId the job
   * @return the job, once it has ended
   */
  public CompletableFuture<Job> waitFor(String jobId) {
    return waitFor(jobId, Client.FOR_EVER);
  }

  /**
   * See {@link Client#waitFor(String, Duration)}.
   *
   * @param jobId the job
   * @param timeout after which the future fails with {@code DEADLINE_EXCEEDED}
   * @return the job, once it has ended
   */
  public CompletableFuture<Job> waitFor(String jobId, Duration timeout) {
    LastJob last = new LastJob();
    watch(jobId, timeout).subscribe(last);
    return last;
  }

  /**
   * See {@link Client#explain(ExplainJobRequest)}.
   *
   * @param request which job
   * @return why it waits
   */
  public CompletableFuture<ExplainJobResponse> explain(ExplainJobRequest request) {
    return calls.future(getExplainJobMethod(), request);
  }

  /**
   * See {@link Client#explain(String)}.
   *
   * @param jobId the job
   * @return why it waits
   */
  public CompletableFuture<ExplainJobResponse> explain(String jobId) {
    return explain(ExplainJobRequest.newBuilder().setJobId(jobId).build());
  }

  /**
   * See {@link Client#setUser}.
   *
   * @param request the user and what to set
   * @return the user, as it stands
   */
  public CompletableFuture<SetUserResponse> setUser(SetUserRequest request) {
    return calls.future(getSetUserMethod(), request);
  }

  /**
   * See {@link Client#listUsers}.
   *
   * @param request which users
   * @return one page
   */
  public CompletableFuture<ListUsersResponse> listUsers(ListUsersRequest request) {
    return calls.future(getListUsersMethod(), request);
  }

  /**
   * See {@link Client#getPool}.
   *
   * @param request which pool
   * @return the pool, as it stands
   */
  public CompletableFuture<GetPoolResponse> getPool(GetPoolRequest request) {
    return calls.future(getGetPoolMethod(), request);
  }

  /**
   * See {@link Client#listPools}.
   *
   * @return all pools, by name
   */
  public CompletableFuture<ListPoolsResponse> listPools() {
    return calls.future(getListPoolsMethod(), ListPoolsRequest.getDefaultInstance());
  }

  /**
   * See {@link Client#nextTask}.
   *
   * @param request the poll
   * @return leases, or a ranking
   */
  public CompletableFuture<NextTaskResponse> nextTask(NextTaskRequest request) {
    return calls.future(getNextTaskMethod(), request);
  }

  /**
   * See {@link Client#taskDone}.
   *
   * @param request the results
   * @return what became of them
   */
  public CompletableFuture<TaskDoneResponse> taskDone(TaskDoneRequest request) {
    return calls.future(getTaskDoneMethod(), request);
  }

  /**
   * See {@link Client#renewLeases}.
   *
   * @param request the leases
   * @return what became of them
   */
  public CompletableFuture<RenewLeasesResponse> renewLeases(RenewLeasesRequest request) {
    return calls.future(getRenewLeasesMethod(), request);
  }

  /** Takes in a watch, and keeps its last job. */
  private static final class LastJob extends CompletableFuture<Job>
      implements Flow.Subscriber<Job> {
    private volatile Flow.Subscription subscription;
    private Job last;

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
      this.subscription = subscription;
      subscription.request(Long.MAX_VALUE);
    }

    @Override
    public void onNext(Job job) {
      last = job;
    }

    @Override
    public void onError(Throwable error) {
      completeExceptionally(error);
    }

    @Override
    public void onComplete() {
      complete(last);
    }

    @Override
    public boolean cancel(boolean mayInterruptIfRunning) {
      subscription.cancel();
      return super.cancel(mayInterruptIfRunning);
    }

    @Override
    public <U> CompletableFuture<U> newIncompleteFuture() {
      return new CompletableFuture<>();
    }
  }
}
