/**
 * One worker's conversation with the service, from the first poll to the last.
 *
 * Three loops share one ledger:
 *
 *     poll      asks for leases when slots are free; results ride along.  A long poll.
 *     report    sends results that would otherwise wait for a poll (TaskDone).
 *     renew     extends leases at a third of their time, and learns which are void.
 *
 * After a stop the poll loop ends; the other two go on until what is held is finished.  A last poll
 * then says that the worker leaves.
 *
 * What keeps acknowledged work from being lost or done twice:
 *
 * - A poll carries an id that rises only when its answer has arrived.  A poll whose answer was lost
 *   (or that we called off) is repeated under the same id, and the service grants the same leases
 *   again.
 * - Results stay in the ledger until the service has acknowledged them.
 * - Trouble with the service (a restart, a full inbox) is waited out, with growing waits.  gRPC does
 *   not repeat these calls: a call that is made anew says what is true by then.
 */
import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

import { Backoff, type BackoffPolicy } from "./backoff.js";
import { Channel } from "./channel.js";
import type { ConnectionOptions } from "./connection.js";
import { isFatal, UwfqError } from "./errors.js";
import { Stopped } from "./execution.js";
import {
  LeaseStatus,
  SchedulerService,
  type NextTaskResponse,
} from "./gen/uwfq/v1/scheduler_service_pb.js";
import { TaskResultStatus, type TaskResult, type TaskResultAck } from "./gen/uwfq/v1/types_pb.js";
import { Launcher, type Handlers } from "./launcher.js";
import { Ledger, type Attempt } from "./ledger.js";
import type { Logger } from "./logger.js";
import { after, now, sleep, Wakeup } from "./waiting.js";

/** Time-out of a report or a renewal, and what a poll gets beyond its wait. */
const ANSWER_SECONDS = 15;
/**
 * How long a stopping worker tries to bring its last results to a service that does not answer;
 * about a lease, after which nobody waits for them.
 */
const LAST_REPORT_SECONDS = 30;
/** The same when it owes nothing, or is in a hurry. */
const LAST_POLL_SECONDS = 2;
/** A poll that brings nothing and is answered so soon was not parked; ask again less eagerly. */
const HASTY_SECONDS = 0.05;

const REVOKED = "its job was cancelled or has failed, or its time is up";
const EXPIRED = "its lease expired";
const GIVEN_UP = "the worker was stopped before the task ended";

/** What a worker was made with; see `WorkerOptions`. */
export interface SessionOptions {
  readonly target: string;
  readonly connection: ConnectionOptions;
  readonly pool: string;
  readonly workerId: string;
  readonly slots: number;
  readonly prefetch: number;
  readonly maxBatch: number | undefined;
  readonly pollSeconds: number;
  readonly reportDelaySeconds: number;
  readonly backoff: BackoffPolicy;
  readonly logger: Logger;
}

/** Serves from `serve()` to its last poll; used once. */
export class Session {
  /** Polls sent. */
  polls = 0;
  readonly ledger: Ledger;
  readonly launcher: Launcher;
  readonly #options: SessionOptions;
  readonly #channel: Channel;

  /** Aborted: by the stop; when the worker gives up what it holds; when nothing is held any more. */
  readonly #stopped = new AbortController();
  readonly #givenUp = new AbortController();
  readonly #drained = new AbortController();
  /** For the poll loop: look whether a poll is wanted.  For the report loop: results are owed. */
  readonly #wanted = new Wakeup();
  readonly #owed = new Wakeup();
  /** For the renew loop: a lease wants to be renewed before it plans to.  For the drain: look again. */
  readonly #renewSooner = new Wakeup();
  readonly #ended = new Wakeup();

  /** The id of the next poll, and whether one was sent under it: it may have been granted leases. */
  #pollId = 1n;
  #pollOpen = false;
  /** Calls the poll under way off, for one that speaks of more free slots than this. */
  #callOff = new AbortController();
  #polledFree = 0;
  #renewalPlanned = Infinity;
  /** Whether the last that we heard of the service was trouble. */
  #inTrouble = false;
  readonly #graceTimers: (NodeJS.Timeout | undefined)[] = [];
  /** What no waiting would mend. */
  #failed: { readonly error: unknown } | undefined;

