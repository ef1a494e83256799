/**
 * The version of the tunnel, which the two ends exchange before anything else.
 *
 * The major number counts changes that an older end would misunderstand: ends whose majors differ part.
 * The minor number counts additions; an end ignores fields and notices that it does not know, and says
 * of a call that it does not know it.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";

/** A version of the tunnel protocol. */
export interface ProtocolVersion {
  readonly major: number;
  readonly minor: number;
}

/** What this program speaks. */
export const PROTOCOL_VERSION: ProtocolVersion = { major: 1, minor: 0 };

/** Port of vsock on which the host waits for its guest. */
export const TUNNEL_PORT = 5000;

/**
 * Checks what the peer speaks.
 * @param peer who it is, for the message: "guest" or "host"
 * @throws AwsocksError `tunnel-incompatible`
 */
export function checkVersion(
  peer: string,
  theirs: { readonly protocol: ProtocolVersion; readonly program: string },
): void {
  const { protocol, program } = theirs;
  if (protocol.major === PROTOCOL_VERSION.major) return;
  throw new AwsocksError(
    "tunnel-incompatible",
    `The ${peer} (${program}) speaks version ${format(protocol)} of the tunnel protocol, ` +
      `and this program version ${format(PROTOCOL_VERSION)}`,
    { facts: { theirs: format(protocol), ours: format(PROTOCOL_VERSION) } },
  );
}

function format({ major, minor }: ProtocolVersion): string {
  return `${major}.${minor}`;
}
