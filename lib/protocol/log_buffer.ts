/**
 * Lines of the guest's log on their way to the host. A host that does not take them in time loses the
 * oldest ones and is told how many: logging never waits.
 *
 * @module
 */

import type { GuestLogRecord } from "./calls.ts";
import { type GuestLogLine, printableLine } from "./guest_state.ts";

/** Lines that may wait. */
const MAX_LINES = 500;

/** A bounded queue of lines. */
export class LogBuffer {
  readonly #lines: GuestLogRecord[] = [];
  #dropped = 0;

  /** Adds a line, cut to a bounded length. */
  push(record: GuestLogRecord): void {
    this.#lines.push(printableLine(record));
    if (this.#lines.length <= MAX_LINES) return;
    this.#lines.shift();
    this.#dropped++;
  }

  /** Takes the oldest line. */
  take(): GuestLogLine | undefined {
    const line = this.#lines.shift();
    if (!line || this.#dropped === 0) return line;
    const dropped = this.#dropped;
    this.#dropped = 0;
    return { ...line, dropped };
  }
}
