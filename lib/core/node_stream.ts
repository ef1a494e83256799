/**
 * Bridges between Node streams, which `ssh2` and `net.Socket` speak, and {@linkcode Conn}.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { Conn } from "./conn.ts";
import { writeAll } from "./conn.ts";

/**
 * A Node duplex stream as a Conn. Reads pull (`read()` in paused mode), so a consumer that stops
 * reading stops the stream; writes wait for "drain".
 *
 * @param stream a duplex with `allowHalfOpen`; others close both ways on end of input
 */
export function connFromDuplex(stream: Duplex): Conn {
  const failures: unknown[] = [];
  let ended = false;
  let closed = false;
  let leftover: Uint8Array | undefined;
  let waiting: PromiseWithResolvers<void>[] = [];
  const wake = () => {
    const all = waiting;
    waiting = [];
    for (const { resolve } of all) resolve();
  };
  const change = () => {
    const waiter = Promise.withResolvers<void>();
    waiting.push(waiter);
    return waiter.promise;
  };
  stream.on("readable", wake);
  stream.on("drain", wake);
  stream.on("end", () => {
    ended = true;
    wake();
  });
  stream.on("close", () => {
    closed = true;
    wake();
  });
  stream.on("error", (error) => {
    failures.push(error);
    wake();
  });

  const take = (into: Uint8Array, chunk: Uint8Array): number => {
    const n = Math.min(into.byteLength, chunk.byteLength);
    into.set(chunk.subarray(0, n));
    leftover = n < chunk.byteLength ? chunk.subarray(n) : undefined;
    return n;
  };

  return {
    async read(into) {
      for (;;) {
        if (leftover) return take(into, leftover);
        const chunk = stream.read() as Uint8Array | null;
        if (chunk !== null && chunk.byteLength > 0) return take(into, chunk);
        if (failures.length > 0) throw failures[0];
        if (ended || closed) return null;
        await change();
      }
    },
    async write(data) {
      if (failures.length > 0) throw failures[0];
      if (closed || stream.writableEnded || stream.destroyed) {
        throw new Deno.errors.BrokenPipe("The connection is closed");
      }
      // Copied, because the stream keeps the chunk after this returns.
      if (!stream.write(data.slice())) {
        while (stream.writableNeedDrain && !closed && failures.length === 0) await change();
        if (failures.length > 0) throw failures[0];
        if (closed) throw new Deno.errors.BrokenPipe("The connection is closed");
      }
      return data.byteLength;
    },
    closeWrite() {
      if (closed || stream.writableEnded) return Promise.resolve();
      return new Promise((resolve) => {
        stream.once("close", () => resolve());
        stream.end(() => resolve());
      });
    },
    close() {
      if (stream.destroyed) return;
      // A stream that fails while it is torn down has nobody left to tell.
      stream.on("error", () => {});
      stream.destroy();
    },
  };
}

/** A Conn as a Node duplex stream, for libraries that take a `sock`. Destroying it closes the Conn. */
export function duplexFromConn(conn: Conn, options: { readBytes?: number } = {}): Duplex {
  const size = options.readBytes ?? 64 * 1024;
  return new Duplex({
    allowHalfOpen: true,
    async read() {
      try {
        const buffer = new Uint8Array(size);
        const n = await conn.read(buffer);
        this.push(n === null ? null : Buffer.from(buffer.buffer, 0, n));
      } catch (error) {
        this.destroy(error as Error);
      }
    },
    write(chunk: Uint8Array, _encoding, callback) {
      writeAll(conn, chunk).then(() => callback(), callback);
    },
    writev(chunks, callback) {
      const all = chunks.length === 1
        ? chunks[0]!.chunk as Uint8Array
        : Buffer.concat(chunks.map(({ chunk }) => chunk as Uint8Array));
      writeAll(conn, all).then(() => callback(), callback);
    },
    final(callback) {
      conn.closeWrite().then(() => callback(), callback);
    },
    destroy(error, callback) {
      conn.close();
      callback(error);
    },
  });
}

/**
 * Makes writes that come in a row reach the stream's sink as one. Returns the stream.
 *
 * Who writes a head and a body, or a packet and its authentication tag, or many frames, one after the
 * other would else make a system call of each, and a segment, which TCP's Nagle algorithm may hold back
 * until the one before is acknowledged: 40 ms for every key press.
 *
 * @param later calls what ends the row: behind the microtasks by default; `setImmediate` waits for all
 *   that this turn of the event loop brings
 */
export function coalesceWrites<T extends Duplex>(
  stream: T,
  later: (flush: () => void) => void = queueMicrotask,
): T {
  const write = stream.write;
  let corked = false;
  stream.write = function (this: T, ...args: Parameters<Duplex["write"]>) {
    if (!corked) {
      corked = true;
      stream.cork();
      later(() => {
        corked = false;
        stream.uncork();
      });
    }
    return write.apply(this, args);
  } as T["write"];
  return stream;
}
