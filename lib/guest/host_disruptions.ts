/**
 * Sleep and changes of the network, as the host tells of them: a guest sees neither by itself. Its clocks
 * stand still while the host sleeps, and its network is always the same.
 *
 * @module
 */

import type { Disruptions } from "../ssm/disruptions.ts";

/** Passes on what the host tells. */
export class HostDisruptions implements Disruptions {
  readonly #listeners = new Set<(cause: string) => void>();

  on(listener: (cause: string) => void): Disposable {
    // One entry for each call, also of the same function.
    const entry = (cause: string) => listener(cause);
    this.#listeners.add(entry);
    return { [Symbol.dispose]: () => void this.#listeners.delete(entry) };
  }

  /** The host has told. */
  tell(cause: string): void {
    for (const listener of [...this.#listeners]) listener(cause);
  }
}
