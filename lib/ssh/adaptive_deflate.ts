/**
 * Compression that leaves alone what cannot be compressed: archives, pictures, and whatever is encrypted
 * already. Trying costs ten times as much as everything else that is done with such bytes.
 *
 * They travel in stored blocks (RFC 1951 section 3.2.4), which any zlib reads. The compressor knows
 * nothing of these blocks, so it must neither stop within a byte nor refer back across them: a full flush
 * comes before.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { DeflateStream, ZlibStream } from "./zlib_stream.ts";

/** Bytes from which a packet is judged; shorter ones go the way of those before. */
const JUDGED_BYTES = 4096;
/** Bytes of a packet that are looked at. */
const SAMPLES = 1024;
/** How much more often than in random bytes two samples may be alike. */
const TOLERANCE = 1.2;
/** Longest stored block: its length has 16 bits. */
const BLOCK_BYTES = 0xffff;
/** Of a stored block that starts at a byte: three bits and padding, the length, its complement. */
const HEADER_BYTES = 5;

const counts = new Uint16Array(256);

/**
 * True when the bytes look as if nothing could be gained by compression: of its samples, not more pairs
 * are alike than in random bytes.
 * @param bytes at least 1024
 */
export function looksRandom(bytes: Uint8Array): boolean {
  // Odd, so that it does not keep step with records.
  const step = Math.floor(bytes.byteLength / SAMPLES) - 1 | 1;
  counts.fill(0);
  for (let i = 0, at = 0; i < SAMPLES; i++, at += step) counts[bytes[at]!]!++;
  let alike = 0;
  for (const count of counts) alike += count * (count - 1);
  return alike < TOLERANCE * SAMPLES * (SAMPLES - 1) / 256;
}

/** Compresses packets where that is worth it. */
export class AdaptiveDeflate implements ZlibStream {
  readonly #stream: DeflateStream;
  #storing = false;

  /** @param stream owned from now on */
  constructor(stream: DeflateStream) {
    this.#stream = stream;
  }

  write(packet: Uint8Array): Buffer {
    const storing = packet.byteLength >= JUDGED_BYTES ? looksRandom(packet) : this.#storing;
    if (!storing) {
      this.#storing = false;
      return this.#stream.write(packet);
    }
    const before = this.#storing ? undefined : this.#stream.align();
    this.#storing = true;
    return stored(packet, before);
  }

  close(): void {
    this.#stream.close();
  }
}

/** Bytes in stored blocks, behind what ends the block before. */
function stored(bytes: Uint8Array, before: Uint8Array | undefined): Buffer {
  const start = before?.byteLength ?? 0;
  const blocks = Math.ceil(bytes.byteLength / BLOCK_BYTES);
  const output = Buffer.allocUnsafe(start + bytes.byteLength + blocks * HEADER_BYTES);
  if (before) output.set(before);
  let at = start;
  for (let from = 0; from < bytes.byteLength; from += BLOCK_BYTES) {
    const block = bytes.subarray(from, from + BLOCK_BYTES);
    output[at] = 0; // not the last block, stored
    output.writeUInt16LE(block.byteLength, at + 1);
    output.writeUInt16LE(~block.byteLength & 0xffff, at + 3);
    output.set(block, at + HEADER_BYTES);
    at += HEADER_BYTES + block.byteLength;
  }
  return output;
}
