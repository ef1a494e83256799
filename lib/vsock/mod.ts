/**
 * The connection between host and guest: addresses as users write them, and connecting and listening
 * over AF_VSOCK, the Unix sockets of user-space vsock devices, TCP, or memory.
 *
 * @module
 */

export * from "./address.ts";
export type { AcceptOptions, VsockListener } from "./listener.ts";
export { createMemoryVsock } from "./memory.ts";
export {
  CONNECT_TIMEOUT_MS,
  connectVsock,
  type ConnectVsockOptions,
  listenVsock,
  type ListenVsockOptions,
  type VsockNetwork,
} from "./network.ts";
