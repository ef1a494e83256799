/**
 * The HTTP side of the listener: CONNECT (RFC 9110 section 9.3.6) with Basic authentication (RFC 7617),
 * and the way to plain `http://` requests.
 *
 * @module
 */

import { AwsocksError, type Target, writeAll } from "../core/mod.ts";
import type { Verify } from "./auth.ts";
import type { BufferedConn } from "./buffered_conn.ts";
import { type ClientRequest, told } from "./client_request.ts";
import { forwardRequest } from "./http_forward.ts";
import { type Head, headerValues, parseRequestHead } from "./http_head.ts";
import { encodeRefusal } from "./http_refusal.ts";
import { clientTarget } from "./target.ts";

const CONNECTED = new TextEncoder().encode("HTTP/1.1 200 Connection established\r\n\r\n");

/**
 * Reads an HTTP request for a tunnel or for an absolute `http://` URL.
 *
 * @throws AwsocksError `proxy-…`, after the client was answered
 */
export async function acceptHttp(client: BufferedConn, verify?: Verify): Promise<ClientRequest> {
  let method = "";
  const refuse = (error: unknown) => writeAll(client, encodeRefusal(error, method));
  try {
    const head = await client.parse(parseRequestHead);
    method = head.start[0];
    if (verify) await authenticate(head, verify);
    if (method === "CONNECT") {
      const target = authorityTarget(head.start[1]);
      return {
        protocol: "http-connect",
        target,
        accept: () => writeAll(client, CONNECTED),
        refuse,
      };
    }
    return {
      protocol: "http",
      ...forwardRequest(head),
      accept: () => Promise.resolve(),
      refuse,
    };
  } catch (error) {
    throw await told(refuse, error);
  }
}

/** The target of a CONNECT request: `host:port`, with brackets around IPv6. */
function authorityTarget(authority: string): Target {
  const [, host, port] = /^(\[[^\]]*\]|[^:[\]]+):(\d{1,5})$/.exec(authority) ?? [];
  if (host === undefined || port === undefined) {
    throw new AwsocksError(
      "proxy-protocol-error",
      "HTTP CONNECT needs a target of the form host:port",
    );
  }
  return clientTarget(host, Number(port));
}

async function authenticate(head: Head, verify: Verify): Promise<void> {
  const [value] = headerValues(head, "proxy-authorization");
  if (value === undefined) {
    throw new AwsocksError("proxy-auth-failed", "HTTP client gave no user and password");
  }
  const [user, password] = decodeBasic(value) ?? [];
  if (!user || !password || !await verify(user, password)) {
    throw new AwsocksError("proxy-auth-failed", "HTTP client gave a wrong user or password");
  }
}

/** User and password of `Basic BASE64(user:password)`; the user cannot contain a colon. */
function decodeBasic(value: string): readonly [Uint8Array, Uint8Array] | undefined {
  const encoded = /^basic +([a-z0-9+/]+=*)$/i.exec(value)?.[1];
  if (encoded === undefined) return undefined;
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
  const colon = bytes.indexOf(0x3a);
  return colon < 0 ? undefined : [bytes.subarray(0, colon), bytes.subarray(colon + 1)];
}
