/**
 * A service with just enough of UWFQ in it to test the client against, and faults at will.
 *
 * It leases first come, first served, honours poll ids, and remembers what it was told.  `lose` carries
 * a call out and drops its answer; `refuse` drops the call itself; `restart` goes away and comes back on
 * the same port with the same state, as a durable service does.
 */
import { EventEmitter, once } from "node:events";

import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { anyPack, type Any } from "@bufbuild/protobuf/wkt";
import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

import { StatusSchema } from "../src/gen/google/rpc/status_pb.js";
import * as pb from "../src/gen/uwfq/v1/scheduler_service_pb.js";
import {
  JobSchema,
  JobState,
  TaskLeaseSchema,
  TaskResultAckSchema,
  TaskResultStatus,
  type Job,
  type TaskLease,
  type TaskResult,
  type TaskResultAck,
} from "../src/gen/uwfq/v1/types_pb.js";

/** A status with details, to be sent instead of an answer. */
export class Refusal extends Error {
  constructor(
    readonly code: number,
    message: string,
    readonly packed: Any[] = [],
  ) {
    super(message);
  }

  /** With a detail of `google.rpc`. */
  with<Schema extends DescMessage>(schema: Schema, init: MessageInitShape<Schema>): Refusal {
    const detail = anyPack(schema, create(schema, init));
    return new Refusal(this.code, this.message, [...this.packed, detail]);
  }

  /** What a service says that goes down. */
  static unavailable(): Refusal {
    return new Refusal(status.UNAVAILABLE, "going down");
  }

  /** As gRPC wants it. */
  get answer(): { code: number; details: string; metadata: Metadata } {
    const metadata = new Metadata();
    const message = create(StatusSchema, {
      code: this.code,
      message: this.message,
      details: this.packed,
    });
    metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, message)));
    return { code: this.code, details: this.message, metadata };
  }
}

type UnaryMethod =
  "submitJob" | "getJob" | "listJobs" | "cancelJob" | "nextTask" | "taskDone" | "renewLeases";

/** What the next call of a method meets. */
interface Fault {
  readonly refusal: Refusal;
  readonly carriedOut: boolean;
}

/** The service and its state, for tests to read and to change. */
export class FakeService {
  leaseSeconds = 30;
  readonly jobs = new Map<string, Job>();
  readonly waiting: TaskLease[] = [];
  readonly leases = new Map<bigint, TaskLease>();
  readonly revoked = new Set<bigint>();
  /** Results that counted, by lease. */
  readonly results = new Map<bigint, TaskResult>();
  /** Everything that arrived. */
  readonly polls: pb.NextTaskRequest[] = [];
  readonly reports: pb.TaskDoneRequest[] = [];
  readonly renewals: pb.RenewLeasesRequest[] = [];
  readonly submissions: pb.SubmitJobRequest[] = [];
  /** Calls of each method that arrived. */
  readonly calls = new Map<string, number>();
  /** Takes calls, and answers none of them any more. */
  silent = false;
  /** Draws faults of its own when a test sets it; numbers from 0 to 1. */
  chaos: (() => number) | undefined;
  #port = 0;
  #server: Server | undefined;
  #lastLease = 0n;
  #answered: { pollId: bigint; leases: TaskLease[] } = { pollId: 0n, leases: [] };
  readonly #faults = new Map<string, Fault[]>();
  readonly #changes = new EventEmitter().setMaxListeners(0);

  get target(): string {
    return `127.0.0.1:${this.#port}`;
  }

  // ------------------------------------------------------------------------------------ for tests

  /** Refuse the next calls without carrying them out. */
  refuse(method: string, refusal: Refusal, times = 1): void {
    this.#fault(method, { refusal, carriedOut: false }, times);
  }

  /** Carry the next calls out, but lose their answers. */
  lose(method: UnaryMethod, times = 1): void {
    this.#fault(method, { refusal: Refusal.unavailable(), carriedOut: true }, times);
  }

  loseNothingMore(): void {
    this.#faults.clear();
  }

