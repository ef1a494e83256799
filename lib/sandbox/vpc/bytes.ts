/**
 * Streams of bytes that can be made again anywhere: the web site serves them, tests compare them.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { Random } from "../random.ts";

/** Size of the blocks that {@linkcode blocksOf} yields, but for the last one. */
export const BLOCK_BYTES = 64 * 1024;

/**
 * The first `size` bytes of stream number `seed`, in blocks. Blocks carry their number, so that no two
 * are alike and a lost, doubled or displaced block changes the digest. The array is reused: copy or
 * use up each block before asking for the next.
 */
export function* blocksOf(size: number, seed: number): Generator<Uint8Array<ArrayBuffer>> {
  const block = new Uint8Array(BLOCK_BYTES);
  block.set(new Random(seed).bytes(BLOCK_BYTES));
  const view = new DataView(block.buffer);
  for (let offset = 0, number = 0; offset < size; offset += BLOCK_BYTES, number++) {
    view.setUint32(0, number);
    const left = size - offset;
    yield left < BLOCK_BYTES ? block.subarray(0, left) : block;
  }
}

/** SHA-256 of the first `size` bytes of stream number `seed`, in hexadecimal. */
export function sha256Of(size: number, seed: number): string {
  const hash = createHash("sha256");
  for (const block of blocksOf(size, seed)) hash.update(block);
  return hash.digest("hex");
}
