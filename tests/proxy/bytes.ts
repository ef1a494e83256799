/**
 * Small helpers for tests that speak protocols by hand.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Conn, isAwsocksError, readFull, writeAll } from "../../lib/core/mod.ts";
import type { Parsed, Parser } from "../../lib/proxy/buffered_conn.ts";

/** `05 01 00` as bytes. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/[0-9a-f]{2}/gi) ?? [], (byte) => parseInt(byte, 16));
}

/** Text as UTF-8. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** UTF-8 as text. */
export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Bytes end to end. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Writes `sent`, then reads exactly as many bytes as `expected` has and compares. */
export async function exchange(conn: Conn, sent: Uint8Array, expected: Uint8Array): Promise<void> {
  await writeAll(conn, sent);
  const answer = new Uint8Array(expected.length);
  assert.ok(await readFull(conn, answer), "the connection ended early");
  assert.deepEqual(answer, expected);
}

/** Every proper prefix of `bytes` needs more; with anything behind, exactly `bytes` is taken. */
export function assertIncremental<T>(parser: Parser<T>, bytes: Uint8Array): T {
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(
      parser(bytes.subarray(0, length)),
      undefined,
      `${length} of ${bytes.length} bytes`,
    );
  }
  const parsed: Parsed<T> | undefined = parser(concat(bytes, hex("ff 00 05")));
  assert.ok(parsed, "all bytes are there");
  assert.equal(parsed.length, bytes.length);
  return parsed.value;
}

/** Whatever the bytes are, a parser gives a value within them, wants more, or throws our error. */
export function assertTotal(parser: Parser<unknown>, bytes: Uint8Array): void {
  try {
    const parsed = parser(bytes);
    if (parsed) assert.ok(parsed.length > 0 && parsed.length <= bytes.length);
  } catch (error) {
    assert.ok(isAwsocksError(error), `not an AwsocksError: ${error}`);
  }
}
