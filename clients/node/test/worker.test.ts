/** What a worker does when all goes well, when handlers fail, and when it is to stop. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";

import { Stopped } from "../src/execution.js";
import { PermanentFailure, TaskLeaseSchema, Worker, type Measurement } from "../src/index.js";
import { Launcher } from "../src/launcher.js";
import { Ledger } from "../src/ledger.js";
import { Refusal, serving, type FakeService } from "./fake-service.js";
import { aborted, EAGER, Gate } from "./support.js";

/** How the attempts of a job ended: `"ok"` or the failure's message, in the order of the reports. */
function endings(service: FakeService): string[] {
  return [...service.results.values()].map(({ outcome }) =>
    outcome.case === "failure" ? outcome.value.message : "ok",
  );
}

test(
  "every task is run and reported once, with what its handler measured",
  serving(async (service) => {
    service.addJob("j", 20, { labels: { colour: "blue" }, payload: new Uint8Array([7]) });
    const worker = new Worker(service.target, { ...EAGER, slots: 3 });
    const seen: number[] = [];
    worker.handle("noop", (task) => {
      seen.push(task.taskIndex);
      assert.deepEqual(task.labels, { colour: "blue" });
      assert.deepEqual([...task.payload], [7]);
      return { rows: task.taskIndex, inputBytes: 2n ** 60n };
    });
    const served = worker.serve();
    await service.until(() => service.results.size === 20);
    await worker.stop();
    await served;
    assert.deepEqual(
      seen.sort((a, b) => a - b),
      [...new Array(20).keys()],
    );
    const rows = [...service.results.values()].map(({ outcome }) =>
      outcome.case === "success" ? outcome.value.rows : undefined,
    );
    assert.equal(new Set(rows).size, 20);
    assert.deepEqual(worker.stats, {
      running: 0,
      queued: 0,
      succeeded: 20,
      failed: 0,
      polls: worker.stats.polls,
    });
  }),
);

test(
  "a worker never runs more than its slots; prefetched leases wait",
  serving(async (service) => {
    service.addJob("j", 40);
    const worker = new Worker(service.target, { ...EAGER, slots: 2, prefetch: 10 });
    let running = 0;
    let most = 0;
    worker.handle("noop", async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      running -= 1;
    });
    const served = worker.serve();
    await service.until(() => service.results.size === 40);
    await worker.stop();
    await served;
    assert.equal(most, 2);
  }),
);

test(
  "results ride on the next poll: a busy worker needs one call per batch",
  serving(async (service) => {
    service.addJob("j", 1000);
    // A delay that no result outlives, so that whatever does not ride is missing.
    const settings = { ...EAGER, slots: 1, prefetch: 199, reportDelaySeconds: 3600 };
    const worker = new Worker(service.target, settings);
    worker.handle("noop", () => undefined);
    const served = worker.serve();
    await service.until(() => service.results.size > 800);
    assert.equal(service.reports.length, 0);
    assert.ok(service.polls.length < 40, `${service.polls.length} polls`);
    await worker.stop();
    await served;
    assert.equal(service.results.size, 1000 - service.waiting.length);
  }),
);

test(
  "a result does not wait for a parked poll",
  serving(async (service) => {
    service.addJob("j", 1);
    const worker = new Worker(service.target, { ...EAGER, slots: 2, pollSeconds: 60 });
    const go = new Gate();
    worker.handle("noop", () => go.passed());
    const served = worker.serve();
    await service.until(() => service.polls.length === 2); // One slot is free: parked.
    go.open();
    await service.until(() => service.results.size === 1);
    assert.equal(service.reports.length, 1);
    await worker.stop();
    await served;
  }),
);

test(
  "a parked poll is asked anew, under its id, when more slots are free",
  serving(async (service) => {
    service.addJob("small", 1);
    const worker = new Worker(service.target, { ...EAGER, slots: 2, pollSeconds: 60 });
    const go = new Gate();
    worker.handle("noop", () => go.passed());
    const served = worker.serve();
    await service.until(() => service.polls.length === 2);
    service.addJob("large", 1, { slots: 2 }); // Too large for the poll that is parked.
    go.open();
    await service.until(() => service.results.size === 2);
    const [, parked, anew] = service.polls;
    assert.deepEqual([parked?.freeSlots, anew?.freeSlots], [1, 2]);
    assert.equal(anew?.pollId, parked?.pollId);
    await worker.stop();
    await served;
  }),
);

