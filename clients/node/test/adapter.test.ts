/** The conformance adapter speaks its protocol; what it is used for is in clients/conformance. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { PACKAGE, running, SKIP, withService } from "./real-service.js";

interface Answer {
  readonly id: number;
  readonly ok?: Record<string, unknown>;
  readonly error?: unknown;
}

test(
  "the adapter answers each request under its id, and ends with its input",
  { skip: SKIP },
  withService({ "scheduling.retry_backoff": 0.01 }, async (service) => {
    const adapter = join(PACKAGE, "build/conformance/adapter.js");
    await running(adapter, ["--target", service.target], async (child, exited) => {
      const waiting = new Map<number, (answer: Answer) => void>();
      createInterface({ input: child.stdout }).on("line", (line) => {
        const answer = JSON.parse(line) as Answer;
        waiting.get(answer.id)?.(answer);
      });
      let last = 0;
      const ask = (request: object): Promise<Answer> => {
        const id = (last += 1);
        child.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
        return new Promise((resolve) => waiting.set(id, resolve));
      };
      const submit = (kind: string): Promise<Answer> =>
        ask({
          do: "call",
          method: "SubmitJob",
          timeout_seconds: 10,
          // The names of the proto file are as good as those of its JSON form.
          request: {
            user: "ann",
            job_id: kind,
            kind,
            stages: [{ stage: "s", tasks: { count: 1 } }],
          },
        });

      const kinds = {
        hold: { act: "hold" },
        fail: { act: "fail", attempts: 1 },
        fail_for_good: { act: "fail_for_good" },
        sleep: { act: "sleep", seconds: 0.01 },
      };
      const worker = { worker: "w", worker_id: "mine", pool: null, slots: 1, prefetch: 0, kinds };
      assert.deepEqual((await ask({ do: "worker.start", ...worker })).ok, {});
      const watched = submit("hold").then(() =>
        ask({ do: "watch", job_id: "hold", timeout_seconds: 10 }),
      );
      const running = { worker: "w", kind: "hold", count: 1, timeout_seconds: 10 };
      assert.deepEqual((await ask({ do: "worker.running", ...running })).ok, {});
      const early = { ...running, count: 2, timeout_seconds: 0.01 };
      const late = (await ask({ do: "worker.running", ...early })).error;
      assert.equal((late as { code: string }).code, "DEADLINE_EXCEEDED");
      await ask({ do: "worker.release", worker: "w", kind: "hold" });
      const { states, job } = (await watched).ok as { states: string[]; job: { jobId: string } };
      assert.equal(states.at(-1), "JOB_STATE_SUCCEEDED");
      assert.equal(job.jobId, "hold");

      for (const kind of ["fail", "sleep", "fail_for_good"]) {
        await submit(kind);
        await ask({ do: "wait", job_id: kind, timeout_seconds: 10 });
      }
      const before = await ask({ do: "worker.runs", worker: "w" });
      const after = await ask({ do: "worker.stop", worker: "w", grace_seconds: null });
      assert.deepEqual(before.ok, after.ok);
      const run = { stage: "s", task_index: 0, attempt: 1 };
      assert.deepEqual(after.ok?.["runs"], [
        { job_id: "hold", ...run, outcome: "succeeded" },
        { job_id: "fail", ...run, outcome: "failed" },
        { job_id: "fail", ...run, attempt: 2, outcome: "succeeded" },
        { job_id: "sleep", ...run, outcome: "succeeded" },
        { job_id: "fail_for_good", ...run, outcome: "failed" },
      ]);
      const unknown = { method: "GetJob", request: { jobId: "x" }, timeout_seconds: 10 };
      const { error } = await ask({ do: "call", ...unknown });
      const { message, ...rest } = error as { message: string };
      assert.match(message, /^job 'x' does not exist/);
      assert.deepEqual(rest, {
        code: "NOT_FOUND",
        field_violations: [],
        retry_after_seconds: null,
        reason: "UNKNOWN_JOB",
        resource: { type: "job", name: "x" },
      });
      child.stdin.end();
      assert.deepEqual(await exited, [0, null]);
    });
  }),
);
