/**
 * The greeting: the first message in each direction of the control stream, the same in all versions, so
 * that ends that do not fit each other can say so.
 *
 * @module
 */

import { AwsocksError, type Conn, writeAll } from "../core/mod.ts";
import type { Peer } from "./ending.ts";
import { list, object, oneOf, text, whole } from "./fields.ts";
import { encodeMessage, readMessage } from "./message.ts";
import { checkVersion, PROTOCOL_VERSION, type ProtocolVersion } from "./version.ts";
import { printable } from "./wire_error.ts";

/** Who an end is. */
export interface Hello {
  readonly protocol: ProtocolVersion;
  /** Program and version, for messages: `awsocks-agent 0.1.0`. */
  readonly program: string;
  /** What it can do beyond the protocol's version; the guest names its routes. */
  readonly capabilities: readonly string[];
}

/** Who the guest is. */
export type GuestHello = Hello;

/** Who the host is. */
export type HostHello = Hello;

/** Bytes of JSON that a greeting may have. */
const HELLO_LIMIT = 16 * 1024;

const decoder = object<Hello & { type: "hello" }>({
  type: oneOf(["hello"]),
  protocol: object<ProtocolVersion>({ major: whole(0), minor: whole(0) }),
  program: text(200),
  capabilities: list(text(64), 64),
});

/**
 * Greets and is greeted.
 * @param peer who is at the other end, for messages
 * @throws AwsocksError `tunnel-incompatible`, `tunnel-protocol-error`; what the stream throws. Our own
 * greeting has gone out then, so that the peer can say the same
 */
export async function exchangeHello(
  stream: Conn,
  peer: Peer,
  own: Omit<Hello, "protocol">,
): Promise<Hello> {
  const { program, capabilities } = own;
  const greeting = { type: "hello", protocol: PROTOCOL_VERSION, program, capabilities };
  await writeAll(stream, encodeMessage(greeting, HELLO_LIMIT));
  const message = await readMessage(stream, HELLO_LIMIT);
  if (!message) {
    throw new AwsocksError("tunnel-closed", `The ${peer} ended the connection before its greeting`);
  }
  const { type: _, ...theirs } = decoder(message, "hello");
  const hello = { ...theirs, program: printable(theirs.program, 100) };
  checkVersion(peer, hello);
  return hello;
}
