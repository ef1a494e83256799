/**
 * The buffer of one direction of a relay, as large as what moves through it needs.
 *
 * @module
 */

import { BufferPool } from "./buffer_pool.ts";

const KIB = 1024;

/** Buffers of one size. */
interface Level {
  readonly pool: BufferPool;
  /** How many may be in use at a time. */
  readonly most: number;
  inUse: number;
}

function level(size: number, spare: number, most = Infinity): Level {
  return { pool: new BufferPool(size, spare), most, inUse: 0 };
}

/**
 * Most connections are short or idle and get the smallest. What is copied as fast as it can be is
 * copied in large pieces, of which there are only as many as memory bears.
 */
const LEVELS: readonly Level[] = [
  level(8 * KIB, 64),
  level(64 * KIB, 16),
  level(256 * KIB, 8, 64),
  level(1024 * KIB, 4, 16),
];

/** A buffer that grows and shrinks with its use. */
export class CopyBuffer {
  #level = 0;
  #bytes = take(0);

  /** Where to read to; another one after {@linkcode fit}. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  /**
   * Looks at the last copy: the next is a larger piece if this one was filled and found room, a smaller
   * one if it was nearly empty.
   * @param read bytes that were read
   * @param taken bytes of them that the first write took
   */
  fit(read: number, taken: number): void {
    const size = this.#bytes.byteLength;
    if (read === size && taken === size) this.#change(this.#level + 1);
    else if (read < size / 8) this.#change(this.#level - 1);
  }

  #change(to: number): void {
    const next = LEVELS[to];
    if (!next || next.inUse >= next.most) return;
    this.release();
    this.#level = to;
    this.#bytes = take(to);
  }

  /** Gives the buffer back: nobody will touch it any more. */
  release(): void {
    const { pool } = LEVELS[this.#level]!;
    pool.give(this.#bytes);
    this.abandon();
  }

  /** Lets go of a buffer that a write may still hold. */
  abandon(): void {
    LEVELS[this.#level]!.inUse--;
  }
}

function take(index: number): Uint8Array<ArrayBuffer> {
  const level = LEVELS[index]!;
  level.inUse++;
  return level.pool.take();
}
