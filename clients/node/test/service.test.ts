/** Client and worker, as published, against the service itself. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import {
  JobState,
  PermanentFailure,
  SplitReason,
  UwfqError,
  Worker,
  type Init,
  type StageSpecSchema,
} from "@uwfq/client";

import { running, SKIP, withService } from "./real-service.js";
import { aborted, EAGER, Gate } from "./support.js";

type Stage = Init<typeof StageSpecSchema>;

const INPUT: NonNullable<Stage["cut"]> = {
  case: "input",
  value: { unitSizes: [1000n], splittable: true },
};

function stage(name: string, count: number, more: Stage = {}): Stage {
  return { stage: name, cut: { case: "tasks", value: { count } }, ...more };
}

test(
  "a job goes through its stages, its input cut by the service",
  { skip: SKIP },
  withService({}, async (service, client) => {
    const worker = new Worker(service.target, { ...EAGER, slots: 2 });
    const seen: string[] = [];
    worker.handle("sum", (task) => {
      seen.push(
        `${task.stage} ${task.range?.beginOffset ?? "-"} ${Buffer.from(task.payload).toString()}`,
      );
    });
    const served = worker.serve();
    const payload = Buffer.from("p");
    const scan = { stage: "scan", cut: INPUT, estimatedWorkSlotSeconds: 1.5, payload };
    const { jobId, splits } = await client.submit({
      user: "ann",
      kind: "sum",
      stages: [scan, stage("merge", 1, { after: ["scan"] })],
    });
    assert.equal(splits[0]?.reason, SplitReason.ADVISORY_RUNTIME);
    const job = await client.wait(jobId, { check: true });
    assert.deepEqual(
      job.stages.map(({ done }) => done),
      [2, 1],
    );
    assert.deepEqual(seen, ["scan 0 p", "scan 500 p", "merge - "]);
    await worker.stop();
    await served;
    assert.equal((await client.getPool()).pool.workers, 0, "it has left");
  }),
);

test(
  "failures are tried again until one is permanent",
  { skip: SKIP },
  withService({ "scheduling.retry_backoff": 0.01 }, async (service, client) => {
    const worker = new Worker(service.target, { ...EAGER, slots: 1 });
    worker.handle("flaky", ({ attempt }) => {
      if (attempt === 1) throw new Error("not yet");
      throw new PermanentFailure("never");
    });
    const served = worker.serve();
    const { jobId } = await client.submit({ user: "ann", kind: "flaky", stages: [stage("s", 1)] });
    const job = await client.wait(jobId);
    assert.equal(job.state, JobState.FAILED);
    assert.equal(job.failedAttempts, 2);
    assert.match(job.cause, /never/);
    await worker.stop();
    await served;
  }),
);

test(
  "cancelling a job stops its handlers; a task may run for longer than its lease",
  { skip: SKIP },
  withService({ "scheduling.lease_seconds": 2 }, async (service, client) => {
    const worker = new Worker(service.target, { ...EAGER, slots: 2 });
    const stopped = new Gate();
    worker
      .handle("long", () => delay(5000))
      .handle("endless", async (_, { signal }) => {
        await aborted(signal);
        stopped.open();
      });
    const served = worker.serve();
    const long = await client.submit({ user: "ann", kind: "long", stages: [stage("s", 1)] });
    const { jobId } = await client.submit({
      user: "ann",
      kind: "endless",
      stages: [stage("s", 1)],
    });
    for await (const job of client.watch(jobId)) {
      if (job.state === JobState.RUNNING) await client.cancel({ jobId, reason: "enough" });
    }
    await stopped.passed();
    assert.equal((await client.get({ jobId })).job.cause, "enough");
    // A lease that is renewed in time lets either side stand still for two thirds of it.
    const { failedAttempts } = await client.wait(long.jobId, { check: true });
    assert.equal(failedAttempts, 0);
    await worker.stop();
    await served;
  }),
);

test(
  "a crash of the service in the middle loses and repeats nothing",
  { skip: SKIP },
  withService({}, async (service, client) => {
    const tasks = 300;
    const worker = new Worker(service.target, { ...EAGER, slots: 3, prefetch: 20 });
    const runs = new Array<number>(tasks).fill(0);
    const third = new Gate();
    worker.handle("noop", async ({ taskIndex }) => {
      runs[taskIndex] = (runs[taskIndex] ?? 0) + 1;
      if (runs.filter((count) => count > 0).length > tasks / 3) third.open();
      await delay(1);
    });
    const served = worker.serve();
    const { jobId } = await client.submit({
      user: "ann",
      kind: "noop",
      stages: [stage("s", tasks)],
    });
    const waiting = client.wait(jobId, { check: true });
    await third.passed();
    await service.kill();
    await service.start();
    const job = await waiting;
    assert.equal(job.stages[0]?.done, tasks);
    assert.equal(job.failedAttempts, 0);
    assert.deepEqual(runs, new Array(tasks).fill(1));
    await worker.stop();
    await served;
  }),
);

test(
  "the service's refusals are readable",
  { skip: SKIP },
  withService({ "limits.max_jobs_per_user": 1 }, async (_, client) => {
    const codeOf = async (call: Promise<unknown>): Promise<UwfqError> => {
      const error: unknown = await call.catch((reason: unknown) => reason);
      assert.ok(error instanceof UwfqError, String(error));
      return error;
    };
    const wrong = await codeOf(
      client.submit({ user: "ann", stages: [stage("s", 1, { after: ["x"] })] }),
    );
    assert.equal(wrong.code, "INVALID_ARGUMENT");
    assert.equal(wrong.fieldViolations[0]?.field, "stages[0].after[0]");

    const missing = await codeOf(client.get({ jobId: "nobody" }));
    assert.equal(missing.code, "NOT_FOUND");
    assert.deepEqual(missing.resource, { type: "job", name: "nobody" });

    const mine = { user: "ann", jobId: "mine", stages: [stage("s", 1)] };
    assert.equal((await client.submit(mine)).duplicate, false);
    assert.equal((await client.submit(mine)).duplicate, true);
    const taken = await codeOf(client.submit({ ...mine, kind: "other" }));
    assert.equal(taken.code, "ALREADY_EXISTS");

    const full = await codeOf(client.submit({ user: "ann", stages: [stage("s", 1)] }));
    assert.equal(full.code, "RESOURCE_EXHAUSTED");
    assert.ok((full.retryAfterSeconds ?? 0) > 0);

    const closed = await codeOf(client.addStages({ jobId: "mine", stages: [stage("t", 1)] }));
    assert.equal(closed.code, "FAILED_PRECONDITION");
    assert.equal(closed.reason, "JOB_NOT_OPEN");
  }),
);

test(
  "engines plan, drop and finish; operators see users and pools",
  { skip: SKIP },
  withService({}, async (_, client) => {
    const scan = { stage: "scan", cut: INPUT, minTasks: 7 };
    const { split } = await client.splitStage({ user: "ann", stage: scan });
    assert.equal(split.taskCount, 7);
    const engine = { workerId: "engine", slots: 1, ranking: {} };
    await client.nextTask(engine);
    const { jobId } = await client.submit({ user: "ann", open: true, engineId: "engine" });
    const added = await client.addStages({ jobId, stages: [scan, stage("rest", 1)] });
    assert.equal(added.splits.length, 2);
    const dropped = await client.dropStages({ jobId, stages: ["rest"] });
    assert.equal(dropped.job.stages[1]?.waiting, 0);
    assert.equal((await client.explain({ jobId })).position, 1);
    const { job } = await client.closeJob({ jobId, finished: true });
    assert.equal(job.state, JobState.SUCCEEDED);
    assert.deepEqual(
      (await client.list({ user: "ann" })).jobs.map((each) => each.jobId),
      [jobId],
    );

    const { user } = await client.setUser({ user: "bob", weight: 3, maxRunningSlots: 2 });
    assert.deepEqual([user.weight, user.maxRunningSlots], [3, 2]);
    const names: string[] = [];
    for await (const each of client.users({ pageSize: 1 })) names.push(each.user);
    assert.deepEqual(names, ["ann", "bob"]);
    assert.equal((await client.listPools()).pools[0]?.policy, "uwfq");
  }),
);

test(
  "a signal lets the worker finish; a second one makes it give up",
  { skip: SKIP },
  withService({}, async (service, client) => {
    const script = `
      import { Worker } from "@uwfq/client";
      const worker = new Worker("${service.target}", { slots: 1 });
      worker.handle("stuck", async (task, { signal }) => {
        console.log("started");
        const timer = setInterval(() => worker.stopping && console.log("stopping"), 1);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        clearInterval(timer);
        signal.throwIfAborted();
      });
      await worker.run();
    `;
    const only = { maxAttempts: 1 };
    const request = { user: "ann", kind: "stuck", stages: [stage("s", 1, only)] };
    const { jobId } = await client.submit(request);
    await running(
      process.execPath,
      ["--input-type=module", "--eval", script],
      async (it, ended) => {
        const lines = createInterface({ input: it.stdout });
        await once(lines, "line");
        const stopping = once(lines, "line");
        it.kill("SIGTERM");
        await stopping;
        it.kill("SIGTERM");
        assert.deepEqual(await ended, [0, null]);
      },
    );
    const job = await client.wait(jobId);
    assert.equal(job.state, JobState.FAILED);
    assert.match(job.cause, /worker was stopped before the task ended/);
  }),
);
