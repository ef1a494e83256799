/**
 * The receiving half of a stream: bytes that wait for the reader, and the end.
 *
 * @module
 */

import { ByteQueue } from "./byte_queue.ts";
import type { WindowUpdate } from "./frame.ts";
import type { ReceiveWindow } from "./window.ts";

/** Options of {@linkcode StreamInput}. */
export interface StreamInputOptions {
  /** What the peer is allowed to send; undefined in version 1. */
  readonly window: ReceiveWindow | undefined;
  /** Called with an update that the peer should get. */
  readonly onUpdate: (update: WindowUpdate) => void;
  /** Called with the bytes by which the number of those that wait has changed. */
  readonly onBuffered: (change: number) => void;
}

/** What a stream has received. */
export class StreamInput {
  readonly #options: StreamInputOptions;
  readonly #queue = new ByteQueue();
  #end: { readonly error?: unknown } | undefined;
  /** The buffer of the read that waits, and how much of it is filled. */
  #into: Uint8Array | undefined;
  #filled = 0;
  #reader: PromiseWithResolvers<void> | undefined;

  constructor(options: StreamInputOptions) {
    this.#options = options;
  }

  /** Bytes that wait for the reader. */
  get buffered(): number {
    return this.#queue.size;
  }

  /** True once no more bytes can come. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /**
   * Takes bytes from the peer; those after the end are dropped.
   * @returns false if the peer has overrun its window
   */
  receive(bytes: Uint8Array): boolean {
    if (this.#end) return true;
    if (this.#options.window?.receive(bytes.byteLength) === false) return false;
    let rest = bytes;
    if (this.#into) {
      // Straight into the buffer of the read that waits: it goes on after this chunk, so that
      // several frames can fill it.
      const part = rest.subarray(0, this.#into.byteLength - this.#filled);
      this.#into.set(part, this.#filled);
      this.#filled += part.byteLength;
      rest = rest.subarray(part.byteLength);
      this.#reader?.resolve();
    }
    if (rest.byteLength === 0) return true;
    this.#queue.push(rest);
    this.#options.onBuffered(rest.byteLength);
    return true;
  }

  /** Ends the input: what waits can still be read, then null (or the error) follows. */
  end(error?: unknown): void {
    if (this.#end) return;
    this.#end = error === undefined ? {} : { error };
    this.#options.window?.release();
    this.#reader?.resolve();
  }

  /** Ends the input and drops what waits: reads return null. */
  discard(): void {
    this.end();
    this.#end = {};
    const dropped = this.#queue.clear();
    if (dropped > 0) this.#options.onBuffered(-dropped);
  }

  /** Reads as `Conn.read` does. */
  async read(into: Uint8Array): Promise<number | null> {
    if (into.byteLength === 0) return 0;
    while (this.#queue.size === 0) {
      if (this.#reader) {
        await this.#reader.promise;
        continue;
      }
      if (this.#end) {
        if ("error" in this.#end) throw this.#end.error;
        return null;
      }
      const filled = await this.#waitInto(into);
      if (filled > 0) return this.#consumed(filled);
    }
    const taken = this.#queue.take(into);
    this.#options.onBuffered(-taken);
    return this.#consumed(taken);
  }

  /** Waits for bytes straight from the connection, or the end. */
  async #waitInto(into: Uint8Array): Promise<number> {
    this.#reader = Promise.withResolvers<void>();
    this.#into = into;
    this.#filled = 0;
    await this.#reader.promise;
    this.#reader = undefined;
    this.#into = undefined;
    return this.#filled;
  }

  #consumed(bytes: number): number {
    // Once the peer has ended its output it has no use for a window.
    const update = this.#end ? undefined : this.#options.window?.consume(bytes);
    if (update) this.#options.onUpdate(update);
    return bytes;
  }
}
