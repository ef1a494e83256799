/**
 * Loopback TCP through `ffi/sockets.ts`, which vsock shares but for the `sockaddr`.
 *
 * @module
 */

import { ListeningSocket, type SocketAddress } from "../../ffi/sockets.ts";

const AF_INET = 2;

/** struct sockaddr_in of 127.0.0.1. */
export function loopback(port: number): SocketAddress {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  bytes.set([127, 0, 0, 1], 4);
  return { bytes, text: `127.0.0.1:${port}` };
}

/** A socket that listens on a free port, and where. */
export function listenOnLoopback(backlog = 128): ListeningSocket & { address: SocketAddress } {
  const socket = new ListeningSocket(loopback(0), backlog);
  const address = loopback(new DataView(socket.bound.buffer).getUint16(2));
  return Object.assign(socket, { address });
}
