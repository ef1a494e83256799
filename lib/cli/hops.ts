/**
 * The demo's account of a connection's way: what was passed, when, shown as it happens.
 *
 * @module
 */

import { pad, plain, type Style, truncate } from "./style.ts";

/** Options of {@linkcode HopList}. */
export interface HopListOptions {
  readonly style: Style;
  readonly columns: number;
  /** Monotonic milliseconds at which the account starts. */
  readonly origin: number;
  readonly write: (line: string) => void;
}

/** Columns of the hop names. */
const NAME_WIDTH = 24;

/** Writes a line for each hop, with the time since the start and since the hop before. */
export class HopList {
  readonly #options: HopListOptions;
  readonly #seen = new Set<string>();
  #last: number;

  constructor(options: HopListOptions) {
    this.#options = options;
    this.#last = options.origin;
  }

  /** The hop that was passed last, in monotonic milliseconds. */
  get last(): number {
    return this.#last;
  }

  /**
   * Adds a hop; each is shown once, the first time.
   * @param at monotonic milliseconds at which it was passed
   */
  add(name: string, detail: string, at: number): void {
    if (this.#seen.has(name)) return;
    this.#seen.add(name);
    const { style, columns, origin, write } = this.#options;
    // What two ends saw of one moment may arrive here in either order.
    const step = Math.max(0, at - this.#last);
    this.#last = Math.max(this.#last, at);
    const time = `${milliseconds(at - origin)} ${
      style.dim(`+${milliseconds(step).trimStart()}`.padStart(9))
    }`;
    const used = 9 + 1 + 9 + 2 + 2 + NAME_WIDTH;
    const text = truncate(plain(detail), Math.max(10, columns - used - 1));
    write(`${time}  ${style.green("✓")} ${pad(name, NAME_WIDTH)}${style.dim(text)}`.trimEnd());
  }
}

/** Milliseconds with a tenth, right-aligned. */
function milliseconds(ms: number): string {
  return `${ms.toFixed(1)} ms`.padStart(9);
}
