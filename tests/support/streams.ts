/**
 * Long streams of bytes that prove themselves by their hash. They follow from a seed, so that only the
 * end that receives has to hash, and the other one may be a slow machine.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { type Conn, writeAll } from "../../lib/core/conn.ts";

const CHUNK_BYTES = 64 * 1024;
const CHUNKS_PER_MEGABYTE = 16;

/** A stream as its receiver saw it. */
export interface Received {
  readonly bytes: number;
  /** SHA-256 in hexadecimal. */
  readonly hash: string;
}

/** The chunks of a stream, in the same memory each time; no two are alike. */
function* chunks(megabytes: number, seed: number): Generator<Uint8Array> {
  const chunk = Uint8Array.from({ length: CHUNK_BYTES }, (_, i) => i * 31 + (i >> 8) * seed);
  const stamp = new DataView(chunk.buffer);
  for (let n = 0; n < megabytes * CHUNKS_PER_MEGABYTE; n++) {
    stamp.setUint32(0, n);
    stamp.setUint32(CHUNK_BYTES - 4, seed);
    yield chunk;
  }
}

/** What the receiver of a stream should see. */
export function expectedStream(megabytes: number, seed: number): Received {
  const hash = createHash("sha256");
  let bytes = 0;
  for (const chunk of chunks(megabytes, seed)) {
    hash.update(chunk);
    bytes += chunk.byteLength;
  }
  return { bytes, hash: hash.digest("hex") };
}

/** Sends a stream and ends the output. */
export async function sendStream(conn: Conn, megabytes: number, seed: number): Promise<void> {
  for (const chunk of chunks(megabytes, seed)) await writeAll(conn, chunk);
  await conn.closeWrite();
}

/** Reads to the end of input. */
export async function receiveStream(conn: Conn): Promise<Received> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(4 * CHUNK_BYTES);
  let bytes = 0;
  for (;;) {
    const n = await conn.read(buffer);
    if (n === null) return { bytes, hash: hash.digest("hex") };
    hash.update(buffer.subarray(0, n));
    bytes += n;
  }
}

/** Sends a stream and receives the peer's at the same time, then closes. */
export async function exchange(conn: Conn, megabytes: number, seed: number): Promise<Received> {
  try {
    const [received] = await Promise.all([
      receiveStream(conn),
      sendStream(conn, megabytes, seed),
    ]);
    return received;
  } finally {
    conn.close();
  }
}
