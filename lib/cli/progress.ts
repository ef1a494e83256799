/**
 * What takes long, shown while it lasts.
 *
 * @module
 */

import type { Backend } from "../backend/mod.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { getLog } from "../core/log.ts";
import type { Screen } from "./screen.ts";

/** Options of {@linkcode BackendProgress}. */
export interface BackendProgressOptions {
  readonly screen: Screen;
  readonly clock: Clock;
  /** False: lines in the log in place of a line that changes. */
  readonly isTerminal: boolean;
}

/** Shows what a backend is waiting for, with the seconds it takes, until it is up or has failed. */
export class BackendProgress {
  readonly #options: BackendProgressOptions;
  #backend: Pick<Backend, "state" | "lastError"> | undefined;
  #text: string | undefined;
  #since = 0;
  #timer: Timer | undefined;

  constructor(options: BackendProgressOptions) {
    this.#options = options;
  }

  /** The backend whose state ends the display. */
  watch(backend: Pick<Backend, "state" | "lastError">): void {
    this.#backend = backend;
  }

  /** Shows a line. */
  readonly show = (text: string): void => {
    if (!this.#options.isTerminal) {
      if (text !== this.#text) getLog("cli").info("{text}", { text });
      this.#text = text;
      return;
    }
    if (text !== this.#text) this.#since = this.#options.clock.monotonic();
    this.#text = text;
    this.#draw();
    this.#timer ??= this.#options.clock.every(1000, () => this.#tick());
  };

  /** Takes the line away. */
  clear(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#text = undefined;
    this.#options.screen.status(undefined);
  }

  #tick(): void {
    const { state, lastError } = this.#backend ?? {};
    const busy = (state === "initializing" || state === "transitioning") && lastError === undefined;
    if (busy || this.#backend === undefined) this.#draw();
    else this.clear();
  }

  #draw(): void {
    const seconds = Math.floor((this.#options.clock.monotonic() - this.#since) / 1000);
    this.#options.screen.status(`… ${this.#text}${seconds > 0 ? ` (${seconds} s)` : ""}`);
  }
}
