/**
 * A connected descriptor driven by hand: system calls on this thread, the reactor for waiting.
 *
 * @module
 */

import { Errno, SystemError } from "./errors.ts";
import type { FdConn } from "./fd_conn.ts";
import { invoke, once, openLibc } from "./libc.ts";
import { closeSocket, reactor, type Readiness, turn } from "./reactor.ts";

const symbols = once(() =>
  openLibc("Reading and writing sockets", {
    recv: {
      parameters: ["i32", /* fd */ "buffer", /* buf */ "usize", /* len */ "i32" /* flags */],
      result: "isize",
    },
    send: {
      parameters: ["i32", /* fd */ "buffer", /* buf */ "usize", /* len */ "i32" /* flags */],
      result: "isize",
    },
    shutdown: { parameters: ["i32", /* fd */ "i32" /* how */], result: "i32" },
  })
);

// linux/socket.h
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;

/** Calls that succeed at once after which the rest of the program gets its turn. */
const CALLS_PER_TURN = 16;

/** The FFI takes any memory; only the types tell shared memory apart. */
function asBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}

/** A connection by `recv` and `send`. */
export class SocketConn implements FdConn {
  readonly #fd: number;
  #closed = false;
  #calls = 0;

  /** @param fd a connected stream socket; owned from here on */
  constructor(fd: number) {
    this.#fd = fd;
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (into.byteLength === 0) return 0;
    const bytes = asBuffer(into);
    const { recv } = symbols();
    const length = BigInt(bytes.byteLength);
    const n = await this.#transfer("read", () => recv(this.#fd, bytes, length, MSG_DONTWAIT));
    return n === undefined || n === 0 ? null : n;
  }

  async write(data: Uint8Array): Promise<number> {
    if (data.byteLength === 0) return 0;
    const bytes = asBuffer(data);
    const { send } = symbols();
    const length = BigInt(bytes.byteLength);
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const n = await this.#transfer("write", () => send(this.#fd, bytes, length, flags));
    if (n === undefined) throw this.#failure("write", Errno.ECANCELED, "the connection is closed");
    return n;
  }

  closeWrite(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const result = invoke(() => symbols().shutdown(this.#fd, SHUT_WR));
    // The peer has reset the connection already: there is nobody left to tell.
    if (result >= 0 || result === -Errno.ENOTCONN) return Promise.resolve();
    return Promise.reject(new SystemError({ syscall: "shutdown", errno: -result }));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSocket(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Calls until it moves bytes.
   * @returns undefined once closed
   */
  async #transfer(what: Readiness, call: () => bigint): Promise<number | undefined> {
    // Without this, a peer that is always ready would keep timers and other connections waiting.
    if (++this.#calls % CALLS_PER_TURN === 0) await turn();
    while (!this.#closed) {
      const result = invoke(call);
      if (result >= 0) return result;
      if (result !== -Errno.EAGAIN) throw this.#failure(what, -result);
      try {
        await reactor().ready(this.#fd, what);
      } catch (error) {
        if (!this.#closed) throw error;
      }
    }
    return undefined;
  }

  #failure(syscall: Readiness, errno: number, reason?: string): SystemError {
    return new SystemError({ syscall, errno, reason });
  }
}
