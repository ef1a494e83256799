/**
 * SOCKS4 and SOCKS4a messages, for the clients that speak nothing newer: CONNECT only.
 *
 * Sources: "SOCKS: A protocol for TCP proxy across firewalls" (Ying-Da Lee) and its extension 4A, which
 * sends the address 0.0.0.x (x not 0) and the name behind the user id. There is no password: a proxy
 * that needs one refuses SOCKS4.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";
import type { Parsed } from "./buffered_conn.ts";
import { decodeName, type SocksRequest } from "./socks5.ts";

/** Version byte of SOCKS4. */
export const SOCKS4_VERSION = 4;

/** Longest user id and host name that are taken; the protocol itself sets no bound. */
const MAX_STRING_BYTES = 255;

/** Bytes before the user id. */
const FIXED_BYTES = 8;

/**
 * A request: `VN CD DSTPORT DSTIP USERID 0`, and in 4A `NAME 0`. The user id is not kept.
 * @throws AwsocksError `proxy-protocol-error`
 */
export function parseSocks4Request(bytes: Uint8Array): Parsed<SocksRequest> | undefined {
  if (bytes.length > 0 && bytes[0] !== SOCKS4_VERSION) {
    throw new AwsocksError("proxy-protocol-error", `Malformed SOCKS4 request: version ${bytes[0]}`);
  }
  if (bytes.length <= FIXED_BYTES) return undefined;
  const userEnd = endOfString(bytes, FIXED_BYTES, "user id");
  if (userEnd === undefined) return undefined;
  const [command, port, ip] = [bytes[1]!, bytes[2]! << 8 | bytes[3]!, bytes.subarray(4, 8)];
  const named = ip[0] === 0 && ip[1] === 0 && ip[2] === 0 && ip[3] !== 0;
  if (!named) return { value: { command, host: ip.join("."), port }, length: userEnd + 1 };
  const nameEnd = endOfString(bytes, userEnd + 1, "host name");
  if (nameEnd === undefined) return undefined;
  const host = decodeName(bytes.subarray(userEnd + 1, nameEnd));
  return { value: { command, host, port }, length: nameEnd + 1 };
}

function endOfString(bytes: Uint8Array, start: number, what: string): number | undefined {
  const end = bytes.indexOf(0, start);
  if ((end < 0 ? bytes.length : end) - start > MAX_STRING_BYTES) {
    throw new AwsocksError(
      "proxy-protocol-error",
      `Malformed SOCKS4 request: the ${what} is longer than ${MAX_STRING_BYTES} bytes`,
    );
  }
  return end < 0 ? undefined : end;
}

/** A reply: 90 granted, 91 rejected or failed. The protocol has no words for why. */
export function encodeSocks4Reply(granted: boolean): Uint8Array {
  return Uint8Array.of(0, granted ? 90 : 91, 0, 0, 0, 0, 0, 0);
}
