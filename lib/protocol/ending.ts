/**
 * How a tunnel ends: the reasons of the layers below in the words of this one.
 *
 * @module
 */

import { AwsocksError, isAwsocksError } from "../core/mod.ts";

/** Who may be at the other end. */
export type Peer = "guest" | "host";

/** Why a tunnel has ended. */
export function endOfTunnel(peer: Peer, cause: unknown): AwsocksError {
  if (isAwsocksError(cause, "tunnel-closed", "tunnel-protocol-error", "tunnel-incompatible")) {
    return cause;
  }
  const [code, message] = isAwsocksError(cause, "smux-protocol-error")
    ? ["tunnel-protocol-error", `The ${peer} does not keep to the protocol`] as const
    : ["tunnel-closed", `The tunnel to the ${peer} has ended`] as const;
  return new AwsocksError(code, message, cause === undefined ? {} : { cause });
}
