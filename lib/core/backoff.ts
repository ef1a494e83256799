/**
 * Exponential back-off with jitter, as delays to wait and as a retry loop.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/** Shape of a back-off. */
export interface BackoffOptions {
  /** First delay in milliseconds. */
  readonly initial: number;
  /** Longest delay in milliseconds. */
  readonly max: number;
  /** Growth per step; default 2. */
  readonly factor?: number;
  /** Share of each delay that is random, 0 to 1; default 0.5. The delay never exceeds `max`. */
  readonly jitter?: number;
  /** Source of random numbers in [0, 1), for tests; default Math.random. */
  readonly random?: () => number;
}

/** A growing delay. */
export class Backoff {
  readonly #options: Required<BackoffOptions>;
  #attempt = 0;

  constructor(options: BackoffOptions) {
    this.#options = { factor: 2, jitter: 0.5, random: Math.random, ...options };
  }

  /** Delays handed out since the last reset. */
  get attempt(): number {
    return this.#attempt;
  }

  /** The next delay in milliseconds. */
  next(): number {
    const { initial, max, factor, jitter, random } = this.#options;
    const full = Math.min(max, initial * factor ** this.#attempt++);
    return full * (1 - jitter) + full * jitter * random();
  }

  /** Starts again from the first delay. */
  reset(): void {
    this.#attempt = 0;
  }
}

/** Options of {@linkcode retry}. */
export interface RetryOptions extends BackoffOptions {
  /** Where time comes from. */
  readonly clock: Pick<Clock, "monotonic" | "sleep">;
  /** Attempts in all; default without limit. */
  readonly attempts?: number;
  /** Time in milliseconds after which no new attempt starts; default without limit. */
  readonly budget?: number;
  /** Ends the loop with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** False for failures that a repetition cannot mend. */
  readonly retryable: (error: unknown) => boolean;
  /** Called before each wait, for the log. */
  readonly onRetry?: (error: unknown, delay: number, attempt: number) => void;
}

/**
 * Calls `work` until it succeeds, fails with an error that is not retryable, or the attempts or the
 * budget are used up; then the last failure is thrown.
 */
export async function retry<T>(
  options: RetryOptions,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  const { clock, attempts = Infinity, budget = Infinity, signal } = options;
  const backoff = new Backoff(options);
  const start = clock.monotonic();
  for (let attempt = 1;; attempt++) {
    signal?.throwIfAborted();
    try {
      return await work(attempt);
    } catch (error) {
      if (signal?.aborted || attempt >= attempts || !options.retryable(error)) throw error;
      const delay = backoff.next();
      if (clock.monotonic() - start + delay > budget) throw error;
      options.onRetry?.(error, delay, attempt);
      await clock.sleep(delay, { signal });
    }
  }
}
