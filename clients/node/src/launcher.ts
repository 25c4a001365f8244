/** Starts attempts in the slots of a worker, and brings their outcomes home. */
import { run, Stopped, type Handler } from "./execution.js";
import { failure, type Attempt, type Ledger, type Outcome } from "./ledger.js";
import type { Logger } from "./logger.js";
import { after, now } from "./waiting.js";

/** Handlers by kind; `undefined`: for the kinds that have none. */
export type Handlers = ReadonlyMap<string | undefined, Handler>;

/** Runs what the ledger lets start; calls `onChange` once after every batch of endings. */
export class Launcher {
  succeeded = 0;
  failed = 0;
  readonly #ledger: Ledger;
  readonly #handlers: Handlers;
  readonly #logger: Logger;
  readonly #onChange: () => void;
  /** Whether the next turn of the event loop will launch what fits the slots that are free by then. */
  #scheduled = false;

  constructor(ledger: Ledger, handlers: Handlers, logger: Logger, onChange: () => void) {
    this.#ledger = ledger;
    this.#handlers = handlers;
    this.#logger = logger;
    this.#onChange = onChange;
  }

  /** Start what fits. */
  launch(): void {
    let attempt: Attempt | undefined;
    while ((attempt = this.#ledger.start(now())) !== undefined) void this.#run(attempt);
  }

  async #run(attempt: Attempt): Promise<void> {
    const { kind, timeLimitSeconds } = attempt.task;
    const handler = this.#handlers.get(kind) ?? this.#handlers.get(undefined);
    if (handler === undefined) {
      // Another worker of the pool may have a handler: this one may be older, or newer.
      this.#ended(attempt, failure(`no handler for kind ${JSON.stringify(kind)}`, true, 0));
      return;
    }
    const limit = after(timeLimitSeconds, () => {
      attempt.stop.abort(new Stopped(`it ran longer than its limit of ${timeLimitSeconds} s`));
    });
    // Also when the handler never returns, and the process is to end.
    attempt.stop.signal.addEventListener("abort", () => {
      clearTimeout(limit);
    });
    const { outcome, stack } = await run(handler, attempt);
    clearTimeout(limit);
    this.#ended(attempt, outcome, stack);
  }

  #ended(attempt: Attempt, outcome: Outcome, stack?: string): void {
    if (!this.#ledger.finish(attempt, outcome)) return;
    if (outcome.case === "success") {
      this.succeeded += 1;
    } else {
      this.failed += 1;
      const { jobId, stage, taskIndex, attempt: number } = attempt.task;
      const where = `job ${jobId} stage ${stage} task ${taskIndex} attempt ${number}`;
      this.#logger.warn(`${where} failed: ${stack ?? outcome.value.message}`);
    }
    this.#settle();
  }

  /**
   * See to what the endings of this turn of the event loop have changed, in the next one.
   *
   * Thus handlers that end at once keep the loop neither from its timers nor from the network.
   */
  #settle(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.launch();
      this.#onChange();
    });
  }

  /**
   * End everything: what runs as failed (retryable), whether or not its handler stops; what has not
   * begun is left to the service.
   */
  giveUp(reason: Stopped): void {
    this.#ledger.abandonQueue();
    for (const attempt of this.#ledger.held()) {
      attempt.stop.abort(reason);
      this.#ended(attempt, failure(reason.message, true, now() - attempt.startedAt));
    }
    this.#onChange();
  }
}
