/**
 * A client's connection whose input can be read ahead: by the handshake, which must not lose the bytes
 * behind it, and while a dial is under way, to learn that the client has left.
 *
 * @module
 */

import { AwsocksError, BufferPool, type Conn } from "../core/mod.ts";

/** What a parser found at the front of the bytes it was given. */
export interface Parsed<T> {
  readonly value: T;
  /** Bytes that made up the value. */
  readonly length: number;
}

/**
 * Reads one value from the front of `bytes`.
 *
 * Pure: called again with more bytes after it has returned undefined. It throws as soon as no further
 * byte could make the input valid.
 */
export type Parser<T> = (bytes: Uint8Array) => Parsed<T> | undefined;

/** Bytes that may be read ahead. Large enough for an HTTP request with a generous set of cookies. */
export const READ_AHEAD_BYTES = 32 * 1024;

/** First size of the buffer: every SOCKS message fits. */
const INITIAL_BYTES = 1024;

const EMPTY = new Uint8Array(0);
/** Buffers of the first size for connections to come. */
const initialBuffers = new BufferPool(INITIAL_BYTES, 64);

/** A {@linkcode Conn} with bounded read-ahead. Bytes read ahead are the first that `read` returns. */
export class BufferedConn implements Conn {
  readonly #conn: Conn;
  readonly #limit: number;
  #buffer = EMPTY;
  #start = 0;
  #end = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #watching = false;
  /** The read-ahead of {@linkcode watch}; never rejects. */
  #pending: Promise<void> | undefined;

  constructor(conn: Conn, limit: number = READ_AHEAD_BYTES) {
    this.#conn = conn;
    this.#limit = limit;
  }

  get lingers(): boolean {
    return this.#conn.lingers === true;
  }

  /** The bytes read ahead and not taken yet; valid until the next call. */
  get ahead(): Uint8Array {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Drops bytes from the front of {@linkcode ahead}. */
  skip(bytes: number): void {
    this.#start += bytes;
  }

  /**
   * Reads until `parser` finds a value, and takes it.
   * @throws what the parser throws; `proxy-protocol-error` when the input ends or outgrows the limit
   */
  async parse<T>(parser: Parser<T>): Promise<T> {
    for (;;) {
      const parsed = parser(this.ahead);
      if (parsed) {
        this.skip(parsed.length);
        return parsed.value;
      }
      if (!(await this.fill())) {
        throw new AwsocksError(
          "proxy-protocol-error",
          "Connection ended in the middle of the handshake",
        );
      }
    }
  }

  /**
   * Reads at least one more byte behind those read ahead.
   * @returns false at the end of input
   * @throws `proxy-protocol-error` when the buffer has grown to its limit
   */
  async fill(): Promise<boolean> {
    if (!this.#makeRoom()) {
      throw new AwsocksError(
        "proxy-protocol-error",
        `Handshake is longer than ${this.#limit} bytes`,
      );
    }
    try {
      const n = await this.#conn.read(this.#buffer.subarray(this.#end));
      if (n === null) this.#ended = true;
      else this.#end += n;
      return n !== null;
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
  }

  /**
   * Reads ahead until somebody else reads or the buffer is full, and calls `onGone` when the client
   * resets the connection, or ends it without having sent anything: such a client waits for nothing.
   * One that ends its input after early data has only half-closed and may well wait for an answer.
   */
  watch(onGone: (error?: unknown) => void): void {
    this.#watching = true;
    this.#pending ??= this.#watch(onGone);
  }

  async #watch(onGone: (error?: unknown) => void): Promise<void> {
    try {
      while (this.#watching && !this.#ended && !this.#full && await this.fill());
    } catch {
      // What reading has thrown is kept.
    }
    this.#pending = undefined;
    if (this.#failure) onGone(this.#failure.error);
    else if (this.#ended && this.#start === this.#end) onGone();
  }

  read(into: Uint8Array): Promise<number | null> {
    if (this.#pending) return this.#readAfterWatch(this.#pending, into);
    if (this.#start < this.#end) return Promise.resolve(this.#take(into));
    this.#release();
    if (this.#failure) return Promise.reject(this.#failure.error);
    if (this.#ended) return Promise.resolve(null);
    return this.#conn.read(into);
  }

  async #readAfterWatch(pending: Promise<void>, into: Uint8Array): Promise<number | null> {
    this.#watching = false;
    await pending;
    return this.read(into);
  }

  write(data: Uint8Array): Promise<number> {
    return this.#conn.write(data);
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    this.#watching = false;
    this.#conn.close();
  }

  #take(into: Uint8Array): number {
    const part = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + into.length));
    into.set(part);
    this.#start += part.length;
    if (this.#start === this.#end) this.#release();
    return part.length;
  }

  /** Lets go of the empty buffer: a tunnel may live for days. */
  #release(): void {
    initialBuffers.give(this.#buffer);
    this.#buffer = EMPTY;
    this.#start = this.#end = 0;
  }

  /** True when there is no room for one byte more. */
  get #full(): boolean {
    return this.#end - this.#start >= this.#limit;
  }

  /** Moves and grows the buffer so that a read has room; false when it is full. */
  #makeRoom(): boolean {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    if (this.#end < this.#buffer.length) return true;
    if (this.#full) return false;
    const used = this.#end - this.#start;
    if (this.#start === 0) {
      const size = Math.min(this.#limit, Math.max(INITIAL_BYTES, this.#buffer.length * 4));
      const grown = size === INITIAL_BYTES ? initialBuffers.take() : new Uint8Array(size);
      if (used > 0) grown.set(this.ahead);
      this.#buffer = grown;
    } else {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    }
    this.#start = 0;
    this.#end = used;
    return true;
  }
}
