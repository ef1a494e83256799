/**
 * An already connected stream socket as a connection.
 *
 * Two ways. The runtime's own event loop can adopt a descriptor through `process.binding("pipe_wrap")`,
 * which Node's `child_process` and `net` are made of: real asynchronous I/O of any family that reads and
 * writes as a stream, AF_VSOCK included (`net.Socket({fd})` is choosier). Where the binding is missing
 * or halves cannot be closed alone, `recv` and `send` on this thread with the reactor for waiting do the
 * same.
 *
 * @module
 */

import { PipeConn, pipesWork } from "./pipe_conn.ts";
import { SocketConn } from "./socket_conn.ts";

/** A connected byte stream. Reads and writes may run at the same time. */
export interface FdConn extends Disposable {
  /**
   * Reads up to `into.byteLength` bytes.
   * @returns bytes read, at least 1, or null at end of input and once closed
   * @throws Error with a `code` such as `ECONNRESET`
   */
  read(into: Uint8Array): Promise<number | null>;
  /**
   * Writes some of `data` and resolves when the kernel has it.
   * @returns bytes taken, at least 1 for non-empty data
   * @throws Error with a `code` such as `EPIPE`
   */
  write(data: Uint8Array): Promise<number>;
  /** Ends the output and leaves the input open. No-op once the peer has gone. */
  closeWrite(): Promise<void>;
  /** Ends both directions and frees the descriptor. Idempotent, never throws. */
  close(): void;
}

/** Options of {@linkcode adoptFd}. */
export interface AdoptOptions {
  /** How; default `pipe` where it works, else `socket`. */
  readonly via?: "pipe" | "socket";
}

/**
 * Makes a connection of a descriptor and owns it from then on, also when this fails.
 * @param fd a connected, non-blocking stream socket
 * @throws Error with a `code` when the runtime refuses the descriptor
 */
export function adoptFd(fd: number, options: AdoptOptions = {}): FdConn {
  const via = options.via ?? (pipesWork() ? "pipe" : "socket");
  return via === "pipe" ? new PipeConn(fd) : new SocketConn(fd);
}
