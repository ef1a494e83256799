/**
 * AF_VSOCK for Deno on Linux: stream sockets between a virtual machine and its host.
 *
 * This file and those that it imports need nothing else of the tree. See `ffi/README.md`, and vsock(7)
 * for the addresses.
 *
 * @example
 * ```ts
 * import { CID_HOST, connectVsock, listenVsock } from "./vsock.ts";
 *
 * using listener = listenVsock({ port: 1024 });
 * using host = await connectVsock({ cid: CID_HOST, port: 5000, timeout: 5_000 });
 * await host.write(new TextEncoder().encode(`call me at ${listener.address.port}`));
 * using caller = await listener.accept({ timeout: 60_000 });
 * await caller.closeWrite();
 * ```
 *
 * @module
 */

import { Errno } from "./errno.ts";
import { SystemError } from "./errors.ts";
import { adoptFd, type AdoptOptions, type FdConn } from "./fd_conn.ts";
import { attempt, files, requireLinux, withFile } from "./libc.ts";
import {
  connectSocket,
  ListeningSocket,
  setOption,
  type SocketAddress,
  type WaitOptions,
} from "./sockets.ts";

import {
  AF_VSOCK,
  CID_ANY,
  decodeAddress,
  encodeAddress,
  type VsockAddress,
} from "./vsock_address.ts";

export { SystemError, UnsupportedPlatformError } from "./errors.ts";
export type { AdoptOptions, FdConn } from "./fd_conn.ts";
export type { WaitOptions } from "./sockets.ts";
export {
  CID_ANY,
  CID_HOST,
  CID_HYPERVISOR,
  CID_LOCAL,
  PORT_ANY,
  type VsockAddress,
} from "./vsock_address.ts";

// linux/vm_sockets.h
const SO_VM_SOCKETS_CONNECT_TIMEOUT = 6;
const IOCTL_VM_SOCKETS_GET_LOCAL_CID = 0x7b9n;

/** Connections that may wait to be accepted. */
const BACKLOG = 128;

/** A connection over vsock. */
export interface VsockConn extends FdConn {
  /** The other end. */
  readonly peer: VsockAddress;
}

/** A listening vsock. */
export interface VsockListener extends Disposable {
  /** Where it listens, with the real port. */
  readonly address: VsockAddress;
  /**
   * The next connection.
   * @throws SystemError, `ETIMEDOUT` at the deadline and `ECANCELED` once closed; the reason of the signal
   */
  accept(options?: WaitOptions): Promise<VsockConn>;
  /** Stops listening; accepts that wait fail. Idempotent. */
  close(): void;
}

/** Gives a connection the address of its peer. */
function withPeer(fd: number, peer: VsockAddress, options: AdoptOptions): VsockConn {
  return Object.assign(adoptFd(fd, options), { peer });
}

/** Options of {@linkcode connectVsock}. */
export interface ConnectVsockOptions extends VsockAddress, WaitOptions, AdoptOptions {}

/**
 * Connects. Without a time-out the kernel's own applies, which is 2 s.
 * @throws SystemError, `ECONNREFUSED` when nothing listens there, `ENODEV` when there is no such
 * machine, `ETIMEDOUT`; UnsupportedPlatformError; RangeError; the reason of the signal
 */
export async function connectVsock(options: ConnectVsockOptions): Promise<VsockConn> {
  requireLinux("AF_VSOCK");
  const { signal, timeout } = options;
  const peer: VsockAddress = { cid: options.cid, port: options.port };
  const address = encodeAddress(peer);
  const prepare = (fd: number) => {
    if (timeout !== undefined) setConnectTimeout(fd, timeout);
  };
  try {
    const fd = await connectSocket(address, { signal, timeout, prepare });
    return withPeer(fd, peer, options);
  } catch (cause) {
    throw refusal(cause, address);
  }
}

/** Ours must be the first to run out. */
function setConnectTimeout(fd: number, milliseconds: number): void {
  const seconds = Math.ceil(milliseconds / 1000) + 1;
  // struct timeval: seconds, microseconds
  const value = BigInt64Array.of(BigInt(seconds), 0n);
  setOption(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, value);
}

/** Virtio has one answer for "nobody listens" and "hang up", a reset; before a connection it means the first. */
function refusal(cause: unknown, { text }: SocketAddress): unknown {
  if (!(cause instanceof SystemError) || cause.errno !== Errno.ECONNRESET) return cause;
  const facts = { syscall: "connect", address: text, errno: Errno.ECONNREFUSED };
  return new SystemError(facts, { cause });
}

/** Options of {@linkcode listenVsock}. */
export interface ListenVsockOptions extends AdoptOptions {
  /** Default {@linkcode CID_ANY}. */
  readonly cid?: number;
  /** Ports below 1024 need privileges; {@linkcode PORT_ANY} takes a free one. */
  readonly port: number;
}

/**
 * Listens.
 * @throws SystemError, such as `EADDRINUSE`; UnsupportedPlatformError; RangeError
 */
export function listenVsock(options: ListenVsockOptions): VsockListener {
  requireLinux("AF_VSOCK");
  const { cid = CID_ANY, port } = options;
  const socket = new ListeningSocket(encodeAddress({ cid, port }), BACKLOG);
  return {
    address: decodeAddress(socket.bound),
    accept: async (limits) => {
      const { fd, peer } = await socket.accept(limits);
      return withPeer(fd, decodeAddress(peer), options);
    },
    close: () => socket.close(),
    [Symbol.dispose]: () => socket.close(),
  };
}

/**
 * The context id of this machine.
 * @throws SystemError, `ENOENT` without a vsock device; UnsupportedPlatformError
 */
export function localCid(): number {
  requireLinux("AF_VSOCK");
  const cid = new Uint32Array(1);
  withFile("/dev/vsock", (fd) => {
    const { ioctl } = files();
    attempt("ioctl", "/dev/vsock", () => ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, cid));
  });
  return cid[0]!;
}