  constructor(options: SessionOptions, handlers: Handlers) {
    this.#options = options;
    this.#channel = new Channel(options.target, options.connection, { patient: false });
    this.ledger = new Ledger(options.slots, options.prefetch);
    this.launcher = new Launcher(this.ledger, handlers, options.logger, () => {
      this.#changed();
    });
  }

  /** Work until a stop, then finish what is held.  Rejects with what no waiting would mend. */
  async serve(): Promise<void> {
    try {
      const polling = this.#guard(this.#pollLoop());
      const keeping = [this.#guard(this.#reportLoop()), this.#guard(this.#renewLoop())];
      await polling;
      await this.#guard(this.#drain());
      this.#drained.abort();
      await Promise.all(keeping);
      await this.#leave();
    } finally {
      this.#graceTimers.forEach(clearTimeout);
      this.#channel.close();
    }
    if (this.#failed !== undefined) throw this.#failed.error;
  }

  /** Whether it has been asked to stop. */
  get stopping(): boolean {
    return this.#stopped.signal.aborted;
  }

  /**
   * Ask for no more work; finish what is held within the grace, and report it.
   *
   * Of several graces the one counts that ends first.
   */
  requestStop(graceSeconds = Infinity): void {
    this.#stopped.abort();
    this.#callOff.abort();
    const timer = after(graceSeconds, () => {
      this.giveUp();
    });
    this.#graceTimers.push(timer);
  }

  /** Stop, and report what runs as failed (retryable) instead of finishing it. */
  giveUp(): void {
    this.#givenUp.abort();
    this.requestStop();
    this.launcher.giveUp(new Stopped(GIVEN_UP));
  }

  /** A loop that fails, be it by a defect of ours, ends the session. */
  async #guard(loop: Promise<void>): Promise<void> {
    try {
      await loop;
    } catch (error) {
      this.#failed ??= { error };
      this.requestStop();
    }
  }

  /** Attempts have ended: poll for more, or see that their results are not kept for long. */
  #changed(): void {
    this.#ended.set();
    if (this.ledger.wantsWork) this.#wanted.set();
    if (this.ledger.owes) this.#owed.set();
  }

  // ----------------------------------------------------------------------------------------- poll

