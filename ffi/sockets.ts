/**
 * Stream sockets of any address family, with deadlines: what vsock needs of the sockets API.
 *
 * Every socket is non-blocking, so each call returns at once on this thread, with an errno that is its
 * own; waiting is the reactor's.
 *
 * @module
 */

import { Errno, SystemError } from "./errors.ts";
import { attempt, closeFd, invoke, once, openLibc } from "./libc.ts";
import { closeSocket, forget, reactor } from "./reactor.ts";

const symbols = once(() =>
  openLibc("Opening sockets", {
    socket: {
      parameters: ["i32", /* domain */ "i32", /* type */ "i32" /* protocol */],
      result: "i32",
    },
    bind: { parameters: ["i32", /* fd */ "buffer", /* addr */ "u32" /* len */], result: "i32" },
    listen: { parameters: ["i32", /* fd */ "i32" /* backlog */], result: "i32" },
    accept4: {
      parameters: [
        "i32", /* fd */
        "buffer", /* addr */
        "buffer", /* len */
        "i32", /* flags */
      ],
      result: "i32",
    },
    connect: { parameters: ["i32", /* fd */ "buffer", /* addr */ "u32" /* len */], result: "i32" },
    getsockname: {
      parameters: ["i32", /* fd */ "buffer", /* addr */ "buffer" /* len */],
      result: "i32",
    },
    getsockopt: {
      parameters: [
        "i32", /* fd */
        "i32", /* level */
        "i32", /* name */
        "buffer", /* value */
        "buffer", /* len */
      ],
      result: "i32",
    },
    setsockopt: {
      parameters: [
        "i32", /* fd */
        "i32", /* level */
        "i32", /* name */
        "buffer", /* value */
        "u32", /* len */
      ],
      result: "i32",
    },
  })
);

// asm-generic/socket.h and linux/net.h: the same on x86-64 and arm64.
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;

/** Longest address of any family, struct sockaddr_storage. */
const MAX_SOCKADDR_BYTES = 128;

/** An address as the kernel takes it. */
export interface SocketAddress {
  /** The family's `sockaddr` structure. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** For messages. */
  readonly text: string;
}

/** What limits a wait. */
export interface WaitOptions {
  /** Ends it with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds after which it fails with `ETIMEDOUT`; default without limit. */
  readonly timeout?: number | undefined;
}

/** A connection that was accepted. The taker owns the descriptor. */
export interface Accepted {
  readonly fd: number;
  /** The peer's `sockaddr`. */
  readonly peer: Uint8Array<ArrayBuffer>;
}

/** The milliseconds that are left of a time-out that starts now. */
function countdown({ timeout }: WaitOptions): () => number | undefined {
  if (timeout === undefined) return () => undefined;
  const end = performance.now() + timeout;
  return () => end - performance.now();
}

function familyOf({ bytes }: SocketAddress): number {
  return new DataView(bytes.buffer).getUint16(0, true);
}

function openSocket(address: SocketAddress): number {
  const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  return attempt("socket", address.text, () => symbols().socket(familyOf(address), type, 0));
}

/**
 * Sets an option.
 * @throws SystemError
 */
export function setOption(fd: number, level: number, name: number, value: BufferSource): void {
  const { setsockopt } = symbols();
  const length = value.byteLength;
  attempt("setsockopt", undefined, () => setsockopt(fd, level, name, value, length));
}

/** The error that a socket has stored, and clears by being asked; 0 for none. */
function pendingError(fd: number): number {
  const value = new Int32Array(1);
  const length = Uint32Array.of(value.byteLength);
  const { getsockopt } = symbols();
  attempt("getsockopt", undefined, () => getsockopt(fd, SOL_SOCKET, SO_ERROR, value, length));
  return value[0]!;
}

/** The address that a socket is bound to. */
function boundAddress(fd: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(MAX_SOCKADDR_BYTES);
  const length = Uint32Array.of(bytes.byteLength);
  attempt("getsockname", undefined, () => symbols().getsockname(fd, bytes, length));
  return bytes.slice(0, length[0]);
}

/**
 * Connects.
 * @param prepare sets options before the attempt
 * @returns the descriptor, which the caller owns
 * @throws SystemError; the reason of the signal
 */
export async function connectSocket(
  address: SocketAddress,
  options: WaitOptions & { readonly prepare?: (fd: number) => void } = {},
): Promise<number> {
  options.signal?.throwIfAborted();
  const fd = openSocket(address);
  try {
    options.prepare?.(fd);
    const fail = (errno: number) =>
      new SystemError({ syscall: "connect", address: address.text, errno });
    const { bytes } = address;
    const result = invoke(() => symbols().connect(fd, bytes, bytes.byteLength));
    if (result === -Errno.EINPROGRESS) {
      const { signal, timeout } = options;
      if (!await reactor().ready(fd, "write", { signal, timeout })) throw fail(Errno.ETIMEDOUT);
      const error = pendingError(fd);
      if (error !== 0) throw fail(error);
      forget(fd);
    } else if (result < 0) throw fail(-result);
    return fd;
  } catch (error) {
    closeSocket(fd);
    throw error;
  }
}

/** A listening socket. */
export class ListeningSocket implements Disposable {
  readonly #fd: number;
  readonly #text: string;
  /** Where it listens, with the real port. */
  readonly bound: Uint8Array<ArrayBuffer>;
  #closed = false;

  /** @throws SystemError */
  constructor(address: SocketAddress, backlog: number) {
    const { bytes, text } = address;
    this.#text = text;
    this.#fd = openSocket(address);
    try {
      attempt("bind", text, () => symbols().bind(this.#fd, bytes, bytes.byteLength));
      attempt("listen", text, () => symbols().listen(this.#fd, backlog));
      this.bound = boundAddress(this.#fd);
    } catch (error) {
      closeFd(this.#fd);
      throw error;
    }
  }

  /**
   * The next connection.
   * @throws SystemError, `ETIMEDOUT` at the deadline and `ECANCELED` once closed; the reason of the signal
   */
  async accept(options: WaitOptions = {}): Promise<Accepted> {
    const left = countdown(options);
    for (;;) {
      options.signal?.throwIfAborted();
      if (this.#closed) throw this.#failure(Errno.ECANCELED, "the listener is closed");
      const accepted = this.#tryAccept();
      if (accepted) return accepted;
      const ready = await reactor().ready(this.#fd, "read", {
        signal: options.signal,
        timeout: left(),
      }).catch((error) => {
        throw this.#closed ? this.#failure(Errno.ECANCELED, "the listener is closed") : error;
      });
      if (!ready) throw this.#failure(Errno.ETIMEDOUT, "nobody connected in time");
    }
  }

  /** Stops listening; accepts that wait fail. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSocket(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** A connection that is there already. */
  #tryAccept(): Accepted | undefined {
    const peer = new Uint8Array(MAX_SOCKADDR_BYTES);
    const length = Uint32Array.of(peer.byteLength);
    const flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    for (;;) {
      const fd = invoke(() => symbols().accept4(this.#fd, peer, length, flags));
      if (fd >= 0) return { fd, peer: peer.slice(0, length[0]) };
      if (fd === -Errno.EAGAIN) return undefined;
      // A client that left in the queue is no reason to stop.
      if (fd !== -Errno.ECONNABORTED) throw this.#failure(-fd);
    }
  }

  #failure(errno: number, reason?: string): SystemError {
    return new SystemError({ syscall: "accept", address: this.#text, errno, reason });
  }
}
