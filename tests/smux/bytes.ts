/**
 * Bytes for the tests of the multiplexer.
 *
 * @module
 */

import type { Conn } from "../../lib/core/mod.ts";
import {
  Command,
  encodeFrame,
  type Frame,
  FrameParser,
  putUpdate,
  type SmuxVersion,
} from "../../lib/smux/mod.ts";

/** Bytes from hexadecimal digits; spaces do not count. */
export function hex(digits: string): Uint8Array {
  return Uint8Array.from(
    digits.replaceAll(/\s/g, "").match(/../g) ?? [],
    (pair) => parseInt(pair, 16),
  );
}

/** Lower-case hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Joins byte arrays. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

/** Byte `at + i` of the endless sequence that `seed` names, for each i: any shift or gap shows. */
export function pattern(seed: number, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const x = Math.imul(at + i + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b);
    bytes[i] = (x ^ (x >>> 15)) >>> 8;
  }
  return bytes;
}

/** Numbers in [0, 1) that are the same in each run (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An UPD frame. */
export function update(id: number, consumed: number, window: number): Uint8Array {
  const payload = new Uint8Array(8);
  putUpdate(payload, 0, { consumed, window });
  return encodeFrame(2, Command.Upd, id, payload);
}

/** The frames of some bytes, PSH frames as they are on the wire. */
export function framesOf(version: SmuxVersion, bytes: Uint8Array): Frame[] {
  return [...new FrameParser(version).push(bytes)];
}

/** A conn that reads and writes random parts of what it is asked for. */
export function cutting(conn: Conn, seed: number): Conn {
  const next = random(seed);
  const part = (bytes: Uint8Array) =>
    bytes.subarray(0, Math.ceil(next() * (next() < 0.5 ? bytes.byteLength : 20)) || 1);
  return {
    read: (into) => conn.read(part(into)),
    write: (data) => conn.write(part(data)),
    closeWrite: () => conn.closeWrite(),
    close: () => conn.close(),
  };
}
