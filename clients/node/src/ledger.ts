/**
 * What a worker holds and what it owes: its leases, from grant to acknowledged report.
 *
 * Picture one line of attempts moving through three rooms:
 *
 *     grant → queued → start → running → finish → ended → acknowledged → forgotten
 *
 * An attempt occupies slots in the first two rooms and owes a result in the third.  Each lease that
 * was granted is answered once, whatever happened: run, failed, revoked while it waited.  (Only a
 * worker that gives up leaves what has not begun to the service.)  A result leaves when the service
 * has acknowledged it, so a lost reply or a restart of the service loses nothing; reporting twice is
 * harmless, as the service counts each result once.
 *
 * Pure bookkeeping: no I/O, no clock (`now` in seconds, any steady origin).
 */
import { create } from "@bufbuild/protobuf";

import {
  TaskFailureSchema,
  TaskResultSchema,
  type TaskLease,
  type TaskResult,
  type TaskResultAck,
} from "./gen/uwfq/v1/types_pb.js";

/** How an attempt ended. */
export type Outcome = Exclude<TaskResult["outcome"], { case: undefined }>;

/** Most results, starts or leases in one message, and most characters of texts: below the limits. */
const MOST_RESULTS = 5000;
const MOST_TEXT = 1 << 20;

/**
 * An attempt that started so many seconds after its grant tells the service when it did: its time in
 * the queue is not to be charged.
 */
const QUEUED_LONG_SECONDS = 0.005;

/** One lease and what became of it. */
export interface Attempt {
  /** The handler's, which may write into it; the next three are what the service has said. */
  readonly task: TaskLease;
  readonly leaseId: bigint;
  readonly number: number;
  readonly slots: number;
  readonly grantedAt: number;
  /** Seconds between renewals: a third of the lease, so that two may get lost. */
  renewEvery: number;
  /** When the next one is due; infinite for a lease that is void. */
  renewAt: number;
  room: "queued" | "running" | "ended";
  startedAt: number;
  /** Whether the service knows that it has started. */
  announced: boolean;
  /** Asks its handler to stop; the reason of the abort says why. */
  readonly stop: AbortController;
}

/** The attempts of one worker.  `slots` run at once, `prefetch` more may queue. */
export class Ledger {
  readonly slots: number;
  readonly prefetch: number;
  /** Slots of the attempts that run, and of those that run or queue. */
  #runningSlots = 0;
  #heldSlots = 0;
  /** By lease, until acknowledged, in the order of their grants. */
  readonly #attempts = new Map<bigint, Attempt>();
  /** A subset: those that wait for a slot. */
  readonly #queue = new Set<Attempt>();
  /** Results that no message under way carries. */
  #unsent: TaskResult[] = [];

  constructor(slots: number, prefetch: number) {
    this.slots = slots;
    this.prefetch = prefetch;
  }

  // --------------------------------------------------------------------------------- at a glance

