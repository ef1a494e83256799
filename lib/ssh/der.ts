/**
 * Reads the little of DER (X.690) that encrypted private keys are made of.
 *
 * @module
 */

/** Tags of universal types. */
export const DerTag = {
  Integer: 0x02,
  OctetString: 0x04,
  Null: 0x05,
  ObjectIdentifier: 0x06,
  Sequence: 0x30,
} as const;

/** Reads the elements of a DER value one after the other; every read is bounds-checked. */
export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** True when nothing is left. */
  get done(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  /** Tag of the next element; undefined at the end. */
  get tag(): number | undefined {
    return this.#bytes[this.#at];
  }

  /**
   * Content of the next element, which must have this tag.
   * @throws RangeError for another tag, a truncated element or an indefinite length
   */
  element(tag: number): Uint8Array {
    if (this.#byte() !== tag) throw new RangeError(`Expected tag ${tag} at ${this.#at - 1}`);
    let length = this.#byte();
    if (length > 0x80) {
      const count = length & 0x7f;
      if (count > 4) throw new RangeError("A length of more than 4 bytes");
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + this.#byte();
    } else if (length === 0x80) throw new RangeError("An indefinite length");
    if (length > this.#bytes.byteLength - this.#at) throw new RangeError("A truncated element");
    const content = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return content;
  }

  /** The next element, a SEQUENCE. */
  sequence(): DerReader {
    return new DerReader(this.element(DerTag.Sequence));
  }

  /** The next element, an INTEGER from 0 to 2^48. */
  integer(): number {
    const content = this.element(DerTag.Integer);
    if (content.byteLength === 0 || content.byteLength > 6 || content[0]! >= 0x80) {
      throw new RangeError("An integer out of range");
    }
    return content.reduce((value, byte) => value * 256 + byte, 0);
  }

  /** The next element, an OBJECT IDENTIFIER, in dotted form. */
  oid(): string {
    const content = this.element(DerTag.ObjectIdentifier);
    const parts: number[] = [];
    let part = 0;
    for (const byte of content) {
      part = part * 128 + (byte & 0x7f);
      if (part > Number.MAX_SAFE_INTEGER / 128) throw new RangeError("An OID out of range");
      if (byte >= 0x80) continue;
      if (parts.length === 0) {
        const first = Math.min(2, Math.floor(part / 40));
        parts.push(first, part - first * 40);
      } else parts.push(part);
      part = 0;
    }
    return parts.join(".");
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new RangeError("Unexpected end of DER");
    this.#at++;
    return byte;
  }
}
