/**
 * AF_VSOCK itself, through `ffi/`, which is opened when the first address needs it.
 *
 * @module
 */

import type { Conn } from "../core/mod.ts";
import type { VsockAddress } from "./address.ts";
import type { ListenerSource } from "./listener.ts";

type SocketAddress = VsockAddress & { kind: "vsock" };

/** Connects; ends when `signal` aborts. */
export async function connectSocket(
  { cid, port }: SocketAddress,
  options: { readonly signal: AbortSignal; readonly timeout: number },
): Promise<Conn> {
  const { connectVsock } = await import("../../ffi/vsock.ts");
  return await connectVsock({ cid, port, ...options });
}

/** Listens. */
export async function listenSocket({ cid, port }: SocketAddress): Promise<ListenerSource> {
  const { listenVsock } = await import("../../ffi/vsock.ts");
  const socket = listenVsock({ cid, port });
  return {
    address: { kind: "vsock", ...socket.address },
    next: () => socket.accept(),
    stop: () => socket.close(),
  };
}
