/**
 * A stream that is read ahead while nothing is expected on it: so its end is noticed by an end that only
 * waits, and whatever did come is there for the first read.
 *
 * @module
 */

import type { Conn } from "../core/mod.ts";

/** Bytes that are taken at most. */
const AHEAD_BYTES = 4096;

/** Reads ahead once, from its making on. */
export class ReadAhead implements Conn {
  readonly #conn: Conn;
  readonly #broken = new AbortController();
  #ahead: Promise<Uint8Array | null> | undefined;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(conn: Conn) {
    this.#conn = conn;
    this.#ahead = this.#readAhead();
    // Whoever reads learns of a failure; until then the signal tells.
    this.#ahead.catch((error) => this.#broken.abort(error));
  }

  /** Aborted when the stream broke before anything came. */
  get broken(): AbortSignal {
    return this.#broken.signal;
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#ahead) {
      const bytes = await this.#ahead;
      this.#ahead = undefined;
      if (bytes === null) return null;
      this.#rest = bytes;
    }
    if (this.#rest.byteLength === 0) return await this.#conn.read(into);
    const part = this.#rest.subarray(0, into.byteLength);
    into.set(part);
    this.#rest = this.#rest.subarray(part.byteLength);
    return part.byteLength;
  }

  write(data: Uint8Array): Promise<number> {
    return this.#conn.write(data);
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    this.#conn.close();
  }

  async #readAhead(): Promise<Uint8Array | null> {
    const buffer = new Uint8Array(AHEAD_BYTES);
    const n = await this.#conn.read(buffer);
    return n === null ? null : buffer.subarray(0, n);
  }
}
