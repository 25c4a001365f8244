/** What calls do: errors, retries, time-outs, and watches that outlive the service. */
import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";

import { Server, ServerCredentials, status } from "@grpc/grpc-js";

import { Client, hasEnded, JobFailed, JobState, UwfqError } from "../src/index.js";
import { isLoopback } from "../src/connection.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../src/gen/google/rpc/error_details_pb.js";
import { FakeService, Refusal, serving } from "./fake-service.js";

/** Run a test with a fake service and a client of it. */
function asking(
  body: (client: Client, service: FakeService) => Promise<void>,
): () => Promise<void> {
  return serving(async (service) => {
    const client = new Client(service.target);
    try {
      await body(client, service);
    } finally {
      client.close();
    }
  });
}

/** What a call rejects with. */
async function refusal(call: Promise<unknown>): Promise<UwfqError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof UwfqError, String(error));
  return error;
}

test(
  "a submission that names no job gets a request id, which its retries keep",
  asking(async (client, service) => {
    service.lose("submitJob", 2);
    const first = await client.submit({ user: "ann" });
    const second = await client.submit({ user: "ann" });
    assert.equal(first.duplicate, true);
    assert.equal(second.duplicate, false);
    const ids = service.submissions.map(({ requestId }) => requestId);
    assert.equal(ids.length, 4);
    assert.equal(new Set(ids).size, 2);
    assert.ok(!ids.includes(""));
  }),
);

test(
  "a submission with an id of its own keeps it",
  asking(async (client, service) => {
    await client.submit({ user: "ann", requestId: "mine" });
    await client.submit({ user: "ann", jobId: "mine" });
    const ids = service.submissions.map(({ requestId, jobId }) => [requestId, jobId]);
    assert.deepEqual(ids, [
      ["mine", ""],
      ["", "mine"],
    ]);
  }),
);

test(
  "calls are tried again when the service is unavailable or ends, five times at most, else never",
  asking(async (client, service) => {
    service.addJob("j", 1);
    service.refuse("getJob", Refusal.unavailable(), 4);
    await client.get({ jobId: "j" });
    assert.equal(service.calls.get("getJob"), 5);
    service.refuse("getJob", Refusal.unavailable(), 5);
    assert.equal((await refusal(client.get({ jobId: "j" }))).code, "UNAVAILABLE");
    assert.equal(service.calls.get("getJob"), 10);
    // A server that ends cancels the calls that have just come to it.
    service.refuse("getJob", new Refusal(status.CANCELLED, "ends"));
    await client.get({ jobId: "j" });
    assert.equal(service.calls.get("getJob"), 12);
    const codes = ["INTERNAL", "RESOURCE_EXHAUSTED", "ABORTED", "DEADLINE_EXCEEDED"] as const;
    for (const code of codes) {
      service.refuse("getJob", new Refusal(status[code], "once"));
      assert.equal((await refusal(client.get({ jobId: "j" }))).code, code);
    }
    assert.equal(service.calls.get("getJob"), 16);
  }),
);

test(
  "however many calls are under way when the service goes away, all are tried again",
  asking(async (client, service) => {
    service.addJob("j", 1);
    service.refuse("getJob", Refusal.unavailable(), 100);
    await Promise.all(Array.from({ length: 100 }, () => client.get({ jobId: "j" })));
    assert.equal(service.calls.get("getJob"), 200);
  }),
);

test("a service that is away is waited for, within the time-out", async () => {
  const service = new FakeService();
  await service.start();
  service.addJob("j", 1);
  service.stop();
  const client = new Client(service.target);
  const late = await refusal(client.get({ jobId: "j" }, { timeoutSeconds: 0.05 }));
  assert.equal(late.code, "DEADLINE_EXCEEDED");
  const patient = client.get({ jobId: "j" });
  await service.start();
  assert.equal((await patient).job.jobId, "j");
  client.close();
  service.stop();
});

