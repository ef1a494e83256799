/**
 * One timer of the system behind many.
 *
 * @module
 */

import { Bag, type Place } from "./bag.ts";
import { type Clock, sleepWith, type Timer } from "./clock.ts";

/** By how much a timer of the system may fire before its time, in milliseconds. */
const EARLY_MS = 1;

interface Wait {
  /** On the clock's monotonic scale. */
  readonly due: number;
  readonly callback: () => void;
}

/**
 * Timers for thousands of short-lived things a second, nearly all of which are cancelled long before
 * they are due: to set and clear one of the system's for each costs more than reading its request.
 *
 * The system's timer is set for the first that is due. It stays when that one is cancelled while others
 * wait: it then fires for nothing, and is set again for the first of those that are left.
 */
export class SharedTimer implements Pick<Clock, "after"> {
  readonly #clock: Pick<Clock, "after" | "monotonic">;
  readonly #waiting = new Bag<Wait>();
  #set: { readonly due: number; readonly timer: Timer } | undefined;

  /** @param clock whose timer is shared */
  constructor(clock: Pick<Clock, "after" | "monotonic">) {
    this.#clock = clock;
  }

  /** Calls `callback` once after `ms` milliseconds. */
  after(ms: number, callback: () => void): Timer {
    const now = this.#clock.monotonic();
    const place = this.#waiting.add({ due: now + ms, callback });
    this.#setFor(place.item.due, now);
    const cancel = () => this.#cancel(place);
    return { cancel, [Symbol.dispose]: cancel };
  }

  #cancel(place: Place<Wait>): void {
    this.#waiting.remove(place);
    if (this.#waiting.size === 0) this.#unset();
  }

  #setFor(due: number, now: number): void {
    if (this.#set && this.#set.due <= due) return;
    this.#unset();
    this.#set = { due, timer: this.#clock.after(due - now, () => this.#fire()) };
  }

  #unset(): void {
    this.#set?.timer.cancel();
    this.#set = undefined;
  }

  #fire(): void {
    this.#set = undefined;
    const now = this.#clock.monotonic();
    const due: Place<Wait>[] = [];
    let next = Infinity;
    for (const place of this.#waiting.places()) {
      if (place.item.due <= now + EARLY_MS) due.push(place);
      else next = Math.min(next, place.item.due);
    }
    for (const place of due) this.#waiting.remove(place);
    if (next < Infinity) this.#setFor(next, now);
    due.sort((a, b) => a.item.due - b.item.due);
    for (const { item } of due) item.callback();
  }
}

/** The same time as `clock`'s, with one timer of it behind all. */
export function withSharedTimer(clock: Clock): Clock {
  const shared = new SharedTimer(clock);
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (ms, callback) => shared.after(ms, callback),
    every: (ms, callback) => clock.every(ms, callback),
    sleep: (ms, options) => sleepWith(shared, ms, options),
  };
}
