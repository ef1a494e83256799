/**
 * The proxy: SOCKS5, SOCKS4a and HTTP clients on one port, routed to backends. It knows nothing of AWS.
 *
 * @module
 */

export type { ProxyAuth } from "./auth.ts";
export { type BoundConn, DirectBackend, type DirectBackendOptions } from "../backend/direct.ts";
export { checkListenAddress, isLoopback, parseListenAddress } from "./listen_address.ts";
export { createManager, type Manager, type ManagerOptions } from "./manager.ts";
export { replyName, socks5Connect, Socks5Refusal } from "./socks5_client.ts";
export type { ProxyStats } from "./stats.ts";
