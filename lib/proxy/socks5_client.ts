/**
 * The client's side of a SOCKS5 handshake, for tests, the demo, and whoever goes through the proxy.
 *
 * @module
 */

import { AwsocksError, type Conn, formatTarget, type Target, writeAll } from "../core/mod.ts";
import type { ProxyAuth } from "./auth.ts";
import { BufferedConn } from "./buffered_conn.ts";
import {
  encodeCredentials,
  encodeGreeting,
  encodeRequest,
  parseAuthStatus,
  parseMethod,
  parseReply,
  SocksMethod,
} from "./socks5.ts";

/** A server's refusal; `reply` is the code on the wire, RFC 1928 section 6. */
export class Socks5Refusal extends AwsocksError {
  constructor(readonly reply: number, target: Target) {
    super(
      "destination-failed",
      `SOCKS5 proxy refused ${formatTarget(target)} with reply ${reply} (${replyName(reply)})`,
      { facts: { reply } },
    );
  }
}

const REPLY_NAMES = [
  "succeeded",
  "general failure",
  "not allowed by the rules",
  "network unreachable",
  "host unreachable",
  "connection refused",
  "TTL expired",
  "command not supported",
  "address type not supported",
];

/** A reply in the words of RFC 1928 section 6. */
export function replyName(reply: number): string {
  return REPLY_NAMES[reply] ?? "unassigned";
}

/**
 * Asks the SOCKS5 server at the other end of `conn` for a connection to `target`. Deadlines are the
 * caller's: closing `conn` ends the handshake.
 *
 * @param auth offered in addition to no authentication
 * @returns the connection to the target; closing it closes `conn`
 * @throws Socks5Refusal when the server says no; `proxy-auth-failed`, `proxy-protocol-error`
 */
export async function socks5Connect(conn: Conn, target: Target, auth?: ProxyAuth): Promise<Conn> {
  const server = new BufferedConn(conn);
  const offered = auth ? [SocksMethod.None, SocksMethod.UserPassword] : [SocksMethod.None];
  await writeAll(server, encodeGreeting(offered));
  const method = await server.parse(parseMethod);
  if (method === SocksMethod.UserPassword && auth) {
    await writeAll(server, encodeCredentials(auth.user, auth.password));
    if (!await server.parse(parseAuthStatus)) {
      throw new AwsocksError("proxy-auth-failed", "SOCKS5 proxy rejected the user or password");
    }
  } else if (method !== SocksMethod.None) {
    throw new AwsocksError(
      "proxy-auth-failed",
      `SOCKS5 proxy wants another method than ${offered}`,
    );
  }
  await writeAll(server, encodeRequest(target));
  const { reply } = await server.parse(parseReply);
  if (reply !== 0) throw new Socks5Refusal(reply, target);
  return server;
}