  #fault(method: string, fault: Fault, times: number): void {
    const faults = this.#faults.get(method) ?? [];
    this.#faults.set(method, [...faults, ...new Array<Fault>(times).fill(fault)]);
  }

  addJob(
    jobId: string,
    tasks: number,
    lease: Omit<MessageInitShape<typeof TaskLeaseSchema>, "$typeName" | "$unknown"> = {},
  ): void {
    this.jobs.set(jobId, create(JobSchema, { jobId, state: JobState.WAITING }));
    for (let taskIndex = 0; taskIndex < tasks; taskIndex += 1) {
      const common = { jobId, stage: "scan", kind: "noop", slots: 1, attempt: 1 };
      this.waiting.push(
        create(TaskLeaseSchema, { ...common, taskIndex, taskCount: tasks, ...lease }),
      );
    }
    this.note();
  }

  endJob(jobId: string, state: JobState, cause = ""): void {
    Object.assign(this.#job(jobId), { state, cause });
    this.note();
  }

  /** Tell everybody who waits that something has changed. */
  note(): void {
    this.#changes.emit("change");
  }

  /** Wait for a condition over the state. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.#changes, "change");
  }

  async start(): Promise<void> {
    const server = new Server();
    const { definition, implementation } = this.#service();
    server.addService(definition, implementation);
    const credentials = ServerCredentials.createInsecure();
    this.#port = await new Promise((resolve, reject) => {
      server.bindAsync(this.target, credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    this.#server = server;
  }

  /** Go away at once: calls under way are cut off. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  async restart(): Promise<void> {
    this.stop();
    await this.start();
  }

  // ------------------------------------------------------------------------------------- plumbing

  #service(): { definition: ServiceDefinition; implementation: UntypedServiceImplementation } {
    const { method: methods } = pb.SchedulerService;
    const unary: Record<UnaryMethod, (request: never, call: Call) => Answer> = {
      submitJob: (request) => this.#submitJob(request),
      getJob: ({ jobId }: pb.GetJobRequest) => ({ job: this.#job(jobId) }),
      listJobs: (request) => this.#listJobs(request),
      cancelJob: ({ jobId }: pb.CancelJobRequest) => {
        this.endJob(jobId, JobState.CANCELLED);
        return { job: this.#job(jobId) };
      },
      nextTask: (request, call) => this.#nextTask(request, call),
      taskDone: (request) => this.#taskDone(request),
      renewLeases: (request) => this.#renewLeases(request),
    };
    const implementation: UntypedServiceImplementation = {
      watchJob: (call: ServerWritableStream<pb.WatchJobRequest, Answer>) => void this.#watch(call),
    };
    for (const [name, work] of Object.entries(unary)) {
      implementation[name] = (call: Call, callback: Callback): void => {
        this.#carryOut(name, () => work(call.request as never, call)).then(
          (response) => {
            callback(null, response);
          },
          (error: unknown) => {
            callback(
              error instanceof Refusal
                ? error.answer
                : { code: status.INTERNAL, details: String(error) },
            );
          },
        );
      };
    }
    const definition = Object.fromEntries(
      Object.values(methods)
        .filter(({ localName }) => localName in implementation)
        .map(({ localName, name, input, output, methodKind }) => [
          localName,
          {
            path: `/${pb.SchedulerService.typeName}/${name}`,
            requestStream: false,
            responseStream: methodKind === "server_streaming",
            requestSerialize: (message: Message) => bytes(input, message),
            requestDeserialize: (data: Buffer) => fromBinary(input, data),
            responseSerialize: (message: object) => bytes(output, message),
            responseDeserialize: (data: Buffer) => fromBinary(output, data),
          },
        ]),
    );
    return { definition, implementation };
  }

  async #carryOut(method: string, work: () => Answer): Promise<object> {
    this.calls.set(method, (this.calls.get(method) ?? 0) + 1);
    if (this.silent) await new Promise(() => undefined);
    const fault = this.#nextFault(method);
    try {
      if (fault?.carriedOut === false) throw fault.refusal;
      const response = await work();
      if (fault !== undefined) throw fault.refusal;
      return response;
    } finally {
      this.note();
    }
  }

  #nextFault(method: string): Fault | undefined {
    if (this.chaos !== undefined && this.chaos() < 0.4) {
      return { refusal: Refusal.unavailable(), carriedOut: this.chaos() < 0.5 };
    }
    return this.#faults.get(method)?.shift();
  }

  // ----------------------------------------------------------------------------------- submitters

  #job(jobId: string): Job {
    const job = this.jobs.get(jobId);
    if (job === undefined) throw new Refusal(status.NOT_FOUND, `job ${jobId} does not exist`);
    return job;
  }

  #submitJob(request: pb.SubmitJobRequest): MessageInitShape<typeof pb.SubmitJobResponseSchema> {
    const known = this.submissions.some(({ requestId }) => requestId === request.requestId);
    this.submissions.push(request);
    return { jobId: `job of ${request.requestId}`, duplicate: known };
  }

  #listJobs(request: pb.ListJobsRequest): MessageInitShape<typeof pb.ListJobsResponseSchema> {
    const begin = Number(request.pageToken);
    const end = begin + request.pageSize;
    const jobs = [...this.jobs.values()];
    return { jobs: jobs.slice(begin, end), nextPageToken: end < jobs.length ? String(end) : "" };
  }

  async #watch(call: ServerWritableStream<pb.WatchJobRequest, Answer>): Promise<void> {
    try {
      const { job } = (await this.#carryOut("watchJob", () => ({
        job: this.#job(call.request.jobId),
      }))) as { job: Job };
      for (;;) {
        call.write({ job });
        if (job.state > JobState.RUNNING) break;
        await once(this.#changes, "change");
      }
      call.end();
    } catch (error) {
      call.emit("error", (error as Refusal).answer);
    }
  }

  // -------------------------------------------------------------------------------------- workers

  async #nextTask(
    request: pb.NextTaskRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof pb.NextTaskResponseSchema>> {
    this.polls.push(request);
    this.note();
    const doneAcks = request.done.map((result) => this.#take(result));
    if (request.leaving) {
      this.#giveBack();
      return { doneAcks };
    }
    let leases = this.#grant(request);
    const patience = AbortSignal.timeout(request.waitSeconds * 1000);
    const gone = (): boolean => call.cancelled;
    while (leases.length === 0 && this.revoked.size === 0 && !patience.aborted && !gone()) {
      const timeout = once(patience, "abort");
      const cancelled = once(call, "cancelled");
      await Promise.race([once(this.#changes, "change"), timeout, cancelled]);
      leases = gone() ? [] : this.#grant(request);
    }
    const revokedLeaseIds = [...this.revoked];
    this.revoked.clear();
    return { leases, doneAcks, revokedLeaseIds };
  }

  #grant({ pollId, freeSlots, prefetch, slots, maxTasks }: pb.NextTaskRequest): TaskLease[] {
    if (this.#answered.pollId === pollId && this.#answered.leases.length > 0) {
      return this.#answered.leases;
    }
    const held = [...this.leases.values()].reduce((sum, lease) => sum + lease.slots, 0);
    let room = Math.min(freeSlots + prefetch, slots + prefetch - held);
    const leases: TaskLease[] = [];
    for (;;) {
      const [lease] = this.waiting;
      if (lease === undefined || lease.slots > room || leases.length === maxTasks) break;
      this.waiting.shift();
      room -= lease.slots;
      this.#lastLease += 1n;
      Object.assign(lease, { leaseId: this.#lastLease, expiresInSeconds: this.leaseSeconds });
      this.leases.set(lease.leaseId, lease);
      leases.push(lease);
    }
    this.#answered = { pollId, leases };
    return leases;
  }

  #giveBack(): void {
    this.waiting.unshift(...this.leases.values());
    this.leases.clear();
  }

  #take(result: TaskResult): TaskResultAck {
    const { leaseId } = result;
    const { ACCEPTED, STALE, UNKNOWN } = TaskResultStatus;
    if (this.results.has(leaseId)) return create(TaskResultAckSchema, { leaseId, status: STALE });
    const known = this.leases.delete(leaseId);
    if (known) this.results.set(leaseId, result);
    return create(TaskResultAckSchema, { leaseId, status: known ? ACCEPTED : UNKNOWN });
  }

  #taskDone(request: pb.TaskDoneRequest): MessageInitShape<typeof pb.TaskDoneResponseSchema> {
    this.reports.push(request);
    return { acks: request.results.map((result) => this.#take(result)) };
  }

  #renewLeases(
    request: pb.RenewLeasesRequest,
  ): MessageInitShape<typeof pb.RenewLeasesResponseSchema> {
    this.renewals.push(request);
    const { RENEWED, REVOKED, UNKNOWN } = pb.LeaseStatus;
    const renewals = request.leaseIds.map((leaseId) => {
      if (this.revoked.delete(leaseId)) return { leaseId, status: REVOKED };
      if (!this.leases.has(leaseId)) return { leaseId, status: UNKNOWN };
      return { leaseId, status: RENEWED, expiresInSeconds: this.leaseSeconds };
    });
    return { renewals };
  }
}

type Call = ServerUnaryCall<Message, object>;
type Callback = (error: object | null, response?: object) => void;
type Answer = object | Promise<object>;

function bytes(schema: DescMessage, message: object): Buffer {
  return Buffer.from(toBinary(schema, create(schema, message as MessageInitShape<DescMessage>)));
}

/** Run a test with a fake service that listens meanwhile. */
export function serving(body: (service: FakeService) => Promise<void>): () => Promise<void> {
  return async () => {
    const service = new FakeService();
    await service.start();
    try {
      await body(service);
    } finally {
      service.stop();
    }
  };
}
