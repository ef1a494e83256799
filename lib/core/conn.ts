/**
 * A connected byte stream and the relay that carries every proxied connection.
 *
 * `Deno.TcpConn` has the shape of {@linkcode Conn} but for `close()`, which throws when called twice:
 * {@linkcode DenoConn} mends that.
 *
 * @module
 */

import { BufferPool } from "./buffer_pool.ts";

/** A connected byte stream. */
export interface Conn {
  /**
   * Reads up to `into.byteLength` bytes.
   * @returns bytes read (at least 1), or null at end of input
   */
  read(into: Uint8Array): Promise<number | null>;
  /**
   * Writes some of `data`; resolves when accepted, which is the back-pressure. The bytes taken have
   * been copied or sent: the caller may reuse the buffer.
   * @returns bytes taken, at least 1 for non-empty data
   */
  write(data: Uint8Array): Promise<number>;
  /** Ends the output and leaves the input open (half-close). */
  closeWrite(): Promise<void>;
  /** Ends both directions; pending reads return null or throw. Idempotent, never throws. */
  close(): void;
  /** True where `close()` still delivers what was written, as TCP does; elsewhere it may be lost. */
  readonly lingers?: boolean;
}

/** Size of the buffer with which {@linkcode relay} copies, per direction. */
export const RELAY_BUFFER_BYTES = 64 * 1024;
/** First size of that buffer: most connections are short, and of those that last most are idle. */
const FIRST_BUFFER_BYTES = 8 * 1024;
/** Buffers of that size for connections to come. */
const firstBuffers = new BufferPool(FIRST_BUFFER_BYTES, 64);

/** Writes all of `data`. */
export async function writeAll(conn: Pick<Conn, "write">, data: Uint8Array): Promise<void> {
  let offset = 0;
  while (offset < data.byteLength) {
    offset += await conn.write(offset === 0 ? data : data.subarray(offset));
  }
}

/**
 * Reads until `into` is full.
 * @returns false when the input ended before; the bytes read so far are lost to the caller
 */
export async function readFull(conn: Pick<Conn, "read">, into: Uint8Array): Promise<boolean> {
  let offset = 0;
  while (offset < into.byteLength) {
    const n = await conn.read(into.subarray(offset));
    if (n === null) return false;
    offset += n;
  }
  return true;
}

/** Reads to the end of input; fails with RangeError beyond `limit` bytes. */
export async function readAll(
  conn: Pick<Conn, "read">,
  limit: number = 64 * 1024 * 1024,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(RELAY_BUFFER_BYTES);
  let total = 0;
  for (;;) {
    const n = await conn.read(buffer);
    if (n === null) break;
    total += n;
    if (total > limit) throw new RangeError(`Input is longer than ${limit} bytes`);
    chunks.push(buffer.slice(0, n));
  }
  const all = new Uint8Array(total);
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return all;
}

/** Bytes carried by a {@linkcode relay} and what ended it, if not both ends of input. */
export interface RelayResult {
  /** Bytes copied from the first Conn to the second. */
  readonly aToB: number;
  /** Bytes copied from the second Conn to the first. */
  readonly bToA: number;
  /** The first failure; absent when both directions came to their end. */
  readonly error?: unknown;
}

/** Options of {@linkcode relay}. */
export interface RelayOptions {
  /** Closes both when aborted. */
  readonly signal?: AbortSignal;
  /** Called after each chunk with the bytes it had, for live accounting. */
  readonly onBytes?: (direction: "aToB" | "bToA", bytes: number) => void;
}

/**
 * Copies both ways until both directions have ended, then closes both.
 *
 * The end of one direction is passed on as a half-close; a failure of either closes both. A slow
 * receiver holds its sender back because each write is awaited before the next read. Never throws.
 */
export async function relay(a: Conn, b: Conn, options: RelayOptions = {}): Promise<RelayResult> {
  const counts = { aToB: 0, bToA: 0 };
  let ended = 0;
  let failure: { error: unknown } | undefined;
  const closeBoth = () => {
    a.close();
    b.close();
  };
  const fail = (error: unknown) => {
    failure ??= { error };
    closeBoth();
  };
  const pump = async (from: Conn, to: Conn, direction: "aToB" | "bToA") => {
    let buffer = firstBuffers.take();
    try {
      for (;;) {
        const n = await from.read(buffer);
        if (n === null) break;
        const chunk = buffer.subarray(0, n);
        const taken = await to.write(chunk);
        if (taken < n) await writeAll(to, chunk.subarray(taken));
        counts[direction] += n;
        options.onBytes?.(direction, n);
        if (n === FIRST_BUFFER_BYTES) {
          firstBuffers.give(buffer);
          buffer = new Uint8Array(RELAY_BUFFER_BYTES);
        }
      }
      firstBuffers.give(buffer); // not after a failure: a write that has failed may still hold it
      // Behind the second end both are closed at once.
      if (++ended === 1 || !to.lingers) await to.closeWrite();
    } catch (error) {
      fail(error);
    }
  };
  const onAbort = () => fail(options.signal?.reason);
  if (options.signal?.aborted) onAbort();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  await Promise.all([pump(a, b, "aToB"), pump(b, a, "bToA")]);
  options.signal?.removeEventListener("abort", onAbort);
  closeBoth();
  return failure ? { ...counts, error: failure.error } : counts;
}

/** A `Deno.Conn` as a {@linkcode Conn}: `close()` may be called twice, `closeWrite()` after the peer left. */
export class DenoConn implements Conn {
  readonly lingers = true;
  readonly #conn: Deno.TcpConn | Deno.UnixConn;
  #closed = false;

  /** @param conn owned from now on */
  constructor(conn: Deno.TcpConn | Deno.UnixConn) {
    this.#conn = conn;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#conn.read(into);
  }

  write(data: Uint8Array): Promise<number> {
    return this.#conn.write(data);
  }

  async closeWrite(): Promise<void> {
    if (this.#closed) return;
    try {
      await this.#conn.closeWrite();
    } catch (error) {
      // The peer has reset the connection already: there is nobody left to tell.
      if (!(error instanceof Deno.errors.NotConnected)) throw error;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }
}
