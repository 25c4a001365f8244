/** Submitting jobs, watching them, and an operator's settings. */
import { randomUUID } from "node:crypto";

import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

import { Backoff } from "./backoff.js";
import { Channel } from "./channel.js";
import { DEFAULT_TARGET, type ConnectionOptions } from "./connection.js";
import { isTransient, JobFailed, UwfqError } from "./errors.js";
import { AdminService } from "./gen/uwfq/v1/admin_service_pb.js";
import type {
  GetPoolRequestSchema,
  GetPoolResponse,
  ListPoolsRequestSchema,
  ListPoolsResponse,
  ListUsersRequestSchema,
  ListUsersResponse,
  SetUserRequestSchema,
  SetUserResponse,
} from "./gen/uwfq/v1/admin_service_pb.js";
import { SchedulerService } from "./gen/uwfq/v1/scheduler_service_pb.js";
import type {
  AddStagesRequestSchema,
  AddStagesResponse,
  CancelJobRequestSchema,
  CancelJobResponse,
  CloseJobRequestSchema,
  CloseJobResponse,
  DropStagesRequestSchema,
  DropStagesResponse,
  ExplainJobRequestSchema,
  ExplainJobResponse,
  GetJobRequestSchema,
  GetJobResponse,
  ListJobsRequestSchema,
  ListJobsResponse,
  NextTaskRequestSchema,
  NextTaskResponse,
  RenewLeasesRequestSchema,
  RenewLeasesResponse,
  SplitStageRequestSchema,
  SplitStageResponse,
  SubmitJobRequestSchema,
  SubmitJobResponse,
  TaskDoneRequestSchema,
  TaskDoneResponse,
} from "./gen/uwfq/v1/scheduler_service_pb.js";
import { JobState, type Job, type User } from "./gen/uwfq/v1/types_pb.js";
import { now, sleep } from "./waiting.js";

/** Part of a request: fields that are left out have their defaults. */
export type Init<Schema extends DescMessage> = MessageInitShape<Schema>;

/** A response with the message that the service always puts into it. */
export type With<Response, Field extends keyof Response> = Response & {
  [F in Field]-?: NonNullable<Response[F]>;
};

/** What a client is made with. */
export interface ClientOptions extends ConnectionOptions {
  /** Time for a call with all its tries, seconds; `Infinity`: whatever it takes.  Default: 30. */
  readonly timeoutSeconds?: number | undefined;
}

/** What one call is made with. */
export interface CallOptions {
  /** Time for the call with all its tries, seconds.  Default: the client's; a watch has no limit. */
  readonly timeoutSeconds?: number | undefined;
  /** Ends the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What a wait is made with. */
export interface WaitOptions extends CallOptions {
  /** Reject with {@link JobFailed} unless the job has succeeded.  Default: no. */
  readonly check?: boolean | undefined;
}

/**
 * A connection to the service.  Opens nothing before its first call; any number of calls may share it.
 *
 * Calls take a request, of which whatever has its default may be left out, and give the response of
 * the protocol.  All of them may be repeated safely; while the service is away they wait for it, and
 * when it goes away under them they are tried again, within their time-out.  They reject with
 * {@link UwfqError}, or with the reason of their `signal`.
 *
 * @example
 * ```ts
 * const client = new Client("127.0.0.1:7170");
 * const stage = { stage: "scan", cut: { case: "tasks", value: { count: 8 } } } as const;
 * const { jobId } = await client.submit({ user: "alice", kind: "sum", stages: [stage] });
 * const job = await client.wait(jobId, { check: true });
 * console.log(job.measuredWorkSlotSeconds);
 * client.close();
 * ```
 */
export class Client {
  readonly #channel: Channel;
  readonly #timeoutSeconds: number;

  /** @param target - Where the service listens: `host:port`, `[ipv6]:port` or `unix:/path`. */
  constructor(target = DEFAULT_TARGET, options: ClientOptions = {}) {
    this.#channel = new Channel(target, options, { patient: true });
    this.#timeoutSeconds = options.timeoutSeconds ?? 30;
  }

  /** Drop the connection.  Calls under way fail with `CANCELLED`; jobs go on. */
  close(): void {
    this.#channel.close();
  }

  // ---------------------------------------------------------------------------------------- jobs

