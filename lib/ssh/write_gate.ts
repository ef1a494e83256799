/**
 * Back-pressure of the transport for its channels.
 *
 * ssh2 writes packets to its stream without looking whether that keeps up; an SSH window alone would
 * let every channel queue 2 MiB in memory, behind which a key press on another channel waits. So a
 * channel waits for its turn until little is queued, one channel after the other.
 *
 * @module
 */

import type { Duplex } from "node:stream";

/** Lets writers pass one by one while the stream below has room. */
export class WriteGate {
  readonly #stream: Duplex;
  readonly #waiting: (() => void)[] = [];

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on("drain", () => this.#advance());
    stream.on("close", () => this.#advance());
  }

  /** True when a writer need not wait. */
  get open(): boolean {
    return this.#waiting.length === 0 && this.#room;
  }

  /**
   * Resolves when it is the caller's turn to write a packet, which it does before it awaits anything
   * else. Resolves as well when the stream is gone: then there is nothing left to wait for.
   */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#advance();
    });
  }

  #advance(): void {
    if (this.#waiting.length === 0 || !this.#room) return;
    this.#waiting.shift()!();
    // Looks again when that writer has written.
    setImmediate(() => this.#advance());
  }

  get #room(): boolean {
    return this.#stream.destroyed || !this.#stream.writableNeedDrain;
  }
}
