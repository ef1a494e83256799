/**
 * Standard error while a command runs: log lines, one line of progress below them, and prompts, none
 * of which may tear another.
 *
 * @module
 */

import { truncate } from "./style.ts";
import type { Output } from "./terminal.ts";

/** Lines kept while a prompt is open; more than a person reads. */
const MAX_HELD_LINES = 1000;

const CLEAR_LINE = "\r\x1b[2K";

/** Owner of standard error. */
export class Screen {
  readonly #out: Output;
  #status: string | undefined;
  #held: string[] | undefined;
  #restore: (() => void) | undefined;

  constructor(out: Output) {
    this.#out = out;
  }

  /** Writes a line; kept back while a prompt is open. */
  line(text: string): void {
    if (this.#held) {
      this.#held.push(text);
      if (this.#held.length > MAX_HELD_LINES) this.#held.shift();
      return;
    }
    const redraw = this.#status === undefined ? "" : this.#status;
    const clear = this.#status === undefined ? "" : CLEAR_LINE;
    this.#out.write(`${clear}${text}\n${redraw}`);
  }

  /**
   * Shows what is being waited for, on a line of its own that the next one replaces; undefined takes
   * it away. Without a terminal nothing is shown: the log says it too.
   */
  status(text: string | undefined): void {
    if (!this.#out.isTerminal) return;
    const line = text === undefined ? undefined : truncate(text, this.#out.size().columns - 1);
    if (line === this.#status) return;
    const clear = this.#status === undefined ? "" : CLEAR_LINE;
    this.#status = line;
    if (!this.#held) this.#out.write(`${clear}${line ?? ""}`);
  }

  /**
   * Gives the screen to a prompt, which may draw below what stands there.
   * @param restore undoes what the prompt does to the terminal; also called by {@linkcode restore}
   * @returns gives the screen back and writes the lines that were kept
   */
  hold(restore: () => void): Disposable {
    if (this.#status !== undefined) this.#out.write(CLEAR_LINE);
    this.#held = [];
    this.#restore = restore;
    return {
      [Symbol.dispose]: () => {
        const lines = this.#held ?? [];
        this.#held = undefined;
        this.restore();
        for (const line of lines) this.#out.write(`${line}\n`);
        if (this.#status !== undefined) this.#out.write(this.#status);
      },
    };
  }

  /** Puts the terminal back into its ordinary state; for the ways out of the program. */
  restore(): void {
    const restore = this.#restore;
    this.#restore = undefined;
    restore?.();
  }
}
