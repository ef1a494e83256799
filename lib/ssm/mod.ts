/**
 * Session Manager: the client of the `ssm` service, the message codec, and sessions as reliable
 * byte streams. Knows nothing of SSH or SOCKS.
 *
 * @module
 */

export * from "./channel_types.ts";
export * from "./constants.ts";
export { type Disruptions, DisruptionWatch, ToldDisruptions } from "./disruptions.ts";
export type { SessionInfo } from "./handshake.ts";
export * from "./message.ts";
export * from "./payloads.ts";
export * from "./service.ts";
export * from "./session.ts";
export * from "./socket.ts";
export * from "./version.ts";
