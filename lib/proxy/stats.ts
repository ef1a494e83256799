/**
 * What the proxy counts.
 *
 * @module
 */

import type { Route } from "../routing/mod.ts";

/** Counters since the start of the proxy, and what is going on now. */
export interface ProxyStats {
  /** Clients connected now, those in their handshake included. */
  readonly active: number;
  /** Connections accepted. */
  readonly accepted: number;
  /** Connections to a destination, by the route that they took. */
  readonly routed: Readonly<Record<Route, number>>;
  /** Requests that got no connection, for whatever reason. */
  readonly failed: number;
  /** Bytes from clients to destinations. */
  readonly bytesUp: number;
  /** Bytes from destinations to clients. */
  readonly bytesDown: number;
}

/** The counters where they are counted. */
export class Counters {
  failed = 0;
  bytesUp = 0;
  bytesDown = 0;
  readonly routed: Record<Route, number> = { "proxy": 0, "direct": 0, "vm-direct": 0, "block": 0 };

  /** For {@linkcode relay}; one function for all connections. */
  readonly onBytes = (direction: "aToB" | "bToA", bytes: number): void => {
    if (direction === "aToB") this.bytesUp += bytes;
    else this.bytesDown += bytes;
  };

  /** A copy for the outside, together with what the listener counts. */
  snapshot(clients: { readonly active: number; readonly accepted: number }): ProxyStats {
    const { failed, bytesUp, bytesDown } = this;
    return { ...clients, routed: { ...this.routed }, failed, bytesUp, bytesDown };
  }
}
