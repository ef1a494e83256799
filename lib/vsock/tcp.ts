/**
 * TCP in place of vsock: for machines without it, and for trying things out.
 *
 * @module
 */

import { type Conn, DenoConn } from "../core/mod.ts";
import type { VsockAddress } from "./address.ts";
import type { ListenerSource } from "./listener.ts";

type TcpAddress = VsockAddress & { kind: "tcp" };

/** Connects; ends when `signal` aborts. */
export async function connectTcp({ host, port }: TcpAddress, signal: AbortSignal): Promise<Conn> {
  return new DenoConn(await Deno.connect({ hostname: host, port, signal }));
}

/** Listens. */
export function listenTcp({ host, port }: TcpAddress): ListenerSource {
  const socket = Deno.listen({ hostname: host, port });
  return {
    address: { kind: "tcp", host, port: socket.addr.port },
    next: async () => new DenoConn(await socket.accept()),
    stop: () => socket.close(),
  };
}
