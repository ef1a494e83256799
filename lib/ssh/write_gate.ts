/**
 * Back-pressure of the transport for its channels.
 *
 * ssh2 writes packets to its socket without looking whether that keeps up; an SSH window alone would
 * let every channel queue 2 MiB in memory, behind which a key press on another channel waits. So a
 * channel waits for its turn until the socket has drained, one channel after the other.
 *
 * @module
 */

import type { Duplex } from "node:stream";

/** Lets writers pass one by one while the stream below has room. */
export class WriteGate {
  readonly #stream: Duplex;
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  /**
   * Resolves when it is the caller's turn to write a packet, at once, before it awaits anything else.
   * Resolves as well when the stream is gone: then there is nothing left to wait for.
   */
  turn(): Promise<void> {
    this.#waiting++;
    return this.#tail = this.#tail.then(() => this.#room()).finally(() => this.#waiting--);
  }

  /** True when {@linkcode turn} would resolve without a wait. */
  get open(): boolean {
    return this.#waiting === 0 && !this.#full;
  }

  get #full(): boolean {
    return this.#stream.writableNeedDrain && !this.#stream.destroyed;
  }

  async #room(): Promise<void> {
    while (this.#full) {
      await new Promise<void>((resolve) => {
        const done = () => {
          this.#stream.off("drain", done);
          this.#stream.off("close", done);
          resolve();
        };
        this.#stream.once("drain", done);
        this.#stream.once("close", done);
      });
    }
  }
}
