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
 * const conn = await connectVsock({ cid: CID_HOST, port: 5000, timeout: 5000 });
 * ```
 *
 * @module
 */

import { Errno, SystemError } from "./errors.ts";
import { adoptFd, type FdConn } from "./fd_conn.ts";
import { attempt, files, requireLinux, withFile } from "./libc.ts";
import {
  connectSocket,
  ListeningSocket,
  setOption,
  type SocketAddress,
  type WaitOptions,
} from "./sockets.ts";

export { SystemError, UnsupportedPlatformError } from "./errors.ts";
export type { FdConn } from "./fd_conn.ts";
export type { WaitOptions } from "./sockets.ts";

// linux/vm_sockets.h
const AF_VSOCK = 40;
const SO_VM_SOCKETS_CONNECT_TIMEOUT = 6;
const IOCTL_VM_SOCKETS_GET_LOCAL_CID = 0x7b9n;

/** Listens on every context id of this machine. */
export const CID_ANY = 0xffff_ffff;
/** The hypervisor; hardly any has services there. */
export const CID_HYPERVISOR = 0;
/** This machine itself. */
export const CID_LOCAL = 1;
/** The host, seen from a guest. */
export const CID_HOST = 2;
/** Listens on any free port. */
export const PORT_ANY = 0xffff_ffff;

/** Connections that may wait to be accepted. */
const BACKLOG = 128;

/** A context id and a port, 32 bits each. */
export interface VsockAddress {
  readonly cid: number;
  readonly port: number;
}

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

/** struct sockaddr_vm, 16 bytes: family u16, reserved u16, port u32, cid u32, flags u8, zero. */
function encodeAddress({ cid, port }: VsockAddress): SocketAddress {
  checkU32("cid", cid);
  checkU32("port", port);
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_VSOCK, true);
  view.setUint32(4, port, true);
  view.setUint32(8, cid, true);
  return { bytes, text: `vsock ${cid === CID_ANY ? "any" : cid}:${port}` };
}

function decodeAddress(bytes: Uint8Array<ArrayBuffer>): VsockAddress {
  const view = new DataView(bytes.buffer);
  return { port: view.getUint32(4, true), cid: view.getUint32(8, true) };
}

function checkU32(name: string, value: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return;
  throw new RangeError(`${name} must be a whole number from 0 to 4294967295`);
}

/** Gives a connection the address of its peer. */
function withPeer(fd: number, peer: VsockAddress): VsockConn {
  return Object.assign(adoptFd(fd), { peer });
}

/** Options of {@linkcode connectVsock}. */
export interface ConnectVsockOptions extends VsockAddress, WaitOptions {}

/**
 * Connects.
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
    return withPeer(await connectSocket(address, { signal, timeout, prepare }), peer);
  } catch (cause) {
    throw refusal(cause, address);
  }
}

/** The kernel's own limit is 2 s; ours must be the first to run out. */
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
export interface ListenVsockOptions {
  /** Default {@linkcode CID_ANY}. */
  readonly cid?: number;
  /** Ports below 1024 need privileges; {@linkcode PORT_ANY} takes a free one. */
  readonly port: number;
}

/**
 * Listens.
 * @throws SystemError, such as `EADDRINUSE`; UnsupportedPlatformError; RangeError
 */
export function listenVsock({ cid = CID_ANY, port }: ListenVsockOptions): VsockListener {
  requireLinux("AF_VSOCK");
  const socket = new ListeningSocket(encodeAddress({ cid, port }), BACKLOG);
  return {
    address: decodeAddress(socket.bound),
    accept: async (options) => {
      const { fd, peer } = await socket.accept(options);
      return withPeer(fd, decodeAddress(peer));
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