test(
  "a throw is a failed attempt, PermanentFailure the job's end, a missing handler another's task",
  serving(async (service) => {
    const acts: Record<string, () => Measurement | undefined> = {
      throws: () => {
        throw new TypeError("no such column");
      },
      permanent: () => {
        throw new PermanentFailure("no such table");
      },
      odd: () => {
        // eslint-disable-next-line @typescript-eslint/only-throw-error
        throw "a string \ud800";
      },
      long: () => {
        throw new Error("ü".repeat(5000));
      },
      wrong: () => 12 as Measurement,
      nothing: () => null as unknown as Measurement,
      lazy: function* () {
        yield service.jobs;
      } as unknown as () => Measurement,
      negative: () => ({ rows: -1 }),
      huge: () => ({ inputBytes: 2n ** 64n }),
    };
    for (const kind of [...Object.keys(acts), "unknown"]) service.addJob(kind, 1, { kind });
    const worker = new Worker(service.target, { ...EAGER, slots: 1 });
    for (const [kind, act] of Object.entries(acts)) worker.handle(kind, act);
    const served = worker.serve();
    await service.until(() => service.results.size === 10);
    await worker.stop();
    await served;
    const [throws, permanent, odd, long, wrong, nothing, lazy, negative, huge, unknown] = [
      ...service.results.values(),
    ].map(({ outcome }) => (outcome.case === "failure" ? outcome.value : undefined));
    assert.equal(throws?.message, "TypeError: no such column");
    assert.equal(throws.retryable, true);
    assert.equal(permanent?.message, "no such table");
    assert.equal(permanent.retryable, false);
    assert.equal(odd?.message, "a string \ufffd");
    assert.equal(Buffer.byteLength(long?.message ?? ""), 4095); // "Error: " and whole characters.
    assert.equal(wrong?.message, "the handler returned number, not a measurement");
    assert.equal(wrong.retryable, false);
    assert.equal(nothing?.message, "the handler returned null, not a measurement");
    assert.equal(lazy?.message, "the handler returned Generator, not a measurement");
    assert.match(negative?.message ?? "", /rows -1/);
    assert.match(huge?.message ?? "", /inputBytes 18446744073709551616/);
    assert.equal(huge?.retryable, false);
    assert.equal(unknown?.message, 'no handler for kind "unknown"');
    assert.equal(unknown.retryable, true);
    assert.equal(worker.stats.failed, 10);
  }),
);

test(
  "whatever can be thrown is a failed attempt, though it cannot be read",
  serving(async (service) => {
    class Unreadable extends Error {
      override get message(): string {
        throw new Error("inner");
      }
    }
    const acts: (() => unknown)[] = [
      () => new Unreadable(),
      () => Object.assign(new Error(), { message: Symbol("m") }),
      () => Object.assign(new PermanentFailure(), { message: 5 }),
      () => ({
        [inspect.custom]() {
          throw new Error("inner");
        },
      }),
      () => {
        const { proxy, revoke } = Proxy.revocable({}, {});
        revoke();
        return proxy;
      },
      () => Object.create(null) as unknown,
      () => null,
      // Its stack is no text, and cannot be made one.
      () => Object.assign(new Error("odd"), { stack: Object.create(null) as unknown }),
    ];
    service.addJob("j", acts.length);
    const worker = new Worker(service.target, { ...EAGER, slots: 1 });
    worker.handle("noop", ({ taskIndex }) => {
      throw acts[taskIndex]?.();
    });
    const served = worker.serve();
    await service.until(() => service.results.size === acts.length);
    await worker.stop();
    await served;
    const unknown = "the handler threw what has no text";
    assert.deepEqual(endings(service), [
      unknown,
      unknown,
      unknown,
      unknown,
      unknown,
      "[Object: null prototype] {}",
      "null",
      "Error: odd",
    ]);
  }),
);

test(
  "what a handler does with its task is its own affair",
  serving(async (service) => {
    service.addJob("j", 3);
    const worker = new Worker(service.target, { ...EAGER, slots: 1 });
    worker.handle("noop", (task) => {
      Object.assign(task, { leaseId: 77n, attempt: 9, slots: 5 });
    });
    const served = worker.serve();
    await service.until(() => service.results.size === 3);
    await worker.stop();
    await served;
    assert.deepEqual([...service.results.keys()], [1n, 2n, 3n]);
  }),
);

