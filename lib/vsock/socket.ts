/**
 * AF_VSOCK itself, through `ffi/`, which is opened when the first address needs it.
 *
 * @module
 */

import { type Conn, getLog } from "../core/mod.ts";
import type { VsockAddress } from "./address.ts";
import type { ListenerSource } from "./listener.ts";

const log = getLog("vsock");

type SocketAddress = VsockAddress & { kind: "vsock" };

/** Milliseconds by which the kernel waits longer than our clock, which has the word for it. */
const GRACE_MS = 1000;

/** Connects; ends when `signal` aborts, which it does after `timeout` milliseconds. */
export async function connectSocket(
  { cid, port }: SocketAddress,
  { signal, timeout }: { readonly signal: AbortSignal; readonly timeout: number },
): Promise<Conn> {
  const { connectVsock } = await import("../../ffi/vsock.ts");
  return await connectVsock({ cid, port, signal, timeout: timeout + GRACE_MS });
}

/** Listens. @param admits whether a context id may connect; default any */
export async function listenSocket(
  { cid, port }: SocketAddress,
  admits?: (peerCid: number) => boolean,
): Promise<ListenerSource> {
  const { listenVsock } = await import("../../ffi/vsock.ts");
  const socket = listenVsock({ cid, port });
  return {
    address: { kind: "vsock", ...socket.address },
    next: admits ? () => nextAdmitted(() => socket.accept(), admits) : () => socket.accept(),
    stop: () => socket.close(),
  };
}

/** A connection that has come, and from where. */
type Arrival = Conn & { readonly peer: { readonly cid: number; readonly port: number } };

/** The next connection of a peer that may connect; others are closed without a word. */
export async function nextAdmitted<C extends Arrival>(
  accept: () => Promise<C>,
  admits: (peerCid: number) => boolean,
): Promise<C> {
  for (;;) {
    const conn = await accept();
    if (admits(conn.peer.cid)) return conn;
    conn.close();
    log.warn("Refused a connection from context id {cid}", conn.peer);
  }
}
