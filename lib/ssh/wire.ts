/**
 * The data types of SSH on the wire (RFC 4251 section 5), as far as keys and agents need them, and
 * key fingerprints.
 *
 * @module
 */

import { createHash } from "node:crypto";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Reads the values of RFC 4251 section 5 one after the other; every read is bounds-checked. */
export class WireReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#bytes.byteLength - this.#at;
  }

  /** @throws RangeError when the input ends before */
  byte(): number {
    return this.raw(1)[0]!;
  }

  /** @throws RangeError when the input ends before */
  uint32(): number {
    this.#need(4);
    const value = this.#view.getUint32(this.#at);
    this.#at += 4;
    return value;
  }

  /** A `string`: its length, then that many bytes. A view into the input, not a copy. */
  string(): Uint8Array {
    return this.raw(this.uint32());
  }

  /** A `string` that holds UTF-8 text. @throws TypeError when it is not UTF-8 */
  text(): string {
    return decoder.decode(this.string());
  }

  /** The next `length` bytes as they are. */
  raw(length: number): Uint8Array {
    this.#need(length);
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }

  #need(length: number): void {
    if (length > this.left) {
      throw new RangeError(`Need ${length} more bytes at offset ${this.#at}, have ${this.left}`);
    }
  }
}

/** A `uint32`. */
export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** A `string`. */
export function string(value: Uint8Array | string): Uint8Array {
  const bytes = typeof value === "string" ? encoder.encode(value) : value;
  return concat(uint32(bytes.byteLength), bytes);
}

/** A non-negative `mpint` from its big-endian magnitude: shortest form, sign bit clear. */
export function mpint(magnitude: Uint8Array): Uint8Array {
  let start = 0;
  while (start < magnitude.byteLength && magnitude[start] === 0) start++;
  const trimmed = magnitude.subarray(start);
  return string(trimmed.byteLength > 0 && trimmed[0]! >= 0x80 ? concat([0], trimmed) : trimmed);
}

/** The parts in one array. */
export function concat(...parts: (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** True when both hold the same bytes. Not for secrets: it stops at the first difference. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}

/** The fingerprint of a public key as OpenSSH prints it: `SHA256:` and unpadded base64. */
export function fingerprint(publicKey: Uint8Array): string {
  const hash = createHash("sha256").update(publicKey).digest("base64");
  return `SHA256:${hash.replace(/=+$/, "")}`;
}

/**
 * The key type that a public key in wire format names first, for example `ssh-ed25519`.
 * @throws RangeError or TypeError when it is malformed
 */
export function keyTypeOf(publicKey: Uint8Array): string {
  return new WireReader(publicKey).text();
}
