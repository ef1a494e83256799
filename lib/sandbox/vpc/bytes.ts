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

const LOG_BLOCK_BYTES = 16 * 1024;
const LEVELS = ["INFO ", "INFO ", "INFO ", "DEBUG", "WARN ", "ERROR"];
const PATHS = ["/api/orders", "/api/customers", "/static/app.js", "/health", "/api/search?q="];

/** The first `size` bytes of a log such as a web server writes, in blocks: text that compresses well. */
export function* logOf(size: number, seed: number): Generator<Uint8Array<ArrayBuffer>> {
  const random = new Random(seed);
  const encoder = new TextEncoder();
  let time = Date.UTC(2025, 0, 1);
  for (let left = size; left > 0;) {
    let text = "";
    while (text.length < LOG_BLOCK_BYTES) {
      time += random.between(1, 400);
      const level = LEVELS[random.between(0, LEVELS.length - 1)];
      const path = PATHS[random.between(0, PATHS.length - 1)];
      text += `${new Date(time).toISOString()} ${level} web-${random.between(1, 4)} ` +
        `client=10.0.${random.between(0, 3)}.${random.between(1, 250)} "GET ${path}" ` +
        `status=200 bytes=${random.between(100, 50_000)} request=${random.hex(8)}\n`;
    }
    const block = encoder.encode(text);
    yield block.subarray(0, Math.min(left, block.byteLength));
    left -= block.byteLength;
  }
}
