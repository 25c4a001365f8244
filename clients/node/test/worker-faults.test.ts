/** What a worker does when answers are lost, leases run out and the service goes away. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Worker } from "../src/index.js";
import { Refusal, serving } from "./fake-service.js";
import { aborted, EAGER, Gate, Log, seeded } from "./support.js";

test(
  "a poll whose answer was lost is repeated under its id, and loses no lease",
  serving(async (service) => {
    service.addJob("j", 6);
    service.lose("nextTask", 3);
    const worker = new Worker(service.target, { ...EAGER, slots: 2 });
    let runs = 0;
    worker.handle("noop", () => {
      runs += 1;
    });
    const served = worker.serve();
    await service.until(() => service.results.size === 6);
    await worker.stop();
    await served;
    assert.equal(runs, 6);
    const ids = service.polls.map(({ pollId }) => pollId);
    assert.deepEqual(ids.slice(0, 5), [1n, 1n, 1n, 1n, 2n]);
  }),
);

test(
  "a result is kept until it is acknowledged; reporting it twice counts once",
  serving(async (service) => {
    service.addJob("j", 8);
    service.lose("taskDone", 3);
    service.refuse("taskDone", Refusal.unavailable(), 2);
    const log = new Log();
    const worker = new Worker(service.target, { ...EAGER, logger: log, slots: 9, pollSeconds: 60 });
    worker.handle("noop", () => undefined);
    const served = worker.serve();
    await service.until(() => service.results.size === 8 && service.calls.get("taskDone") === 6);
    await worker.stop();
    await served;
    // What was carried out before its answer was lost is stale when it comes again: dropped.
    const last = service.polls.at(-1);
    assert.deepEqual([last?.leaving, last?.done], [true, []]);
    assert.equal(worker.stats.succeeded, 8);
    assert.ok(log.lines.some((line) => line.includes("came too late")));
  }),
);

for (const seed of [1, 2, 3, 4]) {
  test(
    `whatever gets lost, each task runs and counts once (seed ${seed})`,
    serving(async (service) => {
      service.addJob("j", 60);
      service.chaos = seeded(seed);
      const worker = new Worker(service.target, { ...EAGER, slots: 3, prefetch: 4 });
      const runs = new Map<number, number>();
      worker.handle("noop", ({ taskIndex }) => {
        runs.set(taskIndex, (runs.get(taskIndex) ?? 0) + 1);
      });
      const served = worker.serve();
      await service.until(() => service.results.size === 60);
      await worker.stop();
      await served;
      assert.deepEqual([...runs.values()], new Array(60).fill(1));
    }),
  );
}

test(
  "what ran while the service was away is reported afterwards, once, and work goes on",
  serving(async (service) => {
    service.addJob("before", 2);
    const log = new Log();
    const worker = new Worker(service.target, { ...EAGER, logger: log, slots: 3 });
    const go = new Gate();
    let runs = 0;
    worker.handle("noop", async () => {
      runs += 1;
      await go.passed();
    });
    const served = worker.serve();
    await service.until(() => service.leases.size === 2 && service.polls.length === 2);
    service.stop();
    go.open();
    // Both have ended, and their report has met the closed door, when the service comes back.
    while (worker.stats.succeeded < 2 || log.lines.length === 0) await new Promise(setImmediate);
    await service.start();
    service.addJob("after", 2);
    await service.until(() => service.results.size === 4);
    await worker.stop();
    await served;
    assert.equal(runs, 4);
    assert.match(log.lines[0] ?? "", /does not serve, trying again/);
    assert.ok(log.lines.includes("the service serves again"));
  }),
);

test(
  "leases are renewed at a third of their time, all in one call, for as long as their tasks run",
  serving(async (service) => {
    service.leaseSeconds = 0.3;
    service.addJob("j", 3);
    service.refuse("renewLeases", Refusal.unavailable(), 2);
    const worker = new Worker(service.target, { ...EAGER, slots: 3 });
    const go = new Gate();
    worker.handle("noop", () => go.passed());
    const served = worker.serve();
    await service.until(() => service.renewals.length === 3);
    assert.deepEqual(
      service.renewals.map(({ leaseIds }) => leaseIds),
      new Array(3).fill([1n, 2n, 3n]),
    );
    go.open();
    await service.until(() => service.results.size === 3);
    await worker.stop();
    await served;
  }),
);

test(
  "a task that starts long after its grant tells since when it runs",
  serving(async (service) => {
    service.leaseSeconds = 0.3;
    service.addJob("j", 2);
    const worker = new Worker(service.target, { ...EAGER, slots: 1, prefetch: 1 });
    const first = new Gate();
    const second = new Gate();
    worker.handle("noop", ({ taskIndex }) => (taskIndex === 0 ? first : second).passed());
    const served = worker.serve();
    await service.until(() => service.renewals.length === 1);
    first.open(); // Well beyond the time in which a start needs no mention.
    await service.until(() => service.polls.some(({ started }) => started.length === 1));
    second.open();
    await service.until(() => service.results.size === 2);
    await worker.stop();
    await served;
    const started = service.polls.flatMap((poll) => poll.started);
    assert.deepEqual(
      started.map(({ leaseId }) => leaseId),
      [2n],
    );
  }),
);

for (const news of ["renewal", "poll"] as const) {
  test(
    `a revoked lease aborts its handler's signal (learned by ${news})`,
    serving(async (service) => {
      service.leaseSeconds = news === "renewal" ? 0.15 : 30;
      service.addJob("j", 1);
      const slots = news === "renewal" ? 1 : 2;
      const worker = new Worker(service.target, { ...EAGER, slots });
      worker.handle("noop", async (_, { signal }) => {
        await aborted(signal);
        signal.throwIfAborted();
      });
      const served = worker.serve();
      await service.until(() => service.leases.size === 1 && service.polls.length === slots);
      service.revoked.add(1n);
      service.note();
      await service.until(() => service.results.size === 1);
      const { outcome } = service.results.get(1n) ?? {};
      assert.ok(outcome?.case === "failure");
      assert.equal(outcome.value.message, "its job was cancelled or has failed, or its time is up");
      await worker.stop();
      await served;
    }),
  );
}

test(
  "a lease that the service does not know any more aborts its handler, and its late result is dropped",
  serving(async (service) => {
    service.leaseSeconds = 0.15;
    service.addJob("j", 1);
    const worker = new Worker(service.target, { ...EAGER, slots: 1 });
    const reasons: unknown[] = [];
    const ended = new Gate();
    worker.handle("noop", async (_, { signal }) => {
      await aborted(signal);
      reasons.push(signal.reason);
      ended.open();
    });
    const served = worker.serve();
    await service.until(() => service.leases.size === 1);
    service.leases.clear();
    await ended.passed();
    await worker.stop();
    await served;
    assert.equal(service.results.size, 0);
    assert.equal(String(reasons[0]), "AbortError: its lease expired");
  }),
);
