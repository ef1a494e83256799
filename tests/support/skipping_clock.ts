/**
 * The real time, which a test can make jump ahead: what is due by then happens at once.
 *
 * For tests with real sockets, where a time-out of half a minute must not take half a minute.
 *
 * @module
 */

import { type Clock, type SleepOptions, sleepWith, type Timer } from "../../lib/core/clock.ts";

interface Entry {
  due: number;
  id?: ReturnType<typeof setTimeout>;
  readonly every?: number;
  readonly callback: () => void;
}

/** A {@linkcode Clock} that runs, and jumps when told to. */
export class SkippingClock implements Clock {
  #ahead = 0;
  readonly #entries = new Set<Entry>();

  now(): number {
    return Date.now() + this.#ahead;
  }

  monotonic(): number {
    return performance.now() + this.#ahead;
  }

  after(ms: number, callback: () => void): Timer {
    return this.#add({ due: this.monotonic() + ms, callback });
  }

  every(ms: number, callback: () => void): Timer {
    return this.#add({ due: this.monotonic() + ms, every: ms, callback });
  }

  sleep(ms: number, options?: SleepOptions): Promise<void> {
    return sleepWith(this, ms, options);
  }

  /** Jumps ahead. */
  skip(ms: number): void {
    this.#ahead += ms;
    for (const entry of this.#entries) this.#arm(entry);
  }

  #add(entry: Entry): Timer {
    this.#entries.add(entry);
    this.#arm(entry);
    const cancel = () => {
      clearTimeout(entry.id);
      this.#entries.delete(entry);
    };
    return { cancel, [Symbol.dispose]: cancel };
  }

  #arm(entry: Entry): void {
    clearTimeout(entry.id);
    entry.id = setTimeout(() => this.#fire(entry), Math.max(0, entry.due - this.monotonic()));
  }

  #fire(entry: Entry): void {
    if (entry.every === undefined) this.#entries.delete(entry);
    else {
      entry.due = this.monotonic() + entry.every;
      this.#arm(entry);
    }
    entry.callback();
  }
}
