/**
 * Buffers that are used again: a new one of a few kilobytes costs more than what most connections do
 * with it.
 *
 * @module
 */

/** Buffers of one size. */
export class BufferPool {
  readonly #size: number;
  readonly #limit: number;
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];

  /**
   * @param size bytes of each buffer
   * @param limit buffers that are kept while nobody uses them
   */
  constructor(size: number, limit: number) {
    this.#size = size;
    this.#limit = limit;
  }

  /** A buffer with anything in it. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#spare.pop() ?? new Uint8Array(this.#size);
  }

  /**
   * Takes a buffer back that nobody will touch any more: no read into it and no write from it may be
   * under way. One of another size is dropped.
   */
  give(buffer: Uint8Array<ArrayBuffer>): void {
    if (buffer.byteLength === this.#size && this.#spare.length < this.#limit) {
      this.#spare.push(buffer);
    }
  }
}
