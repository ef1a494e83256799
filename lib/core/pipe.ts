/**
 * A byte queue with back-pressure, and a connected in-memory pair of Conns made of two of them.
 *
 * @module
 */

import type { Conn } from "./conn.ts";

/** Default bound of bytes that wait in a {@linkcode BytePipe}. */
export const PIPE_HIGH_WATER_BYTES = 256 * 1024;

/**
 * A one-way queue of bytes: one producer pushes, one consumer reads.
 *
 * `push` always takes the bytes (the caller owns back-pressure through `writable()`), so that
 * producers which cannot wait, such as a socket's message event, can use it too.
 */
export class BytePipe {
  readonly #highWater: number;
  readonly #chunks: Uint8Array[] = [];
  #head = 0;
  #size = 0;
  #end: { error?: unknown } | undefined;
  #reader: PromiseWithResolvers<void> | undefined;
  #drain: PromiseWithResolvers<void> | undefined;

  /** @param highWater bytes beyond which {@linkcode writable} waits */
  constructor(highWater: number = PIPE_HIGH_WATER_BYTES) {
    this.#highWater = highWater;
  }

  /** Bytes that wait to be read. */
  get size(): number {
    return this.#size;
  }

  /** True once {@linkcode end} was called. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** True while more bytes wait than the high-water mark. */
  get full(): boolean {
    return this.#size >= this.#highWater;
  }

  /** Adds bytes; the pipe keeps the array, so the caller must not reuse it. No-op after the end. */
  push(chunk: Uint8Array): void {
    if (this.#end || chunk.byteLength === 0) return;
    this.#chunks.push(chunk);
    this.#size += chunk.byteLength;
    this.#wakeReader();
  }

  /** Ends the queue: what waits can still be read, then null (or the error) follows. */
  end(error?: unknown): void {
    if (this.#end) return;
    this.#end = error === undefined ? {} : { error };
    this.#wakeReader();
    this.#wakeWriter();
  }

  /** Drops what waits and ends the queue at once. */
  abort(error?: unknown): void {
    this.#chunks.length = 0;
    this.#head = 0;
    this.#size = 0;
    this.end(error);
  }

  /** Resolves when there is room below the high-water mark, or the queue has ended. */
  async writable(): Promise<void> {
    while (this.full && !this.#end) {
      this.#drain ??= Promise.withResolvers<void>();
      await this.#drain.promise;
    }
  }

  /**
   * Reads what is there, waiting for at least one byte.
   * @returns bytes read, or null at the end
   * @throws the error given to {@linkcode end}, after the bytes before it
   */
  async read(into: Uint8Array): Promise<number | null> {
    if (into.byteLength === 0) return 0;
    while (this.#size === 0) {
      if (this.#end) {
        if ("error" in this.#end) throw this.#end.error;
        return null;
      }
      this.#reader ??= Promise.withResolvers<void>();
      await this.#reader.promise;
    }
    return this.take(into);
  }

  /**
   * Takes what is there without waiting.
   * @returns bytes taken, 0 when nothing waits
   */
  take(into: Uint8Array): number {
    let filled = 0;
    let index = 0;
    while (filled < into.byteLength && index < this.#chunks.length) {
      const chunk = this.#chunks[index]!;
      const part = chunk.subarray(this.#head, this.#head + into.byteLength - filled);
      into.set(part, filled);
      filled += part.byteLength;
      this.#head += part.byteLength;
      if (this.#head === chunk.byteLength) {
        index++;
        this.#head = 0;
      }
    }
    if (index > 0) this.#chunks.splice(0, index);
    this.#size -= filled;
    if (!this.full) this.#wakeWriter();
    return filled;
  }

  #wakeReader(): void {
    this.#reader?.resolve();
    this.#reader = undefined;
  }

  #wakeWriter(): void {
    this.#drain?.resolve();
    this.#drain = undefined;
  }
}

/**
 * Two connected in-memory Conns: what one writes the other reads, with half-close and back-pressure.
 * @param highWater bytes that may wait in each direction before `write` waits
 */
export function connPair(highWater: number = PIPE_HIGH_WATER_BYTES): [Conn, Conn] {
  const ab = new BytePipe(highWater);
  const ba = new BytePipe(highWater);
  return [pipeConn(ba, ab), pipeConn(ab, ba)];
}

function pipeConn(input: BytePipe, output: BytePipe): Conn {
  let closed = false;
  return {
    read: (into) => input.read(into),
    write: async (data) => {
      await output.writable();
      if (closed || output.ended) throw new Deno.errors.BrokenPipe("The connection is closed");
      output.push(data.slice());
      return data.byteLength;
    },
    closeWrite: () => {
      output.end();
      return Promise.resolve();
    },
    close: () => {
      if (closed) return;
      closed = true;
      output.end();
      input.abort();
    },
  };
}