  async #pollLoop(): Promise<void> {
    const { signal } = this.#stopped;
    const backoff = new Backoff(this.#options.backoff);
    while (!signal.aborted) {
      if (!this.ledger.wantsWork) {
        await this.#wanted.wait(signal);
        continue;
      }
      const sentAt = now();
      try {
        const fruitful = await this.#poll(this.#options.pollSeconds);
        if (fruitful || now() - sentAt > HASTY_SECONDS) backoff.reset();
        else await sleep(backoff.nextSeconds(), signal);
      } catch (error) {
        await sleep(this.#endure(error, backoff), signal);
      }
    }
  }

  /**
   * Ask once; whether the answer brought anything.
   *
   * The results that ride along are owed again unless they are acknowledged.
   */
  async #poll(
    waitSeconds: number,
    maxTasks = this.#options.maxBatch,
    answerSeconds = ANSWER_SECONDS,
  ): Promise<boolean> {
    const { pool, workerId, slots, prefetch } = this.#options;
    const { freeSlots } = this.ledger;
    const results = this.ledger.takeResults();
    const started = this.ledger.unannounced();
    const callOff = new AbortController();
    this.#callOff = callOff;
    this.#polledFree = freeSlots;
    this.#pollOpen = true;
    this.polls += 1;
    try {
      const response = await this.#ask(
        SchedulerService.method.nextTask,
        {
          pool,
          workerId,
          slots,
          freeSlots,
          prefetch,
          maxTasks,
          waitSeconds,
          pollId: this.#pollId,
          done: results,
          started: starts(started),
        },
        waitSeconds + answerSeconds,
        callOff.signal,
      );
      this.#pollId += 1n;
      this.#pollOpen = false;
      this.#takeIn(response, results, started);
      const { leases, revokedLeaseIds } = response;
      return leases.length + revokedLeaseIds.length + results.length > 0;
    } catch (error) {
      this.#putBack(results);
      if (callOff.signal.aborted) return true;
      throw error;
    }
  }

  #takeIn(
    { leases, doneAcks, revokedLeaseIds }: NextTaskResponse,
    results: readonly TaskResult[],
    started: readonly Attempt[],
  ): void {
    this.#acknowledged(results, doneAcks);
    for (const attempt of started) attempt.announced = true;
    this.#revoke(revokedLeaseIds, REVOKED);
    if (this.ledger.grant(leases, now()) < this.#renewalPlanned) this.#renewSooner.set();
    if (this.#givenUp.signal.aborted) this.ledger.abandonQueue();
    this.launcher.launch();
  }

  // --------------------------------------------------------------------------------------- report

  async #reportLoop(): Promise<void> {
    const { signal } = this.#drained;
    while (!signal.aborted) {
      await this.#owed.wait(signal);
      // A poll that leaves in the meantime takes the results along.
      await sleep(this.#options.reportDelaySeconds, signal);
      await this.#reportAll(signal);
      // If the report has overtaken a poll, that is parked, and speaks of fewer free slots than there
      // are by now: maybe too few for the task that comes next.
      if (this.ledger.freeSlots > this.#polledFree) this.#callOff.abort();
    }
  }

  async #reportAll(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(this.#options.backoff);
    while (this.ledger.owes && !signal.aborted) {
      try {
        await this.#report(ANSWER_SECONDS, this.#givenUp.signal);
        backoff.reset();
      } catch (error) {
        if (this.#givenUp.signal.aborted) return;
        await sleep(this.#endure(error, backoff), signal);
      }
    }
  }

  /** Send what is owed, once. */
  async #report(timeoutSeconds: number, signal?: AbortSignal): Promise<void> {
    const { workerId } = this.#options;
    const results = this.ledger.takeResults();
    try {
      const { taskDone } = SchedulerService.method;
      const { acks } = await this.#ask(taskDone, { workerId, results }, timeoutSeconds, signal);
      this.#acknowledged(results, acks);
    } catch (error) {
      this.#putBack(results);
      throw error;
    }
  }

  #acknowledged(results: readonly TaskResult[], acks: readonly TaskResultAck[]): void {
    this.ledger.acknowledged(results, acks);
    const { STALE, UNKNOWN } = TaskResultStatus;
    const late = acks.filter(({ status }) => status === STALE || status === UNKNOWN).length;
    if (late > 0) {
      const why = "they came too late, or were known already";
      this.#options.logger.info(`${late} results do not count: ${why}`);
    }
    if (this.ledger.owes) this.#owed.set();
  }

  #putBack(results: readonly TaskResult[]): void {
    this.ledger.putBack(results);
    if (results.length > 0) this.#owed.set();
  }

  // ---------------------------------------------------------------------------------------- renew

  async #renewLoop(): Promise<void> {
    const { signal } = this.#drained;
    const backoff = new Backoff(this.#options.backoff);
    while (!signal.aborted) {
      this.#renewalPlanned = this.ledger.nextRenewal();
      const sooner = await this.#renewSooner.wait(signal, this.#renewalPlanned - now());
      if (sooner || now() < this.#renewalPlanned) continue;
      try {
        await this.#renew();
        backoff.reset();
      } catch (error) {
        if (this.#givenUp.signal.aborted) return;
        // Polls and reports will find out whether it is fatal.
        await sleep(this.#waitFor(error, backoff), signal);
      }
    }
  }

  async #renew(): Promise<void> {
    const started = this.ledger.unannounced();
    const leaseIds = this.ledger.dueForRenewal(now());
    if (leaseIds.length === 0) return; // They have ended meanwhile; an empty list would mean all.
    const { renewals } = await this.#ask(
      SchedulerService.method.renewLeases,
      { workerId: this.#options.workerId, leaseIds, started: starts(started) },
      ANSWER_SECONDS,
      this.#givenUp.signal,
    );
    for (const attempt of started) attempt.announced = true;
    for (const { leaseId, status, expiresInSeconds } of renewals) {
      if (status === LeaseStatus.RENEWED) {
        this.ledger.renewed(leaseId, expiresInSeconds, now());
      } else {
        this.ledger.void(leaseId);
        this.#revoke([leaseId], status === LeaseStatus.REVOKED ? REVOKED : EXPIRED);
      }
    }
  }

  #revoke(leaseIds: readonly bigint[], reason: string): void {
    if (leaseIds.length === 0) return;
    this.ledger.revoke(leaseIds, new Stopped(reason));
    this.#changed();
  }

  // ---------------------------------------------------------------------------------------- leave

  /** Let what is held come to its end. */
  async #drain(): Promise<void> {
    await this.#fetchGranted();
    while (this.ledger.busy) await this.#ended.wait();
  }

  /** Repeat a poll whose answer is still to come, for nothing but what it may have been granted. */
  async #fetchGranted(): Promise<void> {
    const backoff = new Backoff(this.#options.backoff);
    const began = now();
    while (this.#pollOpen && !this.#givenUp.signal.aborted) {
      try {
        // With nothing at stake it does not wait for long.
        await this.#poll(0, 0, this.ledger.busy ? ANSWER_SECONDS : LAST_POLL_SECONDS);
      } catch (error) {
        const tired = !this.ledger.busy && now() - began >= LAST_POLL_SECONDS;
        if (isFatal(error) || tired) return;
        await sleep(this.#waitFor(error, backoff), this.#givenUp.signal);
      }
    }
  }

  /** Report what is owed still, and let the service forget this worker. */
  async #leave(): Promise<void> {
    if (this.polls === 0) return; // It does not know it.
    const silent = this.#pollOpen && !this.#givenUp.signal.aborted;
    if (silent && !this.ledger.owes) return; // The drain has tried long enough to reach it.
    const backoff = new Backoff(this.#options.backoff);
    const began = now();
    for (;;) {
      const hurried = !this.ledger.owes || this.#givenUp.signal.aborted;
      const patience = hurried ? LAST_POLL_SECONDS : LAST_REPORT_SECONDS;
      const remaining = began + patience - now();
      try {
        await this.#sayGoodbye(Math.min(Math.max(remaining, 0), ANSWER_SECONDS));
        if (!this.ledger.owes) return;
      } catch (error) {
        const wait = isFatal(error) ? Infinity : this.#waitFor(error, backoff);
        if (wait > remaining) {
          if (this.ledger.owes) {
            this.#options.logger.warn(
              `stopped with results that were not reported: ${String(error)}`,
            );
          }
          return;
        }
        await sleep(wait, this.#givenUp.signal);
      }
    }
  }

  /** The last poll, or, if there is more than fits it, a report that comes before it. */
  async #sayGoodbye(timeoutSeconds: number): Promise<void> {
    const results = this.ledger.takeResults();
    if (this.ledger.owes) {
      this.ledger.putBack(results);
      await this.#report(timeoutSeconds);
      return;
    }
    try {
      const { pool, workerId } = this.#options;
      const { doneAcks } = await this.#ask(
        SchedulerService.method.nextTask,
        { pool, workerId, done: results, leaving: true },
        timeoutSeconds,
      );
      this.#acknowledged(results, doneAcks);
    } catch (error) {
      this.ledger.putBack(results);
      throw error;
    }
  }

  // --------------------------------------------------------------------------------------- trouble

  async #ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    timeoutSeconds: number,
    signal?: AbortSignal,
  ): Promise<MessageShape<O>> {
    const response = await this.#channel.unary(method, request, { timeoutSeconds, signal });
    if (this.#inTrouble) {
      this.#options.logger.info("the service serves again");
      this.#inTrouble = false;
    }
    return response;
  }

  /** Seconds to wait before the next try; throws the error if none could succeed. */
  #endure(error: unknown, backoff: Backoff): number {
    if (isFatal(error)) throw error;
    return this.#waitFor(error, backoff);
  }

  /** Seconds to wait before the next try. */
  #waitFor(error: unknown, backoff: Backoff): number {
    if (!(error instanceof UwfqError)) throw error;
    if (!this.#inTrouble) {
      // Once per outage, however many tries it takes.
      this.#options.logger.warn(`the service does not serve, trying again: ${error.message}`);
      this.#inTrouble = true;
    }
    return backoff.nextSeconds(error.retryAfterSeconds);
  }
}

/** What tells the service since when attempts run. */
function starts(attempts: readonly Attempt[]): { leaseId: bigint; runningSeconds: number }[] {
  return attempts.map(({ leaseId, startedAt }) => ({
    leaseId,
    runningSeconds: now() - startedAt,
  }));
}