test(
  "a time-out may be longer than anybody waits, but must be a number",
  asking(async (client, service) => {
    service.addJob("j", 1);
    for (const timeoutSeconds of [Infinity, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE]) {
      assert.equal((await client.get({ jobId: "j" }, { timeoutSeconds })).job.jobId, "j");
      for await (const job of client.watch("j", { timeoutSeconds })) {
        assert.equal(job.jobId, "j");
        break;
      }
    }
    const wrong = { timeoutSeconds: NaN };
    await assert.rejects(client.get({ jobId: "j" }, wrong), /timeoutSeconds is NaN/);
    await assert.rejects(client.wait("j", wrong), /timeoutSeconds is NaN/);
  }),
);

test(
  "every detail of a refusal is readable",
  asking(async (client, service) => {
    const violations = [
      { field: "user", description: "must not be empty" },
      { field: "stages", description: "at least one" },
    ];
    const call = (): Promise<UwfqError> => refusal(client.get({ jobId: "j" }));

    const invalid = new Refusal(status.INVALID_ARGUMENT, "user: must not be empty");
    service.refuse(
      "getJob",
      invalid
        .with(BadRequestSchema, { fieldViolations: violations })
        .with(ErrorInfoSchema, { reason: "INVALID_FIELD" }),
    );
    const first = await call();
    assert.deepEqual(first.fieldViolations, violations);
    assert.equal(first.reason, "INVALID_FIELD");
    const all = "user: must not be empty (user: must not be empty; stages: at least one)";
    assert.equal(first.message, all);
    assert.match(first.stack ?? "", /client\.test/, "the stack leads to the caller");

    const full = new Refusal(status.RESOURCE_EXHAUSTED, "full");
    const retryDelay = { seconds: 1n, nanos: 250_000_000 };
    service.refuse("getJob", full.with(RetryInfoSchema, { retryDelay }));
    assert.equal((await call()).retryAfterSeconds, 1.25);

    const missing = new Refusal(status.NOT_FOUND, "no such job");
    const resource = { resourceType: "job", resourceName: "j" };
    service.refuse("getJob", missing.with(ResourceInfoSchema, resource));
    assert.deepEqual((await call()).resource, { type: "job", name: "j" });

    service.refuse("getJob", new Refusal(99, "who knows"));
    const odd = await call();
    assert.equal(odd.code, "UNKNOWN");
    const { fieldViolations, retryAfterSeconds, reason } = odd;
    assert.deepEqual([fieldViolations, retryAfterSeconds, reason], [[], undefined, undefined]);
    assert.equal(odd.resource, undefined);
  }),
);

test(
  "a method that the service does not know, and a value of the wrong type",
  asking(async (client) => {
    assert.equal((await refusal(client.listPools())).code, "UNIMPLEMENTED");
    const wrong = client.setUser({ user: "ann", maxRunningSlots: -1 });
    await assert.rejects(wrong, /uwfq\.v1\.SetUserRequest\.max_running_slots/);
  }),
);

test(
  "a call ends with its signal, and rejects with the signal's reason",
  asking(async (client, service) => {
    const controller = new AbortController();
    const { signal } = controller;
    const poll = { workerId: "w", slots: 1, freeSlots: 1, waitSeconds: 60 };
    const parked = client.nextTask(poll, { signal, timeoutSeconds: Infinity });
    await service.until(() => service.polls.length === 1);
    controller.abort(new Error("enough"));
    await assert.rejects(parked, /enough/);
    await assert.rejects(client.get({ jobId: "j" }, { signal }), /enough/);
    assert.equal(service.calls.get("getJob"), undefined);
  }),
);

test(
  "any number of calls may share a signal, and leave nothing on it",
  asking(async (client, service) => {
    service.addJob("j", 1);
    const warnings: Error[] = [];
    const keep = (warning: Error): void => void warnings.push(warning);
    process.on("warning", keep);
    const { signal } = new AbortController();
    const calls = Array.from({ length: 20 }, () => client.get({ jobId: "j" }, { signal }));
    await Promise.all(calls);
    process.off("warning", keep);
    assert.deepEqual(warnings, []);
    assert.equal(getEventListeners(signal, "abort").length, 0);
  }),
);

