/** Waiting for time to pass or for another part of the program; an abort ends it, without an error. */

/** Seconds since some fixed moment; never runs back. */
export function now(): number {
  return performance.now() / 1000;
}

/** Node's timers hold so many milliseconds (25 days); a longer one would fire at once. */
const LONGEST_TIMER_MILLIS = 2 ** 31 - 1;

/** Calls back after so many seconds, unless it is cleared; never, if that is 25 days or more. */
export function after(seconds: number | undefined, call: () => void): NodeJS.Timeout | undefined {
  const millis = (seconds ?? Infinity) * 1000;
  return millis > LONGEST_TIMER_MILLIS ? undefined : setTimeout(call, millis);
}

/** Returns when the time has passed or the signal is aborted. */
export async function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  await new Wakeup().wait(signal, seconds);
}

/**
 * Wakes one loop.  However often it is set while the loop is busy, it wakes it once.
 */
export class Wakeup {
  #set = false;
  #wake: (() => void) | undefined;

  /** Wake the loop, or keep it from its next wait. */
  set(): void {
    this.#set = true;
    this.#wake?.();
  }

  /** Wait until it is set (true), until the time has passed or the signal is aborted (false). */
  async wait(signal?: AbortSignal, seconds = Infinity): Promise<boolean> {
    if (!this.#set && signal?.aborted !== true && seconds > 0) {
      await new Promise<void>((resolve) => {
        const timer = after(seconds, wake);
        signal?.addEventListener("abort", wake);
        this.#wake = wake;

        function wake(): void {
          clearTimeout(timer);
          signal?.removeEventListener("abort", wake);
          resolve();
        }
      });
      this.#wake = undefined;
    }
    const set = this.#set;
    this.#set = false;
    return set;
  }
}
