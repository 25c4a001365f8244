#!/usr/bin/env node
/**
 * What the conformance runner plays its scenarios to the Node client through: requests as lines of
 * JSON on standard input, answers on standard output.  The protocol is in clients/conformance.
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { enumToJson, fromJson, toJson, type JsonValue, type Message } from "@bufbuild/protobuf";
import {
  AdminService,
  Client,
  JobSchema,
  JobStateSchema,
  SchedulerService,
  UwfqError,
  type CallOptions,
  type Job,
} from "@uwfq/client";

import { ScriptedWorker, type Act } from "./scripted-worker.js";

/** One line of the runner's; which of the fields are there depends on `do`. */
interface Request {
  readonly id: number;
  readonly do: string;
  readonly method: string;
  readonly request: JsonValue;
  readonly job_id: string;
  readonly worker: string;
  readonly worker_id: string | null;
  readonly pool: string | null;
  readonly slots: number;
  readonly prefetch: number;
  readonly kinds: Readonly<Record<string, Act>>;
  readonly kind: string;
  readonly count: number;
  readonly timeout_seconds: number;
  readonly grace_seconds: number | null;
}

/** The client's methods take a message of their request's type, among others. */
type Call = (request: never, options: CallOptions) => Promise<Message>;

const { values: options } = parseArgs({ options: { target: { type: "string" } } });
const client = new Client(options.target);
const workers = new Map<string, ScriptedWorker>();

/** The client's public method for each unary method of the two services. */
const CALLS: Readonly<Record<string, Call>> = {
  SubmitJob: client.submit.bind(client),
  AddStages: client.addStages.bind(client),
  SplitStage: client.splitStage.bind(client),
  DropStages: client.dropStages.bind(client),
  CloseJob: client.closeJob.bind(client),
  CancelJob: client.cancel.bind(client),
  NextTask: client.nextTask.bind(client),
  TaskDone: client.taskDone.bind(client),
  RenewLeases: client.renewLeases.bind(client),
  GetJob: client.get.bind(client),
  ListJobs: client.list.bind(client),
  ExplainJob: client.explain.bind(client),
  SetUser: client.setUser.bind(client),
  ListUsers: client.listUsers.bind(client),
  GetPool: client.getPool.bind(client),
  ListPools: client.listPools.bind(client),
};

const ACTIONS: Readonly<Record<string, (request: Request) => Promise<JsonValue>>> = {
  async call({ method: name, request, timeout_seconds: timeoutSeconds }) {
    const method = [...SchedulerService.methods, ...AdminService.methods].find(
      (each) => each.name === name,
    );
    const call = CALLS[name];
    if (method === undefined || call === undefined) throw new Error(`no unary method ${name}`);
    const message = fromJson(method.input, request);
    return toJson(method.output, await call(message as never, { timeoutSeconds }));
  },

  async watch({ job_id: jobId, timeout_seconds: timeoutSeconds }) {
    const states = new Set<JsonValue>();
    let last: Job | undefined;
    for await (last of client.watch(jobId, { timeoutSeconds })) {
      states.add(enumToJson(JobStateSchema, last.state));
    }
    return { states: [...states], job: last === undefined ? null : toJson(JobSchema, last) };
  },

  async wait({ job_id: jobId, timeout_seconds: timeoutSeconds }) {
    return { job: toJson(JobSchema, await client.wait(jobId, { timeoutSeconds })) };
  },

  async "worker.start"({ worker, worker_id, pool, slots, prefetch, kinds }) {
    const settings = { workerId: worker_id ?? undefined, pool: pool ?? undefined, slots, prefetch };
    workers.set(worker, new ScriptedWorker(options.target, settings, kinds));
    return Promise.resolve({});
  },

  async "worker.running"({ worker, kind, count, timeout_seconds: timeoutSeconds }) {
    await named(worker).running(kind, count, timeoutSeconds);
    return {};
  },

  async "worker.release"({ worker, kind }) {
    named(worker).release(kind);
    return Promise.resolve({});
  },

  async "worker.runs"({ worker }) {
    return Promise.resolve({ runs: named(worker).runs });
  },

  async "worker.stop"({ worker, grace_seconds }) {
    await named(worker).stop(grace_seconds ?? undefined);
    return { runs: named(worker).runs };
  },
};

function named(name: string): ScriptedWorker {
  const worker = workers.get(name);
  if (worker === undefined) throw new Error(`no worker ${name} was started`);
  return worker;
}

async function answer(request: Request): Promise<void> {
  const { id } = request;
  try {
    const action = ACTIONS[request.do];
    if (action === undefined) throw new Error(`nothing known to do as ${request.do}`);
    print({ id, ok: await action(request) });
  } catch (error) {
    print({ id, error: described(error) });
  }
}

function described(error: unknown): JsonValue {
  if (!(error instanceof UwfqError)) {
    console.error(error);
    const none = { field_violations: [], retry_after_seconds: null, reason: null, resource: null };
    return { code: "UNKNOWN", message: String(error), ...none };
  }
  const { code, message, fieldViolations, retryAfterSeconds, reason, resource } = error;
  return {
    code,
    message,
    field_violations: fieldViolations.map(({ field, description }) => ({ field, description })),
    retry_after_seconds: retryAfterSeconds ?? null,
    reason: reason ?? null,
    resource: resource === undefined ? null : { type: resource.type, name: resource.name },
  };
}

function print(line: JsonValue): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() !== "") void answer(JSON.parse(line) as Request);
}
await Promise.allSettled([...workers.values()].map((worker) => worker.stop(0)));
client.close();
