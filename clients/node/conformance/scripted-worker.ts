/** A worker whose handlers do what a scenario says, and keep a record of it. */
import { setTimeout as delay } from "node:timers/promises";

import {
  PermanentFailure,
  UwfqError,
  Worker,
  type Handler,
  type TaskLease,
  type WorkerOptions,
} from "@uwfq/client";

/** What is done with the tasks of one kind. */
export type Act =
  | { readonly act: "succeed" }
  | { readonly act: "sleep"; readonly seconds: number }
  | { readonly act: "fail"; readonly attempts: number }
  | { readonly act: "fail_for_good" }
  | { readonly act: "hold" };

/** One handler call that has ended. */
type Run = Readonly<{
  job_id: string;
  stage: string;
  task_index: number;
  attempt: number;
  outcome: "succeeded" | "failed" | "cancelled";
}>;

/** The handler calls of one kind that are under way, and what holds them. */
class Kind {
  running = 0;
  readonly released = new AbortController();
  /** Called, and emptied, at each start. */
  onStart: (() => void)[] = [];
}

/** Serves from its making to {@link stop}. */
export class ScriptedWorker {
  /** In the order in which they ended. */
  readonly runs: Run[] = [];
  readonly #worker: Worker;
  readonly #kinds = new Map<string, Kind>();
  readonly #serving: Promise<void>;

  constructor(
    target: string | undefined,
    options: WorkerOptions,
    script: Readonly<Record<string, Act>>,
  ) {
    this.#worker = new Worker(target, options);
    for (const [kind, act] of Object.entries(script)) {
      this.#kinds.set(kind, new Kind());
      this.#worker.handle(kind, this.#recorded(kind, act));
    }
    this.#serving = this.#worker.serve();
    // Told to whoever stops it.
    this.#serving.catch(() => undefined);
  }

  /** Returns once so many handlers of a kind run at the same time. */
  async running(name: string, count: number, timeoutSeconds: number): Promise<void> {
    const kind = this.#kind(name);
    const timeout = AbortSignal.timeout(timeoutSeconds * 1000);
    while (kind.running < count) {
      await new Promise<void>((resolve, reject) => {
        kind.onStart.push(resolve);
        timeout.addEventListener("abort", () => {
          const text = `${kind.running} of ${count} handlers of ${name} run`;
          reject(new UwfqError("DEADLINE_EXCEEDED", text));
        });
      });
    }
  }

  /** What is held of a kind, now and later, succeeds. */
  release(name: string): void {
    this.#kind(name).released.abort();
  }

  /** Stop; returns when it has stopped, throws what ended it before. */
  async stop(graceSeconds: number | undefined): Promise<void> {
    await this.#worker.stop({ graceSeconds });
    await this.#serving;
  }

  #kind(name: string): Kind {
    const kind = this.#kinds.get(name);
    if (kind === undefined) throw new Error(`the worker has no kind ${name}`);
    return kind;
  }

  #recorded(name: string, act: Act): Handler {
    return async (task, { signal }) => {
      const kind = this.#kind(name);
      kind.running += 1;
      for (const wake of kind.onStart.splice(0)) wake();
      let outcome: Run["outcome"] = "failed";
      try {
        await perform(act, task, signal, kind.released.signal);
        outcome = "succeeded";
        return { rows: 1 };
      } catch (error) {
        if (signal.aborted) outcome = "cancelled";
        throw error;
      } finally {
        kind.running -= 1;
        const { jobId, stage, taskIndex, attempt } = task;
        this.runs.push({ job_id: jobId, stage, task_index: taskIndex, attempt, outcome });
      }
    };
  }
}

/** Do it; throws when the attempt fails, or is to stop (`signal`). */
async function perform(
  act: Act,
  task: TaskLease,
  signal: AbortSignal,
  released: AbortSignal,
): Promise<void> {
  switch (act.act) {
    case "succeed":
      return;
    case "sleep":
      await delay(act.seconds * 1000, undefined, { signal });
      return;
    case "fail":
      if (task.attempt <= act.attempts) throw new Error(`attempt ${task.attempt} is to fail`);
      return;
    case "fail_for_good":
      throw new PermanentFailure("no attempt can succeed");
    case "hold":
      await either(signal, released);
      signal.throwIfAborted();
  }
}

/** Returns when one of the signals is aborted. */
async function either(one: AbortSignal, other: AbortSignal): Promise<void> {
  if (one.aborted || other.aborted) return;
  await new Promise<void>((resolve) => {
    const both = [one, other];
    const settle = (): void => {
      for (const each of both) each.removeEventListener("abort", settle);
      resolve();
    };
    for (const each of both) each.addEventListener("abort", settle);
  });
}
