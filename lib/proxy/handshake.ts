/**
 * Tells the protocols apart that share the listener's port, by their first byte.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";
import type { Verify } from "./auth.ts";
import type { BufferedConn } from "./buffered_conn.ts";
import type { ClientRequest } from "./client_request.ts";
import { acceptHttp } from "./http_connect.ts";
import { SOCKS4_VERSION } from "./socks4.ts";
import { SOCKS5_VERSION } from "./socks5.ts";
import { acceptSocks4, acceptSocks5 } from "./socks_server.ts";

/** Content type of a TLS handshake record, RFC 8446 section 5.1. */
const TLS_HANDSHAKE = 0x16;

/**
 * Reads a client's request, whichever protocol it speaks.
 *
 * @param client one that has sent something already
 * @throws AwsocksError `proxy-…`; the client was answered if its protocol has words for it
 */
export async function acceptClient(
  client: BufferedConn,
  verify: Verify | undefined,
): Promise<ClientRequest> {
  const first = client.ahead[0]!;
  if (first === SOCKS5_VERSION) return await acceptSocks5(client, verify);
  if (first === SOCKS4_VERSION) return await acceptSocks4(client, verify);
  if (isHttpStart(first)) return await acceptHttp(client, verify);
  if (first === TLS_HANDSHAKE) {
    throw new AwsocksError("proxy-protocol-error", "Client speaks TLS to the proxy", {
      hint: "enter the proxy as socks5:// or http://, not https://",
    });
  }
  throw new AwsocksError(
    "proxy-protocol-error",
    `Client speaks neither SOCKS nor HTTP: its first byte is ${first}`,
  );
}

/** A letter of a method, or the empty line that RFC 9112 section 2.2 tolerates before it. */
function isHttpStart(byte: number): boolean {
  return /[A-Za-z\r]/.test(String.fromCharCode(byte));
}
