/** A worker: asks the service for tasks, runs a handler for each, reports how it went. */
import { randomBytes } from "node:crypto";
import { availableParallelism, hostname } from "node:os";

import { DEFAULT_BACKOFF, type BackoffPolicy } from "./backoff.js";
import { DEFAULT_TARGET, type ConnectionOptions } from "./connection.js";
import type { Handler } from "./execution.js";
import { DEFAULT_LOGGER, type Logger } from "./logger.js";
import { Session, type SessionOptions } from "./session.js";

/** What a worker is made with. */
export interface WorkerOptions extends ConnectionOptions {
  /** The pool whose tasks it runs.  Default: `"default"`. */
  readonly pool?: string | undefined;
  /** Tasks (of one slot each) that run at once.  Default: as many as there are cores. */
  readonly slots?: number | undefined;
  /**
   * Slots' worth of leases to queue beyond those that run.  With 0, the default, the service decides
   * as late as possible, which is fairest; short tasks are cheaper in batches of 100 and more.
   */
  readonly prefetch?: number | undefined;
  /** Most leases of one poll.  Default: as many as fit. */
  readonly maxBatch?: number | undefined;
  /** One process, one id, new at each start of the process.  Default: host, process and chance. */
  readonly workerId?: string | undefined;
  /** How long a poll may be parked at the service when there is nothing to run.  Default: 30. */
  readonly pollSeconds?: number | undefined;
  /** How long a result may wait for the next poll to take it along.  Default: 0.01. */
  readonly reportDelaySeconds?: number | undefined;
  /** How fast to try again while the service is away. */
  readonly backoff?: BackoffPolicy | undefined;
  /** Where it says how it fares.  Default: warnings on standard error. */
  readonly logger?: Logger | undefined;
}

/** How a worker is to stop. */
export interface StopOptions {
  /**
   * How long what it holds may take to finish; what has not, is given up: what runs is reported as
   * failed, to be tried again, what has not begun goes back.  Default: as long as it takes.
   */
  readonly graceSeconds?: number | undefined;
}

/** What a worker is doing, and has done since it last began to serve. */
export interface WorkerStats {
  /** Attempts that run. */
  readonly running: number;
  /** Attempts that wait for a slot. */
  readonly queued: number;
  /** Attempts that have succeeded. */
  readonly succeeded: number;
  /** Attempts that have failed. */
  readonly failed: number;
  /** Polls sent. */
  readonly polls: number;
}

/**
 * Runs tasks of one pool, some at a time.
 *
 * @example
 * ```ts
 * const worker = new Worker("127.0.0.1:7170", { slots: 2 });
 * worker.handle("sum", async (task, { signal }) => {
 *   const numbers = await read(task.payload, task.range, signal);
 *   return { rows: numbers.length };
 * });
 * await worker.run();
 * ```
 */
export class Worker {
  /** Who it is to the service. */
  readonly workerId: string;
  readonly #options: SessionOptions;
  readonly #handlers = new Map<string | undefined, Handler>();
  /** The session that serves, or the last one that did. */
  #session: Session | undefined;
  #serving: Promise<void> | undefined;
  /** Whether it was told to stop before it has ever served. */
  #stopped = false;

