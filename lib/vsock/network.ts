/**
 * Connecting to and listening for the far side, whichever transport its address names.
 *
 * @module
 */

import { type Clock, type Conn, getLog, systemClock, withDeadline } from "../core/mod.ts";
import { formatVsockAddress, type VsockAddress } from "./address.ts";
import { connectError, connectTimeout, listenError } from "./failures.ts";
import { type ListenerSource, SourceListener, type VsockListener } from "./listener.ts";
import { connectSocket, listenSocket } from "./socket.ts";
import { connectTcp, listenTcp } from "./tcp.ts";
import { connectUnix, listenUnix } from "./unix.ts";

const log = getLog("vsock");

/** How long a connection may take by default, in milliseconds. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** Options of {@linkcode connectVsock}. */
export interface ConnectVsockOptions {
  /** Ends the attempt. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds it may take; default {@linkcode CONNECT_TIMEOUT_MS}. */
  readonly timeout?: number;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/** Options of {@linkcode listenVsock}. */
export interface ListenVsockOptions {
  /** Closes the listener. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether a peer may connect; the connections of others are closed. Asked over AF_VSOCK, where every
   * machine of the host, and every process of it, reaches a port.
   */
  readonly admits?: (peerCid: number) => boolean;
}

/** The two ways to the far side, for code that is tested on a network in memory. */
export interface VsockNetwork {
  connectVsock(address: VsockAddress, options?: ConnectVsockOptions): Promise<Conn>;
  listenVsock(address: VsockAddress, options?: ListenVsockOptions): Promise<VsockListener>;
}

/**
 * Connects to an address.
 * @throws AwsocksError `vsock-connect-failed` (fact `errno` says why), `timeout`,
 * `unsupported-platform`; the reason of the signal
 */
export async function connectVsock(
  address: VsockAddress,
  options: ConnectVsockOptions = {},
): Promise<Conn> {
  const { timeout = CONNECT_TIMEOUT_MS, clock = systemClock } = options;
  return await withDeadline(
    clock,
    timeout,
    () => connectTimeout(address, timeout),
    (signal) => attempt(address, { signal, timeout }),
    options.signal,
  );
}

/** One attempt. A connection that comes when nobody waits any more is closed. */
async function attempt(
  address: VsockAddress,
  options: { readonly signal: AbortSignal; readonly timeout: number },
): Promise<Conn> {
  const { signal } = options;
  try {
    const conn = await open(address, options);
    if (!signal.aborted) return conn;
    conn.close();
  } catch (error) {
    if (!signal.aborted) throw connectError(address, error);
  }
  throw signal.reason;
}

function open(
  address: VsockAddress,
  options: { readonly signal: AbortSignal; readonly timeout: number },
): Promise<Conn> {
  switch (address.kind) {
    case "vsock":
      return connectSocket(address, options);
    case "unix":
      return connectUnix(address, options.signal);
    case "tcp":
      return connectTcp(address, options.signal);
  }
}

/**
 * Listens on an address. `unix:PATH:PORT` listens on the socket `PATH_PORT`, which is where a
 * user-space vsock device brings the guest's connections to that port. The file of a Unix socket is
 * open to this user alone and is removed at the end.
 *
 * @throws AwsocksError `listen-failed`, `unsupported-platform`; the reason of the signal
 */
export async function listenVsock(
  address: VsockAddress,
  options: ListenVsockOptions = {},
): Promise<VsockListener> {
  const { signal } = options;
  signal?.throwIfAborted();
  let source: ListenerSource;
  try {
    source = await bind(address, options);
  } catch (error) {
    throw listenError(address, error);
  }
  const listener = new SourceListener(source, signal);
  signal?.throwIfAborted();
  log.debug("Listening", { address: formatVsockAddress(listener.address) });
  return listener;
}

async function bind(
  address: VsockAddress,
  { admits }: ListenVsockOptions,
): Promise<ListenerSource> {
  switch (address.kind) {
    case "vsock":
      return await listenSocket(address, admits);
    case "unix":
      return await listenUnix(address);
    case "tcp":
      return listenTcp(address);
  }
}
