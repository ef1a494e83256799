/**
 * Random numbers that a seed repeats: ids, tokens and every fault come from here, so that a run with
 * a seed can be had again.
 *
 * @module
 */

function randomSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high! >>> 11) * 0x1_0000_0000 + low!;
}

function hex32(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}

/** A generator of type sfc32, which passes the usual tests and needs four words of state. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed any integer; absent means a seed from the system's generator */
  constructor(seed: number = randomSeed()) {
    this.#a = 0x9e3779b9;
    this.#b = seed >>> 0;
    this.#c = Math.floor(seed / 0x1_0000_0000) >>> 0;
    for (let i = 0; i < 15; i++) this.#word();
  }

  #word(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A number in [0, 1). */
  next(): number {
    return this.#word() / 0x1_0000_0000;
  }

  /** True with the given probability. Takes no number for 0, so that a fault that is off costs nothing. */
  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability;
  }

  /** An integer from `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** `length` bytes. */
  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.#word() & 0xff;
    return bytes;
  }

  /** `length` hexadecimal digits in lower case. */
  hex(length: number): string {
    return this.letters(length, "0123456789abcdef");
  }

  /** `length` characters of an alphabet. */
  letters(length: number, alphabet: string): string {
    let text = "";
    for (let i = 0; i < length; i++) text += alphabet[this.between(0, alphabet.length - 1)];
    return text;
  }

  /** A version 4 UUID, RFC 9562 section 5.4. */
  uuid(): string {
    const [a, b, c, d] = [this.#word(), this.#word(), this.#word(), this.#word()];
    const version = (b & 0xffff0fff) | 0x4000;
    const variant = (c & 0x3fffffff) | 0x80000000;
    const [second, third] = [hex32(version), hex32(variant)];
    return `${hex32(a)}-${second.slice(0, 4)}-${second.slice(4)}` +
      `-${third.slice(0, 4)}-${third.slice(4)}${hex32(d)}`;
  }

  /** A generator of its own, so that one consumer's draws do not shift another's. */
  fork(): Random {
    return new Random(this.#word());
  }
}
