/**
 * What the sandbox saw, as hops of the demo.
 *
 * @module
 */

import type { SandboxEvent } from "../sandbox/mod.ts";

/** A hop. */
export interface Hop {
  readonly name: string;
  readonly detail: string;
}

/** The hop that an event stands for; undefined for what is none. */
export function sandboxHop(event: SandboxEvent): Hop | undefined {
  switch (event.type) {
    case "api-call":
      return event.action === "StartSession" ? undefined : {
        name: event.action,
        detail: `${event.service} API, HTTP ${event.status}${event.error ? ` ${event.error}` : ""}`,
      };
    case "session-started":
      return { name: "StartSession", detail: `${event.document} on ${event.instanceId}` };
    case "websocket-opened":
      return {
        name: event.resumed ? "WebSocket again" : "WebSocket open",
        detail: `data channel of ${event.sessionId}, signature ${event.signature}`,
      };
    case "handshake-completed":
      return { name: "session handshake", detail: `with the instance's agent` };
    case "ssh-authenticated":
      return { name: "SSH authenticated", detail: `${event.user}, key ${event.fingerprint}` };
    case "direct-tcpip":
      return {
        name: event.result === "open" ? "channel open" : "channel refused",
        detail: `${event.host}:${event.port}${
          event.result === "open" ? ", resolved on the instance" : ` ${event.result}`
        }`,
      };
    case "port-connection":
      return {
        name: event.result === "open" ? "destination connected" : "destination refused",
        detail: `${event.host}:${event.port}${
          event.result === "open" ? ", by the agent" : ` ${event.result}`
        }`,
      };
    case "http-request":
      return {
        name: "request at the site",
        detail: `${event.method} ${event.path} for ${event.host}`,
      };
    default:
      return undefined;
  }
}
