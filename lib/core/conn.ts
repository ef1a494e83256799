/**
 * A connected byte stream and the relay that carries every proxied connection.
 *
 * `Deno.TcpConn` has the shape of {@linkcode Conn} but for `close()`, which throws when called twice:
 * {@linkcode DenoConn} mends that.
 *
 * @module
 */

import { CopyBuffer } from "./copy_buffer.ts";

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

/** A good size for copying in one go. */
export const COPY_BUFFER_BYTES = 64 * 1024;

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
  const buffer = new Uint8Array(COPY_BUFFER_BYTES);
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
    let buffer: CopyBuffer | undefined = new CopyBuffer();
    try {
      for (;;) {
        const n = await from.read(buffer.bytes);
        if (n === null) break;
        const chunk = buffer.bytes.subarray(0, n);
        const taken = await to.write(chunk);
        if (taken < n) await writeAll(to, chunk.subarray(taken));
        counts[direction] += n;
        options.onBytes?.(direction, n);
        buffer.fit(n, taken);
      }
      buffer.release();
      buffer = undefined;
      // Behind the second end both are closed at once.
      if (++ended === 1 || !to.lingers) await to.closeWrite();
    } catch (error) {
      buffer?.abandon(); // a failed write may still hold it
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

/**
 * A `Deno.Conn` as a {@linkcode Conn}: small writes leave at once, `close()` may be called twice, and
 * `closeWrite()` after the peer left.
 */
export class DenoConn implements Conn {
  readonly lingers = true;
  readonly #conn: Deno.TcpConn | Deno.UnixConn;
  /** Writes so far; two stands for more too. */
  #writes = 0;
  #closed = false;

  /** @param conn owned from now on */
  constructor(conn: Deno.TcpConn | Deno.UnixConn) {
    this.#conn = conn;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#conn.read(into);
  }

  write(data: Uint8Array): Promise<number> {
    if (this.#writes < 2 && ++this.#writes === 2) this.#undelay();
    return this.#conn.write(data);
  }

  /**
   * Nagle's algorithm holds a small write back while an earlier one is not acknowledged (RFC 9293
   * section 3.7.4). It never touches the first, and many connections write only once.
   */
  #undelay(): void {
    try {
      if ("setNoDelay" in this.#conn) this.#conn.setNoDelay();
    } catch {
      // The peer has left already (some systems refuse options then); writing will tell.
    }
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
