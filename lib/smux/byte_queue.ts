/**
 * The bytes of a stream that wait for their reader.
 *
 * @module
 */

/** Smallest block that is allocated, so that a peer which sends single bytes costs little more. */
const BLOCK_BYTES = 4096;

/** A queue of bytes. Small pieces share blocks: the memory used is a small multiple of the size. */
export class ByteQueue {
  readonly #blocks: Uint8Array[] = [];
  /** Bytes of the first block that were taken. */
  #head = 0;
  /** Bytes of the last block that are filled. */
  #tail = 0;
  #size = 0;

  /** Bytes that wait. */
  get size(): number {
    return this.#size;
  }

  /** Adds a copy of the bytes. */
  push(bytes: Uint8Array): void {
    this.#size += bytes.byteLength;
    let rest = bytes;
    const last = this.#blocks.at(-1);
    if (last && this.#tail < last.byteLength) {
      const part = rest.subarray(0, last.byteLength - this.#tail);
      last.set(part, this.#tail);
      this.#tail += part.byteLength;
      rest = rest.subarray(part.byteLength);
    }
    if (rest.byteLength === 0) return;
    if (rest.byteLength >= BLOCK_BYTES) {
      this.#blocks.push(rest.slice());
    } else {
      const block = new Uint8Array(BLOCK_BYTES);
      block.set(rest);
      this.#blocks.push(block);
    }
    this.#tail = rest.byteLength;
  }

  /**
   * Moves bytes to the reader.
   * @returns bytes moved, 0 when none wait
   */
  take(into: Uint8Array): number {
    const wanted = Math.min(into.byteLength, this.#size);
    let filled = 0;
    let done = 0;
    while (filled < wanted) {
      const block = this.#blocks[done]!;
      const end = done === this.#blocks.length - 1 ? this.#tail : block.byteLength;
      const part = block.subarray(this.#head, Math.min(end, this.#head + wanted - filled));
      into.set(part, filled);
      filled += part.byteLength;
      this.#head += part.byteLength;
      if (this.#head < end) break;
      this.#head = 0;
      done++;
    }
    if (done > 0) this.#blocks.splice(0, done);
    this.#size -= filled;
    return filled;
  }

  /**
   * Drops what waits.
   * @returns bytes dropped
   */
  clear(): number {
    const dropped = this.#size;
    this.#blocks.length = 0;
    this.#head = 0;
    this.#tail = 0;
    this.#size = 0;
    return dropped;
  }
}
