/** Running a handler once, and what came of it. */
import { inspect } from "node:util";

import { create } from "@bufbuild/protobuf";

import { PermanentFailure } from "./errors.js";
import { TaskSuccessSchema, type TaskLease } from "./gen/uwfq/v1/types_pb.js";
import { failure, type Attempt, type Outcome } from "./ledger.js";
import { now } from "./waiting.js";

/** What a handler has measured; the service's estimates learn from it. */
export interface Measurement {
  /** Bytes read, where known. */
  readonly inputBytes?: number | bigint | undefined;
  /** Rows read or produced, where known. */
  readonly rows?: number | bigint | undefined;
}

/** What a handler gets beside its task. */
export interface TaskContext {
  /**
   * Aborted when the attempt is to stop: its job was cancelled or has failed, its lease has expired,
   * it has run longer than its limit, or the worker gives up.  The slot stays taken until the handler
   * has returned or thrown.
   */
  readonly signal: AbortSignal;
}

/**
 * Runs one attempt of one task.
 *
 * What it throws is a failure, and another attempt is made, here or elsewhere, up to the stage's
 * number of attempts; a `PermanentFailure` fails the job at once.  A task may run twice (its worker
 * may have been cut off while it ran), so handlers should be safe to repeat.
 */
export type Handler = (
  task: TaskLease,
  context: TaskContext,
  // A handler that measures nothing may end without a return.
  // eslint-disable-next-line @typescript-eslint/no-invalid-void-type
) => Promise<Measurement | void> | Measurement | void;

/** How one run of a handler ended. */
export interface Ending {
  readonly outcome: Outcome;
  /** Where the handler has thrown an error that it did not mean to, for the worker's log. */
  readonly stack?: string | undefined;
}

/** Run an attempt to its end.  Never rejects: whatever the handler throws is its outcome. */
export async function run(handler: Handler, attempt: Attempt): Promise<Ending> {
  const { signal } = attempt.stop;
  const began = now();
  try {
    const measured: unknown = await handler(attempt.task, { signal });
    return { outcome: success(measured, now() - began) };
  } catch (thrown) {
    const runtimeSeconds = now() - began;
    if (isPermanent(thrown)) return { outcome: failure(textOf(thrown), false, runtimeSeconds) };
    // A handler that was told to stop has failed for that reason, however it put it.
    if (signal.aborted) return { outcome: failure(textOf(signal.reason), true, runtimeSeconds) };
    return { outcome: failure(textOf(thrown), true, runtimeSeconds), stack: stackOf(thrown) };
  }
}

function success(measured: unknown, runtimeSeconds: number): Outcome {
  if (measured !== undefined && !isMeasurement(measured)) {
    throw new PermanentFailure(`the handler returned ${kindOf(measured)}, not a measurement`);
  }
  const { inputBytes, rows } = (measured ?? {}) as Record<string, unknown>;
  const value = create(TaskSuccessSchema, {
    runtimeSeconds,
    ...(inputBytes !== undefined && { inputBytes: uint64("inputBytes", inputBytes) }),
    ...(rows !== undefined && { rows: uint64("rows", rows) }),
  });
  return { case: "success", value };
}

/** Whether it may be one.  What goes through items is none: a generator, say, has yet to begin. */
function isMeasurement(value: unknown): value is object {
  return (
    typeof value === "object" &&
    value !== null &&
    !(Symbol.iterator in value) &&
    !(Symbol.asyncIterator in value)
  );
}

/** "null", "number", "Array", "Generator". */
function kindOf(value: unknown): string {
  if (value === null || typeof value !== "object") return value === null ? "null" : typeof value;
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

/** The most that the protocol carries. */
const MAX_UINT64 = 2n ** 64n - 1n;

function uint64(name: string, value: unknown): bigint {
  const whole = typeof value === "bigint" || Number.isSafeInteger(value);
  if (!whole || (value as number | bigint) < 0) {
    throw new PermanentFailure(`the handler returned ${name} ${String(value)}, not a whole number`);
  }
  const count = BigInt(value as number | bigint);
  if (count > MAX_UINT64) {
    throw new PermanentFailure(
      `the handler returned ${name} ${String(value)}, more than 64 bits hold`,
    );
  }
  return count;
}

/** What the service keeps of a failure's message, bytes. */
const MESSAGE_BYTES = 4096;

/** What was thrown, in words, as long as the service keeps them. */
function textOf(thrown: unknown): string {
  return sound("the handler threw what has no text", () => {
    const bytes = new Uint8Array(MESSAGE_BYTES);
    // Cuts between characters, and leaves no half of a surrogate pair, which protobuf would refuse.
    const { written } = new TextEncoder().encodeInto(words(thrown), bytes);
    return new TextDecoder().decode(bytes.subarray(0, written));
  });
}

/** Of our own errors the message says it; of others the type says half of it. */
function words(thrown: unknown): string {
  if (thrown instanceof PermanentFailure || thrown instanceof Stopped) return thrown.message;
  if (thrown instanceof Error) return `${thrown.name}: ${thrown.message}`;
  return typeof thrown === "string" ? thrown : inspect(thrown);
}

function isPermanent(thrown: unknown): boolean {
  return sound(false, () => thrown instanceof PermanentFailure);
}

function stackOf(thrown: unknown): string | undefined {
  return sound(undefined, () => {
    const stack: unknown = thrown instanceof Error ? thrown.stack : undefined;
    return typeof stack === "string" ? stack : undefined;
  });
}

/**
 * What a look at something thrown gives; `otherwise`, when that throws in turn.
 *
 * It is the handler's own and may do anything: its getters may throw, its message be no text.
 */
function sound<Value>(otherwise: Value, look: () => Value): Value {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

/** Why an attempt is to stop: the reason that its handler finds in its signal. */
export class Stopped extends Error {
  override readonly name = "AbortError";
}
