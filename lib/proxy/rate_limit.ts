/**
 * What keeps the log readable when the same thing happens again and again, in bounded memory.
 *
 * @module
 */

import type { Clock } from "../core/mod.ts";

/** Tells the first occurrence of a key from the others, as long as it remembers it. */
export class OncePerKey {
  readonly #seen = new Set<string>();

  /** @param limit keys remembered; the oldest is forgotten for a new one */
  constructor(readonly limit: number) {}

  /** True for the first call with this key. */
  first(key: string): boolean {
    if (this.#seen.has(key)) return false;
    if (this.#seen.size >= this.limit) this.#seen.delete(this.#seen.values().next().value!);
    this.#seen.add(key);
    return true;
  }
}

/** Options of {@linkcode RateLimit}. */
export interface RateLimitOptions {
  readonly clock: Clock;
  /** Milliseconds for which a key stays quiet after it was let through. */
  readonly interval: number;
  /** Keys remembered; the oldest is forgotten for a new one. */
  readonly limit: number;
}

/** Lets each key through once per interval and counts what it held back. */
export class RateLimit {
  readonly #options: RateLimitOptions;
  readonly #entries = new Map<string, { since: number; held: number }>();

  constructor(options: RateLimitOptions) {
    this.#options = options;
  }

  /**
   * Asks for one occurrence of `key`.
   * @returns occurrences held back since the last one let through, or undefined for: not now
   */
  pass(key: string): number | undefined {
    const { clock, interval, limit } = this.#options;
    const now = clock.monotonic();
    const entry = this.#entries.get(key);
    if (entry && now - entry.since < interval) {
      entry.held++;
      return undefined;
    }
    // Entered anew, so that the map is in the order of time.
    this.#entries.delete(key);
    if (this.#entries.size >= limit) this.#entries.delete(this.#entries.keys().next().value!);
    this.#entries.set(key, { since: now, held: 0 });
    return entry?.held ?? 0;
  }
}