test(
  "closing a client ends its calls",
  asking(async (client, service) => {
    service.addJob("j", 1);
    const watch = client.watch("j");
    await watch.next();
    const poll = { workerId: "w", slots: 1, freeSlots: 1, waitSeconds: 60 };
    service.waiting.length = 0;
    const parked = refusal(client.nextTask(poll));
    await service.until(() => service.polls.length === 1);
    client.close();
    assert.equal((await parked).code, "CANCELLED");
    assert.equal((await refusal(client.get({ jobId: "j" }))).code, "CANCELLED");
    assert.equal((await refusal(watch.next())).code, "CANCELLED");
  }),
);

// ---------------------------------------------------------------------------------------- watching

test(
  "a watch goes on after a restart of the service, to the job's end",
  asking(async (client, service) => {
    service.addJob("j", 1);
    const states: JobState[] = [];
    for await (const job of client.watch("j")) {
      states.push(job.state);
      if (states.length === 1) {
        await service.restart();
        service.endJob("j", JobState.RUNNING);
      } else if (!hasEnded(job)) {
        service.endJob("j", JobState.SUCCEEDED);
      }
    }
    assert.deepEqual(states, [JobState.WAITING, JobState.RUNNING, JobState.SUCCEEDED]);
  }),
);

/** What a service says last to a client that answers no pings; with HTTP/2's ENHANCE_YOUR_CALM. */
const GOAWAY = Buffer.from("00001407" + "0000000000" + "7fffffff" + "0000000b", "hex");

// The client's machine was asleep, say.
test(
  "a watch goes on after the service has taken the client for gone",
  serving(async (service) => {
    const { port } = new URL(`http://${service.target}`);
    const sockets: Socket[] = [];
    const between = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => undefined);
      socket.pipe(connect(Number(port), "127.0.0.1")).pipe(socket);
    }).listen(0, "127.0.0.1");
    await once(between, "listening");
    const client = new Client(`127.0.0.1:${(between.address() as AddressInfo).port}`);
    try {
      service.addJob("j", 0);
      const parked = refusal(client.nextTask({ workerId: "w", slots: 1, waitSeconds: 20 }));
      await service.until(() => service.polls.length === 1);
      const states: JobState[] = [];
      for await (const job of client.watch("j")) {
        states.push(job.state);
        if (states.length > 1) continue;
        for (const socket of sockets) {
          socket.end(Buffer.concat([GOAWAY, Buffer.from("ping_timeout")]));
        }
        service.endJob("j", JobState.SUCCEEDED);
      }
      assert.deepEqual(states, [JobState.WAITING, JobState.SUCCEEDED]);
      const { code, message } = await parked;
      assert.equal(`${code}: ${message}`, "UNAVAILABLE: the service has dropped the connection");
    } finally {
      client.close();
      between.close();
    }
  }),
);

test(
  "a watch that was refused for now comes back; one for an unknown job does not",
  asking(async (client, service) => {
    service.addJob("j", 1);
    service.endJob("j", JobState.SUCCEEDED);
    const full = new Refusal(status.RESOURCE_EXHAUSTED, "too many watches");
    const hint = { retryDelay: { seconds: 0n, nanos: 1_000_000 } };
    service.refuse("watchJob", full.with(RetryInfoSchema, hint));
    assert.equal((await client.wait("j")).state, JobState.SUCCEEDED);
    assert.equal(service.calls.get("watchJob"), 2);
    assert.equal((await refusal(client.wait("nobody"))).code, "NOT_FOUND");
  }),
);

test(
  "leaving the loop ends a watch, and so do a time-out and a signal",
  asking(async (client, service) => {
    service.addJob("j", 1);
    for await (const job of client.watch("j")) {
      assert.equal(job.jobId, "j");
      break;
    }
    const late = await refusal(client.wait("j", { timeoutSeconds: 0.05 }));
    assert.equal(late.code, "DEADLINE_EXCEEDED");
    const ended = client.wait("j", { signal: AbortSignal.timeout(1) });
    await assert.rejects(ended, { name: "TimeoutError" });
  }),
);

