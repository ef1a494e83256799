/**
 * TCP in place of vsock: for machines without it, and for trying things out.
 *
 * @module
 */

import { type Conn, DenoConn } from "../core/mod.ts";
import type { VsockAddress } from "./address.ts";
import type { ListenerSource } from "./listener.ts";

type TcpAddress = VsockAddress & { kind: "tcp" };

/** Small frames leave at once. */
function tuned(tcp: Deno.TcpConn): Conn {
  try {
    tcp.setNoDelay();
  } catch {
    // The peer has left already (some systems refuse options then); reading will tell.
  }
  return new DenoConn(tcp);
}

/** Connects; ends when `signal` aborts. */
export async function connectTcp({ host, port }: TcpAddress, signal: AbortSignal): Promise<Conn> {
  return tuned(await Deno.connect({ hostname: host, port, signal }));
}

/** Listens. */
export function listenTcp({ host, port }: TcpAddress): ListenerSource {
  const socket = Deno.listen({ hostname: host, port });
  return {
    address: { kind: "tcp", host, port: socket.addr.port },
    next: async () => tuned(await socket.accept()),
    stop: () => socket.close(),
  };
}
