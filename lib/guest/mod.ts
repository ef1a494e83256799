/**
 * The agent that runs in a guest: brings the machine up as its process 1, and serves the host's tunnel.
 *
 * @module
 */

export { GuestAgent, type GuestAgentOptions } from "./agent.ts";
export { GuestLog, type GuestLogOptions } from "./guest_log.ts";
export { init, type InitOptions } from "./init.ts";
export { serve, type ServeOptions } from "./serve.ts";
