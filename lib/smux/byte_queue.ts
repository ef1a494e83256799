/**
 * The bytes of a stream that wait for their reader.
 *
 * @module
 */

/** Block for bytes that come in small pieces, so that a stream which holds few takes little. */
const SMALL_BLOCK_BYTES = 4096;

/** Block for everything else: the payload of a full frame. */
const BLOCK_BYTES = 32 * 1024;

/** Blocks that are kept for use again: allocating them anew costs as much as the copying. */
const MAX_SPARE_BLOCKS = 32;

const spare: Uint8Array[] = [];

/** A queue of bytes. Pieces share blocks: it takes at most a block more than the bytes it holds. */
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
    let at = 0;
    while (at < bytes.byteLength) {
      let last = this.#blocks.at(-1);
      if (!last || this.#tail === last.byteLength) {
        last = newBlock(bytes.byteLength - at);
        this.#blocks.push(last);
        this.#tail = 0;
      }
      const part = bytes.subarray(at, at + last.byteLength - this.#tail);
      last.set(part, this.#tail);
      this.#tail += part.byteLength;
      at += part.byteLength;
    }
    this.#size += at;
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
    if (done > 0) this.#blocks.splice(0, done).forEach(keep);
    this.#size -= filled;
    return filled;
  }

  /**
   * Drops what waits.
   * @returns bytes dropped
   */
  clear(): number {
    const dropped = this.#size;
    this.#blocks.splice(0).forEach(keep);
    this.#head = 0;
    this.#size = 0;
    return dropped;
  }
}

function newBlock(wanted: number): Uint8Array {
  if (wanted <= SMALL_BLOCK_BYTES) return new Uint8Array(SMALL_BLOCK_BYTES);
  return spare.pop() ?? new Uint8Array(BLOCK_BYTES);
}

function keep(block: Uint8Array): void {
  if (block.byteLength === BLOCK_BYTES && spare.length < MAX_SPARE_BLOCKS) spare.push(block);
}