  /** Slots in which nothing runs. */
  get freeSlots(): number {
    return Math.max(this.slots - this.#runningSlots, 0);
  }

  /** Attempts that run.  Linear in the attempts that are held. */
  get running(): number {
    return this.held().length - this.queued;
  }

  /** Attempts that wait for a slot. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Whether there are results that no message under way carries. */
  get owes(): boolean {
    return this.#unsent.length > 0;
  }

  /** Whether anything runs or queues. */
  get busy(): boolean {
    return this.#heldSlots > 0;
  }

  /**
   * Whether to ask for more leases: a slot is free, or half of the queue is used up.
   *
   * Half, so that a poll brings a batch and the rest of the queue bridges its round trip.
   */
  get wantsWork(): boolean {
    return this.slots + this.prefetch - this.#heldSlots > Math.floor(this.prefetch / 2);
  }

  // ---------------------------------------------------------------------------- through the rooms

  /** Queue new leases, in the service's order.  When the first of them wants a renewal. */
  grant(leases: Iterable<TaskLease>, now: number): number {
    let earliest = Infinity;
    for (const lease of leases) {
      if (this.#attempts.has(lease.leaseId)) continue; // Told twice: a poll was repeated.
      const renewEvery = lease.expiresInSeconds / 3;
      const attempt: Attempt = {
        task: lease,
        leaseId: lease.leaseId,
        number: lease.attempt,
        slots: lease.slots,
        grantedAt: now,
        renewEvery,
        renewAt: now + renewEvery,
        room: "queued",
        startedAt: 0,
        announced: false,
        stop: new AbortController(),
      };
      this.#attempts.set(lease.leaseId, attempt);
      this.#queue.add(attempt);
      this.#heldSlots += lease.slots;
      earliest = Math.min(earliest, attempt.renewAt);
    }
    return earliest;
  }

  /**
   * The next attempt that fits the free slots, as running; `undefined`: none does.
   *
   * Strictly in order: a large task that waits for slots must not be overtaken for ever.
   */
  start(now: number): Attempt | undefined {
    const [attempt] = this.#queue;
    if (attempt === undefined) return undefined;
    // A task that is larger than the whole worker would wait for ever; let it run alone.
    const fits = this.#runningSlots + attempt.slots <= this.slots;
    if (this.#runningSlots > 0 && !fits) return undefined;
    this.#queue.delete(attempt);
    attempt.room = "running";
    attempt.startedAt = now;
    attempt.announced = now - attempt.grantedAt < QUEUED_LONG_SECONDS;
    this.#runningSlots += attempt.slots;
    return attempt;
  }

  /**
   * Free the attempt's slots; from now on its result is owed.
   *
   * False when it had ended before: an attempt that was given up may still come to its end.
   */
  finish(attempt: Attempt, outcome: Outcome): boolean {
    if (attempt.room === "ended") return false;
    this.#leaveRoom(attempt);
    const { leaseId, number } = attempt;
    this.#unsent.push(create(TaskResultSchema, { leaseId, attempt: number, outcome }));
    return true;
  }

  /**
   * The service wants these no more.  Asks the running ones to stop.
   *
   * What still queued is answered at once; what has ended is reported all the same.
   */
  revoke(leaseIds: Iterable<bigint>, reason: Error): void {
    for (const leaseId of leaseIds) {
      const attempt = this.#attempts.get(leaseId);
      if (attempt?.room === "running") attempt.stop.abort(reason);
      if (attempt?.room === "queued") this.finish(attempt, failure(reason.message, true, 0));
    }
  }

  /** Everything that runs or queues, in the order of the grants. */
  held(): Attempt[] {
    return [...this.#attempts.values()].filter(({ room }) => room !== "ended");
  }

  /** Forget what has not begun, without an answer: the service will give it to others. */
  abandonQueue(): void {
    for (const attempt of this.#queue) {
      this.#leaveRoom(attempt);
      this.#attempts.delete(attempt.leaseId);
    }
  }

  #leaveRoom(attempt: Attempt): void {
    if (attempt.room === "running") this.#runningSlots -= attempt.slots;
    this.#queue.delete(attempt);
    this.#heldSlots -= attempt.slots;
    attempt.room = "ended";
  }

  // -------------------------------------------------------------------------------------- reports

  /** Results for one message.  Follow with {@link acknowledged} or {@link putBack}. */
  takeResults(): TaskResult[] {
    let count = 0;
    for (let text = 0; count < MOST_RESULTS && text < MOST_TEXT; count += 1) {
      const result = this.#unsent[count];
      if (result === undefined) break;
      if (result.outcome.case === "failure") text += result.outcome.value.message.length;
    }
    return this.#unsent.splice(0, count);
  }

  /** The message was lost, or nobody knows: its results are owed again. */
  putBack(results: readonly TaskResult[]): void {
    this.#unsent = [...results, ...this.#unsent];
  }

  /** The service has taken these in, whatever it thinks of them; the rest is owed again. */
  acknowledged(results: readonly TaskResult[], acks: readonly TaskResultAck[]): void {
    const known = new Set(acks.map(({ leaseId }) => leaseId));
    for (const result of results) {
      if (known.has(result.leaseId)) this.#attempts.delete(result.leaseId);
      else this.#unsent.push(result);
    }
  }

  // --------------------------------------------------------------------------- starts and renewals

  /** Attempts that run, but did not start when they were granted.  As many as fit a message. */
  unannounced(): Attempt[] {
    const unannounced: Attempt[] = [];
    for (const attempt of this.#attempts.values()) {
      if (unannounced.length === MOST_RESULTS) break;
      if (attempt.room === "running" && !attempt.announced) unannounced.push(attempt);
    }
    return unannounced;
  }

  /** When the first lease wants more time; infinite: none does. */
  nextRenewal(): number {
    let earliest = Infinity;
    for (const { renewAt } of this.#attempts.values()) earliest = Math.min(earliest, renewAt);
    return earliest;
  }

  /**
   * Leases to renew with the one that is due: those at least half-way to their own time.
   *
   * Leases of results that are not acknowledged yet are among them.  As many as fit a message.
   */
  dueForRenewal(now: number): bigint[] {
    const due: bigint[] = [];
    for (const [leaseId, { renewAt, renewEvery }] of this.#attempts) {
      if (due.length === MOST_RESULTS) break;
      if (renewAt - renewEvery / 2 <= now) due.push(leaseId);
    }
    return due;
  }

  /** The service has extended a lease. */
  renewed(leaseId: bigint, expiresInSeconds: number, now: number): void {
    const attempt = this.#attempts.get(leaseId);
    if (attempt === undefined) return;
    attempt.renewEvery = expiresInSeconds / 3;
    attempt.renewAt = now + attempt.renewEvery;
  }

  /** The service wants no more of this lease: there is nothing left to renew. */
  void(leaseId: bigint): void {
    const attempt = this.#attempts.get(leaseId);
    if (attempt !== undefined) attempt.renewAt = Infinity;
  }
}

/** An attempt that has failed; `retryable`: another one may succeed. */
export function failure(message: string, retryable: boolean, runtimeSeconds: number): Outcome {
  const value = create(TaskFailureSchema, { message: message, retryable, runtimeSeconds });
  return { case: "failure", value };
}