test(
  "a handler that was told to stop may still say that no attempt can succeed",
  serving(async (service) => {
    service.addJob("j", 1, { timeLimitSeconds: 0.01 });
    const worker = new Worker(service.target, { ...EAGER, slots: 1 });
    worker.handle("noop", async (_, { signal }) => {
      await aborted(signal);
      throw new PermanentFailure("it can never be done in that time");
    });
    const served = worker.serve();
    await service.until(() => service.results.size === 1);
    await worker.stop();
    await served;
    const { outcome } = service.results.get(1n) ?? {};
    assert.ok(outcome?.case === "failure" && !outcome.value.retryable);
  }),
);

test(
  "a handler without a kind takes what no other does",
  serving(async (service) => {
    service.addJob("a", 1, { kind: "a" });
    service.addJob("b", 1, { kind: "b" });
    const ran: string[] = [];
    const worker = new Worker(service.target, { ...EAGER, slots: 1 })
      .handle("a", (task) => void ran.push(`a: ${task.kind}`))
      .handle((task) => void ran.push(`rest: ${task.kind}`));
    const served = worker.serve();
    await service.until(() => service.results.size === 2);
    await worker.stop();
    await served;
    assert.deepEqual(ran, ["a: a", "rest: b"]);
  }),
);

test(
  "a time limit stops the attempt",
  serving(async (service) => {
    service.addJob("j", 1, { timeLimitSeconds: 0.02 });
    const worker = new Worker(service.target, { ...EAGER, slots: 1 });
    worker.handle("noop", async (_, { signal }) => {
      await aborted(signal);
      throw new Error("put otherwise");
    });
    const served = worker.serve();
    await service.until(() => service.results.size === 1);
    assert.deepEqual(endings(service), ["it ran longer than its limit of 0.02 s"]);
    await worker.stop();
    await served;
  }),
);

// --------------------------------------------------------------------------------------- stopping

test(
  "a stop finishes and reports what is held, and says that the worker leaves",
  serving(async (service) => {
    service.addJob("j", 10);
    const worker = new Worker(service.target, { ...EAGER, slots: 1, prefetch: 3 });
    const started = new Gate();
    const go = new Gate();
    worker.handle("noop", async () => {
      started.open();
      await go.passed();
    });
    const served = worker.serve();
    await started.passed();
    const stopped = worker.stop();
    assert.equal(worker.stopping, true);
    go.open();
    await stopped;
    await served;
    assert.equal(service.results.size, 4);
    assert.equal(service.leases.size, 0);
    assert.equal(service.polls.at(-1)?.leaving, true);
    assert.equal(worker.stopping, false);
  }),
);

test(
  "a stop fetches leases whose answer was lost",
  serving(async (service) => {
    service.addJob("j", 2);
    service.lose("nextTask", 10);
    const worker = new Worker(service.target, { ...EAGER, slots: 2 });
    worker.handle("noop", () => undefined);
    const served = worker.serve();
    await service.until(() => service.polls.length === 3);
    const stopped = worker.stop();
    service.loseNothingMore();
    await stopped;
    await served;
    assert.equal(service.results.size, 2);
    assert.equal(service.leases.size, 0);
  }),
);

test(
  "what is not finished within the grace has failed; what has not begun goes back",
  serving(async (service) => {
    service.addJob("j", 3);
    const worker = new Worker(service.target, { ...EAGER, slots: 1, prefetch: 2 });
    const started = new Gate();
    let signal: AbortSignal | undefined;
    worker.handle("noop", async (_, context) => {
      ({ signal } = context);
      started.open();
      await new Promise(() => undefined); // Whatever it is told.
    });
    const served = worker.serve();
    await started.passed();
    await worker.stop({ graceSeconds: 0.01 });
    await served;
    assert.equal(signal?.aborted, true);
    assert.deepEqual(endings(service), ["the worker was stopped before the task ended"]);
    assert.equal(service.waiting.length, 2);
  }),
);

test(
  "an idle worker stops at once though its poll is parked",
  serving(async (service) => {
    const worker = new Worker(service.target, { ...EAGER, slots: 1, pollSeconds: 3600 });
    worker.handle("noop", () => undefined);
    const served = worker.serve();
    await service.until(() => service.polls.length === 1);
    await worker.stop();
    await served;
  }),
);

