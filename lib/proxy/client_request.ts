/**
 * What all proxy protocols come down to: a client that wants a connection to a target, and two answers.
 *
 * @module
 */

import type { Conn, Target } from "../core/mod.ts";

/** Protocols that the listener understands. */
export type ClientProtocol = "socks5" | "socks4" | "http-connect" | "http";

/** A request that has been read, checked and authenticated, and waits for its answer. */
export interface ClientRequest {
  readonly protocol: ClientProtocol;
  readonly target: Target;
  /**
   * Tells the client that the connection stands.
   * @param bound local end of the connection to the destination, where known
   */
  accept(bound?: Target): Promise<void>;
  /** Tells the client why there is none, in the words of its protocol. */
  refuse(error: unknown): Promise<void>;
  /** The two ends as the relay has to see them; absent when bytes pass unchanged. */
  readonly adapt?: (client: Conn, remote: Conn) => readonly [client: Conn, remote: Conn];
}

/**
 * Tells the client of a failure before that goes on its way. A client that is not there to be told
 * changes nothing about it.
 * @returns the failure, to be thrown
 */
export async function told(
  refuse: (error: unknown) => Promise<void>,
  failure: unknown,
): Promise<unknown> {
  await refuse(failure).catch(() => {});
  return failure;
}
