/**
 * Waiting for something to change.
 *
 * @module
 */

import { orAborted } from "../core/mod.ts";

/** Wakes whoever waits, to look again. */
export class Changes {
  #next = Promise.withResolvers<void>();

  /** Wakes all that wait now. */
  notify(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  /** Resolves at the next change; rejects with the signal's reason. */
  next(signal?: AbortSignal | undefined): Promise<void> {
    return orAborted(this.#next.promise, signal);
  }
}