  /**
   * Admit a job; workers choose a handler by its `kind`.
   *
   * Safe to repeat: without a `jobId` or a `requestId` it gets a random `requestId`, so that a retry
   * after a lost answer does not submit twice.  Give one of the two yourself to make your own
   * repetitions safe, e.g. after a crash of your program.  Rejects with `ALREADY_EXISTS` when the id
   * is taken by another job, with `RESOURCE_EXHAUSTED` when a backlog limit is reached.
   */
  async submit(
    request: Init<typeof SubmitJobRequestSchema>,
    options?: CallOptions,
  ): Promise<SubmitJobResponse> {
    const anonymous = !request.jobId && !request.requestId;
    const safe = anonymous ? { ...request, requestId: randomUUID() } : request;
    return this.#call(SchedulerService.method.submitJob, safe, options);
  }

  /** Add stages to an open job.  Safe to repeat: a stage that the job has already is left as it is. */
  addStages(
    request: Init<typeof AddStagesRequestSchema>,
    options?: CallOptions,
  ): Promise<AddStagesResponse> {
    return this.#call(SchedulerService.method.addStages, request, options);
  }

  /** How {@link addStages} would cut a stage now; for engines that plan before they submit. */
  async splitStage(
    request: Init<typeof SplitStageRequestSchema>,
    options?: CallOptions,
  ): Promise<With<SplitStageResponse, "split">> {
    return having("split", await this.#call(SchedulerService.method.splitStage, request, options));
  }

  /** Say that what waits of these stages will never run; for engines that place tasks themselves. */
  async dropStages(
    request: Init<typeof DropStagesRequestSchema>,
    options?: CallOptions,
  ): Promise<With<DropStagesResponse, "job">> {
    return having("job", await this.#call(SchedulerService.method.dropStages, request, options));
  }

  /** Say that no more stages will come. */
  async closeJob(
    request: Init<typeof CloseJobRequestSchema>,
    options?: CallOptions,
  ): Promise<With<CloseJobResponse, "job">> {
    return having("job", await this.#call(SchedulerService.method.closeJob, request, options));
  }

  /**
   * Cancel a job; one that has ended stays as it ended.
   *
   * Waiting tasks go at once; what runs is told within a third of its lease.
   */
  async cancel(
    request: Init<typeof CancelJobRequestSchema>,
    options?: CallOptions,
  ): Promise<With<CancelJobResponse, "job">> {
    return having("job", await this.#call(SchedulerService.method.cancelJob, request, options));
  }

  /** One job, as it stands.  `NOT_FOUND` when it was never submitted or is forgotten. */
  async get(
    request: Init<typeof GetJobRequestSchema>,
    options?: CallOptions,
  ): Promise<With<GetJobResponse, "job">> {
    return having("job", await this.#call(SchedulerService.method.getJob, request, options));
  }

  /** One page of jobs, newest first; {@link jobs} goes through all pages. */
  list(
    request: Init<typeof ListJobsRequestSchema> = {},
    options?: CallOptions,
  ): Promise<ListJobsResponse> {
    return this.#call(SchedulerService.method.listJobs, request, options);
  }

  /** Jobs, newest first, fetched page by page as they are asked for.  Time-outs are for each page. */
  async *jobs(
    request: Init<typeof ListJobsRequestSchema> = {},
    options?: CallOptions,
  ): AsyncGenerator<Job, void, undefined> {
    let { pageToken = "" } = request;
    do {
      const page = await this.list({ ...request, pageToken }, options);
      yield* page.jobs;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Why a job waits: who is ahead, its position, its predicted start and finish. */
  async explain(
    request: Init<typeof ExplainJobRequestSchema>,
    options?: CallOptions,
  ): Promise<With<ExplainJobResponse, "job">> {
    return having("job", await this.#call(SchedulerService.method.explainJob, request, options));
  }

  /**
   * A job's progress: its state now, then whenever it has changed, the last being its end.
   *
   * Goes on after a restart of the service; the state is then told anew.  Leaving the loop ends the
   * call.  Without `timeoutSeconds`: for as long as it takes.
   */
  async *watch(jobId: string, options: CallOptions = {}): AsyncGenerator<Job, void, undefined> {
    const { timeoutSeconds = Infinity, signal } = options;
    const deadline = now() + timeoutSeconds;
    const { watchJob } = SchedulerService.method;
    const backoff = new Backoff();
    for (;;) {
      const settings = { timeoutSeconds: Math.max(deadline - now(), 0), signal };
      let lost = new UwfqError("UNAVAILABLE", "the watch ended before the job had ended");
      try {
        for await (const response of this.#channel.serverStream(watchJob, { jobId }, settings)) {
          const { job } = having("job", response);
          backoff.reset();
          yield job;
          if (hasEnded(job)) return;
        }
      } catch (error) {
        if (!isTransient(error) || this.#channel.closed) throw error;
        lost = error;
      }
      const wait = backoff.nextSeconds(lost.retryAfterSeconds);
      if (now() + wait >= deadline) throw lost;
      await sleep(wait, signal);
      signal?.throwIfAborted();
    }
  }

  /** Wait for a job's end.  Without `timeoutSeconds`: for as long as it takes. */
  async wait(jobId: string, options: WaitOptions = {}): Promise<Job> {
    for await (const job of this.watch(jobId, options)) {
      if (!hasEnded(job)) continue;
      if (options.check === true && job.state !== JobState.SUCCEEDED) throw new JobFailed(job);
      return job;
    }
    throw new Error("a watch ends with the job's end or an error");
  }

  // ----------------------------------------------------------------------------------- operators

  /** Set a user's weight and caps; what is left out stays as it is, 0 lifts a cap. */
  async setUser(
    request: Init<typeof SetUserRequestSchema>,
    options?: CallOptions,
  ): Promise<With<SetUserResponse, "user">> {
    return having("user", await this.#call(AdminService.method.setUser, request, options));
  }

  /** One page of a pool's users, by name; {@link users} goes through all pages. */
  listUsers(
    request: Init<typeof ListUsersRequestSchema> = {},
    options?: CallOptions,
  ): Promise<ListUsersResponse> {
    return this.#call(AdminService.method.listUsers, request, options);
  }

  /** The users of a pool, by name, fetched page by page.  Time-outs are for each page. */
  async *users(
    request: Init<typeof ListUsersRequestSchema> = {},
    options?: CallOptions,
  ): AsyncGenerator<User, void, undefined> {
    let { pageToken = "" } = request;
    do {
      const page = await this.listUsers({ ...request, pageToken }, options);
      yield* page.users;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** One pool, as it stands. */
  async getPool(
    request: Init<typeof GetPoolRequestSchema> = {},
    options?: CallOptions,
  ): Promise<With<GetPoolResponse, "pool">> {
    return having("pool", await this.#call(AdminService.method.getPool, request, options));
  }

  /** All pools, by name. */
  listPools(
    request: Init<typeof ListPoolsRequestSchema> = {},
    options?: CallOptions,
  ): Promise<ListPoolsResponse> {
    return this.#call(AdminService.method.listPools, request, options);
  }

  // ------------------------------------------------------------------- for workers of another make

  /** Ask for work.  A `Worker` does it better; this is for those who need something else. */
  nextTask(
    request: Init<typeof NextTaskRequestSchema>,
    options?: CallOptions,
  ): Promise<NextTaskResponse> {
    return this.#call(SchedulerService.method.nextTask, request, options);
  }

  /** Report how attempts ended; each result counts once. */
  taskDone(
    request: Init<typeof TaskDoneRequestSchema>,
    options?: CallOptions,
  ): Promise<TaskDoneResponse> {
    return this.#call(SchedulerService.method.taskDone, request, options);
  }

  /** Extend leases, and learn which of them are void. */
  renewLeases(
    request: Init<typeof RenewLeasesRequestSchema>,
    options?: CallOptions,
  ): Promise<RenewLeasesResponse> {
    return this.#call(SchedulerService.method.renewLeases, request, options);
  }

  // --------------------------------------------------------------------------------------- calling

  #call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { timeoutSeconds = this.#timeoutSeconds, signal }: CallOptions = {},
  ): Promise<MessageShape<O>> {
    return this.#channel.unary(method, request, { timeoutSeconds, signal });
  }
}

/** Whether a job has succeeded, failed or was cancelled. */
export function hasEnded(job: Pick<Job, "state">): boolean {
  return (
    job.state === JobState.SUCCEEDED ||
    job.state === JobState.FAILED ||
    job.state === JobState.CANCELLED
  );
}

/** Checks that a response has what the service always sends. */
function having<Response, Field extends keyof Response & string>(
  field: Field,
  response: Response,
): With<Response, Field> {
  if (response[field] === undefined) {
    throw new UwfqError("INTERNAL", `the answer lacks its ${field}: is the target a UWFQ service?`);
  }
  return response as With<Response, Field>;
}
