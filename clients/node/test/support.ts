/** What tests of several files need. */
import { once } from "node:events";

import type { Logger, WorkerOptions } from "../src/index.js";

/** A worker's options for tests: quiet, and quick to try again. */
export const EAGER = {
  backoff: { initialSeconds: 0.001, maxSeconds: 0.01 },
  channelOptions: { "grpc.initial_reconnect_backoff_ms": 10 },
  logger: { info: () => undefined, warn: () => undefined },
} satisfies WorkerOptions;

/** Opens once; everybody who waits for it goes on. */
export class Gate {
  readonly #controller = new AbortController();

  open(): void {
    this.#controller.abort();
  }

  async passed(): Promise<void> {
    const { signal } = this.#controller;
    if (!signal.aborted) await once(signal, "abort");
  }
}

/** Keeps what was logged. */
export class Log implements Logger {
  readonly lines: string[] = [];
  info = (message: string): void => void this.lines.push(message);
  warn = (message: string): void => void this.lines.push(message);
}

/** Returns when the signal is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}

/** Numbers from 0 to 1 that a seed repeats (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