test(
  "an idle worker does not wait for a service that hangs",
  serving(async (service) => {
    const worker = new Worker(service.target, { ...EAGER, slots: 1 });
    worker.handle("noop", () => undefined);
    const served = worker.serve();
    await service.until(() => service.polls.length === 1);
    service.silent = true;
    const began = performance.now();
    await worker.stop();
    await served;
    assert.ok(performance.now() - began < 10_000);
  }),
);

test(
  "a second stop may shorten the grace of the first",
  { timeout: 20_000 },
  serving(async (service) => {
    service.addJob("j", 1);
    const worker = new Worker(service.target, { ...EAGER, slots: 1 });
    const started = new Gate();
    worker.handle("noop", async (_, { signal }) => {
      started.open();
      await aborted(signal);
    });
    const served = worker.serve();
    await started.passed();
    const first = worker.stop({ graceSeconds: 3600 });
    await worker.stop({ graceSeconds: 0 });
    await first;
    await served;
    assert.equal(service.results.size, 1);
  }),
);

test("a handler that never returns keeps no process alive once it was given up", () => {
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((each) => each === "Timeout").length;
  const ledger = new Ledger(1, 0);
  const never = (): Promise<void> => new Promise(() => undefined);
  const launcher = new Launcher(ledger, new Map([["noop", never]]), EAGER.logger, () => undefined);
  const before = timers();
  ledger.grant(
    [create(TaskLeaseSchema, { leaseId: 1n, kind: "noop", slots: 1, timeLimitSeconds: 3600 })],
    0,
  );
  launcher.launch();
  assert.equal(timers(), before + 1);
  launcher.giveUp(new Stopped("given up"));
  assert.equal(timers(), before);
});

test(
  "what waiting does not mend ends the worker",
  serving(async (service) => {
    service.refuse("nextTask", new Refusal(status.NOT_FOUND, "pool typo does not exist"), 10);
    const worker = new Worker(service.target, { ...EAGER, pool: "typo", slots: 1 });
    worker.handle("noop", () => undefined);
    await assert.rejects(worker.serve(), { name: "UwfqError", code: "NOT_FOUND" });
  }),
);

test(
  "a worker serves again after a stop, but not twice at once",
  serving(async (service) => {
    const worker = new Worker(service.target, { ...EAGER, slots: 1 });
    await assert.rejects(worker.serve(), /needs a handler/);
    worker.handle("noop", () => undefined);
    for (const jobs of [1, 2]) {
      service.addJob(`j${jobs}`, 1);
      const served = worker.serve();
      await assert.rejects(worker.serve(), /serving already/);
      await service.until(() => service.results.size === jobs);
      await worker.stop();
      await served;
    }
    await worker.stop(); // Nothing to stop.
  }),
);

test(
  "a stop that comes before serve is heard",
  serving(async (service) => {
    const worker = new Worker(service.target, { ...EAGER, slots: 1 }).handle(() => undefined);
    await worker.stop();
    await worker.serve();
    assert.equal(service.polls.length, 0);
    await worker.stop(); // It has ended: there is nothing to stop, and it may serve again.
    const served = worker.serve();
    await service.until(() => service.polls.length > 0);
    await worker.stop();
    await served;
  }),
);

test("options that make no sense are refused, and so is a second handler", () => {
  assert.throws(() => new Worker("x", { slots: 0 }), /slots is 0/);
  assert.throws(() => new Worker("x", { prefetch: 2 ** 32 }), /prefetch is 4294967296/);
  // With these it would be idle, without a word.
  assert.throws(() => new Worker("x", { maxBatch: 0 }), /maxBatch is 0/);
  assert.throws(() => new Worker("x", { pollSeconds: NaN }), /pollSeconds is NaN/);
  assert.throws(() => new Worker("x", { reportDelaySeconds: -1 }), /reportDelaySeconds is -1/);
  assert.throws(() => new Worker("x", { prefetch: 0.5 }), /prefetch is 0.5/);
  const worker = new Worker("x").handle("a", () => undefined);
  assert.throws(() => worker.handle("a", () => undefined), /handler for kind "a" already/);
  const absent = undefined as unknown as () => undefined;
  assert.throws(() => worker.handle("b", absent), /handler for kind "b" is undefined/);
});