  /** @param target - Where the service listens: `host:port`, `[ipv6]:port` or `unix:/path`. */
  constructor(target = DEFAULT_TARGET, options: WorkerOptions = {}) {
    const { slots = availableParallelism(), prefetch = 0, maxBatch } = options;
    const { pollSeconds = 30, reportDelaySeconds = 0.01 } = options;
    checkWhole("slots", slots, 1);
    checkWhole("prefetch", prefetch, 0);
    if (maxBatch !== undefined) checkWhole("maxBatch", maxBatch, 1);
    checkDuration("pollSeconds", pollSeconds);
    checkDuration("reportDelaySeconds", reportDelaySeconds);
    this.workerId = options.workerId ?? newWorkerId();
    this.#options = {
      target,
      connection: options,
      pool: options.pool ?? "default",
      workerId: this.workerId,
      slots,
      prefetch,
      maxBatch,
      pollSeconds,
      reportDelaySeconds,
      backoff: options.backoff ?? DEFAULT_BACKOFF,
      logger: options.logger ?? DEFAULT_LOGGER,
    };
  }

  /** Register the handler for the jobs of a kind; without a kind, for all that have none. */
  handle(kind: string, handler: Handler): this;
  handle(handler: Handler): this;
  handle(...parts: [string, Handler] | [Handler]): this {
    const [kind, handler] = parts.length === 2 ? parts : [undefined, ...parts];
    const which = kind === undefined ? "all other kinds" : `kind ${JSON.stringify(kind)}`;
    if (typeof handler !== "function") {
      throw new TypeError(`the handler for ${which} is ${typeof handler}, not a function`);
    }
    if (this.#handlers.has(kind)) {
      throw new Error(`there is a handler for ${which} already`);
    }
    this.#handlers.set(kind, handler);
    return this;
  }

  /**
   * Serve until SIGTERM or SIGINT; the main program of a worker process.
   *
   * The first signal lets it finish and report what it holds, at most for `graceSeconds`; the second
   * makes it give up at once.  What was given up is reported as failed and will be tried again.
   * Rejects as {@link serve} does.
   */
  async run({ graceSeconds }: StopOptions = {}): Promise<void> {
    const onSignal = (): void => {
      if (this.#session?.stopping === true) this.#session.giveUp();
      else this.#session?.requestStop(graceSeconds);
    };
    const signals = ["SIGTERM", "SIGINT"] as const;
    for (const signal of signals) process.on(signal, onSignal);
    try {
      await this.serve();
    } finally {
      for (const signal of signals) process.off(signal, onSignal);
    }
  }

  /**
   * Serve until {@link stop}.
   *
   * Outages of the service are waited out.  Rejects with `UwfqError` when waiting would not help: no
   * such pool, not permitted, not UWFQ.
   */
  async serve(): Promise<void> {
    if (this.#serving !== undefined) throw new Error("this worker is serving already");
    if (this.#handlers.size === 0)
      throw new Error("a worker needs a handler: worker.handle(kind, …)");
    this.#session = new Session(this.#options, this.#handlers);
    if (this.#stopped) this.#session.requestStop();
    this.#stopped = false;
    this.#serving = this.#session.serve();
    try {
      await this.#serving;
    } finally {
      this.#serving = undefined;
    }
  }

  /**
   * Stop; resolves when what it held is finished and reported.  A second call may shorten the grace
   * of the first.  Before the first {@link serve}, it makes that resolve at once.
   *
   * Not to be awaited by handlers: they would wait for themselves.
   */
  async stop({ graceSeconds }: StopOptions = {}): Promise<void> {
    this.#stopped = this.#session === undefined;
    if (this.#serving === undefined) return;
    this.#session?.requestStop(graceSeconds);
    // What has failed is for whoever awaits `serve`.
    await this.#serving.catch(() => undefined);
  }

  /** Whether it serves and has been asked to stop. */
  get stopping(): boolean {
    return this.#serving !== undefined && this.#session?.stopping === true;
  }

  /** What it is doing, and has done since it last began to serve. */
  get stats(): WorkerStats {
    const { ledger, launcher, polls } = this.#session ?? {};
    return {
      running: ledger?.running ?? 0,
      queued: ledger?.queued ?? 0,
      succeeded: launcher?.succeeded ?? 0,
      failed: launcher?.failed ?? 0,
      polls: polls ?? 0,
    };
  }
}

/** Here, where the caller sees it: a batch of 0, or a wait of NaN, would leave the worker idle. */
function checkWhole(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least || value >= 2 ** 32) {
    throw new RangeError(`${name} is ${value}, and must be a whole number, at least ${least}`);
  }
}

function checkDuration(name: string, seconds: number): void {
  if (!(seconds >= 0)) throw new RangeError(`${name} is ${seconds}, and must be at least 0`);
}

/** One process, one id, new at each start; the service takes 128 bytes. */
function newWorkerId(): string {
  return `${hostname().slice(0, 64)}-${process.pid}-${randomBytes(4).toString("hex")}`;
}
