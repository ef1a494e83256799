/**
 * The tunnel between host and guest, over any connection: many connections and one control channel,
 * multiplexed by smux version 2. `docs/protocol.md` describes it.
 *
 * @module
 */

export {
  BACKEND_STATES,
  type GuestLogRecord,
  type HostKeyQuestion,
  type HostServices,
  type InstanceChoice,
  type PublicIdentity,
  type ServerName,
  type SignRequest,
} from "./calls.ts";
export {
  CONFIG_VERSION,
  type GuestConfig,
  type GuestEndpoints,
  type GuestLogLevels,
} from "./config.ts";
export type { CallOptions } from "./control.ts";
export type { GuestLogLine, GuestState } from "./guest_state.ts";
export { createGuestTunnel, type GuestTunnel, type GuestTunnelOptions } from "./guest_tunnel.ts";
export { type StreamHeader, TUNNEL_ROUTES, type TunnelRoute } from "./header.ts";
export type { GuestHello, HostHello } from "./hello.ts";
export { createHostTunnel, type HostTunnel, type HostTunnelOptions } from "./host_tunnel.ts";
export { PROTOCOL_VERSION, type ProtocolVersion, TUNNEL_PORT } from "./version.ts";
export { printable } from "./wire_error.ts";
