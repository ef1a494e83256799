/**
 * A clock that tests move by hand.
 *
 * @module
 */

import { type Clock, type SleepOptions, sleepWith, type Timer } from "../../lib/core/clock.ts";

interface Entry {
  at: number;
  readonly order: number;
  readonly every?: number;
  readonly callback: () => void;
}

/** Lets every microtask and ready I/O event that is due run. */
export async function settle(turns = 10): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** A {@linkcode Clock} whose time stands still until {@linkcode advance} moves it. */
export class FakeClock implements Clock {
  #now: number;
  readonly #origin: number;
  #order = 0;
  readonly #entries = new Set<Entry>();

  constructor(now: number = Date.UTC(2025, 0, 1)) {
    this.#now = now;
    this.#origin = now;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now - this.#origin;
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#entries.size;
  }

  /** Milliseconds until the next timer fires; undefined without one. */
  get nextIn(): number | undefined {
    const next = this.#next();
    return next && next.at - this.#now;
  }

  after(ms: number, callback: () => void): Timer {
    return this.#add({ at: this.#now + Math.max(0, ms), order: this.#order++, callback });
  }

  every(ms: number, callback: () => void): Timer {
    return this.#add({ at: this.#now + ms, order: this.#order++, every: ms, callback });
  }

  sleep(ms: number, options?: SleepOptions): Promise<void> {
    return sleepWith(this, ms, options);
  }

  /** Moves time forward, firing timers in order and letting what they wake run in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const next = this.#next();
      if (!next || next.at > end) break;
      this.#now = Math.max(this.#now, next.at);
      if (next.every === undefined) this.#entries.delete(next);
      else next.at += next.every;
      next.callback();
      await settle();
    }
    this.#now = end;
    await settle();
  }

  #add(entry: Entry): Timer {
    this.#entries.add(entry);
    const cancel = () => void this.#entries.delete(entry);
    return { cancel, [Symbol.dispose]: cancel };
  }

  #next(): Entry | undefined {
    let best: Entry | undefined;
    for (const entry of this.#entries) {
      if (!best || entry.at < best.at || (entry.at === best.at && entry.order < best.order)) {
        best = entry;
      }
    }
    return best;
  }
}