test(
  "a wait with check rejects when the job has not succeeded",
  asking(async (client, service) => {
    service.addJob("j", 1);
    service.endJob("j", JobState.FAILED, "no such table");
    assert.equal((await client.wait("j")).state, JobState.FAILED);
    await assert.rejects(client.wait("j", { check: true }), (error) => {
      assert.ok(error instanceof JobFailed);
      assert.equal(error.message, 'job "j" failed: no such table');
      return error.job.jobId === "j";
    });
  }),
);

test(
  "jobs come page by page",
  asking(async (client, service) => {
    for (const name of ["a", "b", "c", "d", "e"]) service.addJob(name, 0);
    const names: string[] = [];
    for await (const { jobId } of client.jobs({ pageSize: 2 })) names.push(jobId);
    assert.deepEqual(names, ["a", "b", "c", "d", "e"]);
    assert.equal(service.calls.get("listJobs"), 3);
  }),
);

// -------------------------------------------------------------------------------------- connecting

// As a load balancer does whose service is gone.  gRPC would wait for ever.
test("a connection that is taken and not greeted is made anew", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const target = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const client = new Client(target, { keepalive: { timeoutSeconds: 0.5 } });
  const server = new Server();
  try {
    const asked = refusal(client.get({ jobId: "j" }));
    const [taken] = (await once(silent, "connection")) as [Socket];
    silent.close();
    const bind = promisify(server.bindAsync.bind(server));
    await bind(target, ServerCredentials.createInsecure());
    assert.equal((await asked).code, "UNIMPLEMENTED");
    taken.destroy();
  } finally {
    client.close();
    server.forceShutdown();
  }
});

test("a call whose time is up says why there was no connection", async () => {
  const hasty = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
  await once(hasty, "listening");
  const target = `127.0.0.1:${(hasty.address() as AddressInfo).port}`;
  /** Longer, and longer again, if there was no time to connect in. */
  const asked = async (why: RegExp, timeoutSeconds = 0.3): Promise<void> => {
    const client = new Client(target, { timeoutSeconds });
    const watch = client.wait("j", { timeoutSeconds });
    const late = await Promise.all([refusal(client.get({ jobId: "j" })), refusal(watch)]);
    client.close();
    if (timeoutSeconds < 10 && !late.every(({ message }) => why.test(message))) {
      await asked(why, timeoutSeconds * 4);
      return;
    }
    for (const { code, message } of late) {
      assert.equal(code, "DEADLINE_EXCEEDED");
      assert.match(message, why);
    }
  };
  await asked(/does the service want TLS/);
  hasty.close();
  await asked(/ECONNREFUSED [0-9.:]+$/);
});

test("which targets are on this machine", () => {
  const here = ["localhost:1", "127.0.0.1:7170", "127.1.2.3:1", "[::1]:1", "unix:/run/uwfq"];
  const schemes = ["dns:localhost:1", "dns:///localhost:1", "ipv4:127.0.0.1:1", "ipv6:[::1]:1"];
  for (const target of [...here, ...schemes]) assert.ok(isLoopback(target), target);
  for (const target of ["uwfq:7170", "10.0.0.1:1", "[2001:db8::1]:1", "127.0.0.1.example:1"]) {
    assert.ok(!isLoopback(target), target);
  }
});

test("times of the keepalive that are none are refused", () => {
  for (const seconds of [NaN, 0, -1]) {
    for (const name of ["timeSeconds", "timeoutSeconds"]) {
      const keepalive = { [name]: seconds };
      assert.throws(() => new Client("x", { keepalive }), new RegExp(`${name} is ${seconds}`));
    }
  }
});

test("half of a certificate is refused, and so is what is none", () => {
  assert.throws(() => new Client("x", { tls: { ca: "ca.pem" } }), /tls.ca holds no certificate/);
  assert.throws(() => new Client("x", { tls: { cert: "" } }), /tls.cert and tls.key/);
});
