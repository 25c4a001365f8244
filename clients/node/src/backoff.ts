/**
 * Waits between tries.
 *
 * They grow, and are spread at random so that a thousand clients don't come back as one.
 */

/** How fast to try again. */
export interface BackoffPolicy {
  /** The n-th wait lies between half of and all of `initialSeconds x 2^(n-1)`. */
  readonly initialSeconds: number;
  /** The longest wait, but for what the service asks for. */
  readonly maxSeconds: number;
}

/** The policy of those who choose none. */
export const DEFAULT_BACKOFF: BackoffPolicy = { initialSeconds: 0.1, maxSeconds: 5 };

/** The waits of one series of tries. */
export class Backoff {
  readonly #policy: BackoffPolicy;
  readonly #random: () => number;
  #tries = 0;

  constructor(policy: BackoffPolicy = DEFAULT_BACKOFF, random: () => number = Math.random) {
    this.#policy = policy;
    this.#random = random;
  }

  /** A try has succeeded: the next trouble starts with a short wait again. */
  reset(): void {
    this.#tries = 0;
  }

  /**
   * Seconds to wait before the next try.
   *
   * @param hintSeconds - When the service invites to come back: the same for everyone, so the spread
   *   goes on top of it.
   */
  nextSeconds(hintSeconds = 0): number {
    const { initialSeconds, maxSeconds } = this.#policy;
    const longest = Math.min(initialSeconds * 2 ** this.#tries, maxSeconds);
    this.#tries += 1;
    return hintSeconds + longest * (0.5 + 0.5 * this.#random());
  }
}
