/**
 * A connected descriptor in the runtime's own event loop.
 *
 * @module
 */

import net from "node:net";
import process from "node:process";
import { UnsupportedPlatformError } from "./errors.ts";
import type { FdConn } from "./fd_conn.ts";
import { closeFd } from "./libc.ts";

/** First release of Deno whose adopted pipes can close one half and keep the other. */
const PIPES_SINCE = [2, 7, 12] as const;

/** A stream of libuv's kind; Node's `net` is made for it. */
interface Pipe {
  /** @returns 0, or a negative error number; the descriptor is the pipe's from then on */
  open(fd: number): number;
}

interface PipeBinding {
  readonly Pipe: new (type: number) => Pipe;
  readonly constants: { readonly SOCKET: number };
}

/** Undocumented, and so no part of the types: what Node's own modules are built on. */
type BindingProcess = { readonly binding?: (name: "pipe_wrap") => Partial<PipeBinding> };

/** `net.Socket` takes what its own module passes it: a handle in place of an address. */
type HandleSocket = new (options: { handle: Pipe; allowHalfOpen: boolean }) => net.Socket;

function pipeBinding(): PipeBinding | undefined {
  try {
    const { Pipe, constants } = (process as BindingProcess).binding?.("pipe_wrap") ?? {};
    return Pipe && constants ? { Pipe, constants } : undefined;
  } catch {
    return undefined; // "No such module"
  }
}

/** True when a version is that of {@linkcode PIPES_SINCE} or later. */
export function isRecent(version: string): boolean {
  const parts = version.split(/[.+-]/).map(Number);
  for (const [i, least] of PIPES_SINCE.entries()) {
    const part = parts[i] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}

/** True when this runtime adopts descriptors as pipes, half-closes included. */
export function pipesWork(version: string = Deno.version.deno): boolean {
  return isRecent(version) && pipeBinding() !== undefined;
}

/** Opens a descriptor as a Node socket; closes it when that fails. */
function openPipe(fd: number): net.Socket {
  try {
    const binding = pipeBinding();
    if (!binding) throw new UnsupportedPlatformError("This runtime has no pipe_wrap");
    const handle = new binding.Pipe(binding.constants.SOCKET);
    const status = handle.open(fd);
    if (status !== 0) {
      throw new UnsupportedPlatformError(`pipe_wrap refuses the descriptor: ${status}`);
    }
    return new (net.Socket as unknown as HandleSocket)({ handle, allowHalfOpen: true });
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

function brokenPipe(): Error {
  return Object.assign(new Error("write: the connection is closed (EPIPE)"), { code: "EPIPE" });
}

/** A connection by `pipe_wrap`. Reads pull: without a reader the kernel's buffer fills, and then the peer's. */
export class PipeConn implements FdConn {
  readonly #socket: net.Socket;
  #leftover: Uint8Array | undefined;
  #failure: Error | undefined;
  #closed = false;
  /** Resolves at the next sign of life. */
  #change: PromiseWithResolvers<void> | undefined;

  /** @param fd a connected stream socket; owned from here on */
  constructor(fd: number) {
    this.#socket = openPipe(fd);
    const wake = () => {
      this.#change?.resolve();
      this.#change = undefined;
    };
    this.#socket.on("readable", wake).on("end", wake).on("close", wake);
    this.#socket.on("error", (error) => {
      this.#failure ??= error;
      wake();
    });
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (into.byteLength === 0) return 0;
    while (!this.#closed) {
      const chunk = this.#leftover ?? this.#socket.read() as Uint8Array | null;
      if (chunk !== null && chunk.byteLength > 0) return this.#take(chunk, into);
      if (this.#failure) throw this.#failure;
      if (this.#socket.readableEnded || this.#socket.destroyed) return null;
      this.#change ??= Promise.withResolvers();
      await this.#change.promise;
    }
    return null;
  }

  #take(chunk: Uint8Array, into: Uint8Array): number {
    const n = Math.min(into.byteLength, chunk.byteLength);
    into.set(n < chunk.byteLength ? chunk.subarray(0, n) : chunk);
    this.#leftover = n < chunk.byteLength ? chunk.subarray(n) : undefined;
    return n;
  }

  write(data: Uint8Array): Promise<number> {
    if (data.byteLength === 0) return Promise.resolve(0);
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#socket.destroyed || this.#socket.writableEnded) return Promise.reject(brokenPipe());
    return new Promise((resolve, reject) => {
      // Called when the kernel has it all, so the buffer is the caller's again and needs no copy.
      this.#socket.write(data, (error) => error ? reject(error) : resolve(data.byteLength));
    });
  }

  closeWrite(): Promise<void> {
    if (this.#socket.destroyed || this.#socket.writableEnded) return Promise.resolve();
    return new Promise((resolve) => {
      // A peer that has gone answers with an error, which reading tells; closing is done either way.
      this.#socket.once("close", () => resolve());
      this.#socket.end(() => resolve());
    });
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
