/**
 * The first words on a stream that carries a connection: the host says where to, the guest how it went.
 * After an answer of success the stream is the connection, byte for byte.
 *
 * @module
 */

import type { Conn, Target } from "../core/mod.ts";
import { AwsocksError } from "../core/mod.ts";
import { object, oneOf, text, whole } from "./fields.ts";
import { encodeMessage, readMessage } from "./message.ts";
import { decodeError, encodeError } from "./wire_error.ts";

/** The ways out of a guest: its backend, or its own network. */
export const TUNNEL_ROUTES = ["proxy", "vm-direct"] as const;

/** A way out of a guest. */
export type TunnelRoute = typeof TUNNEL_ROUTES[number];

/** Where a stream leads to. */
export interface StreamHeader extends Target {
  readonly route: TunnelRoute;
}

/** Longest host name: 253 characters in DNS, and a little for who knows what. */
const MAX_HOST = 255;

/** Bytes of JSON that a header may have; a host name of non-ASCII letters fits. */
const HEADER_LIMIT = 4096;

/** Bytes of JSON that an answer may have: a failure with its causes. */
const ANSWER_LIMIT = 64 * 1024;

const streamHeader = object<StreamHeader>({
  route: oneOf(TUNNEL_ROUTES),
  host: text(MAX_HOST),
  port: whole(1, 65_535),
});

/** A header as bytes. */
export function encodeHeader({ route, host, port }: StreamHeader): Uint8Array {
  return encodeMessage({ route, host, port }, HEADER_LIMIT);
}

/**
 * Reads a header.
 * @throws AwsocksError `tunnel-protocol-error`; what the stream throws
 */
export async function readHeader(stream: Pick<Conn, "read">): Promise<StreamHeader> {
  const message = await readMessage(stream, HEADER_LIMIT);
  if (message) return streamHeader(message, "header");
  throw new AwsocksError("tunnel-protocol-error", "A stream ended before it said where to");
}

/** An answer as bytes: success, or the failure. */
export function encodeAnswer(failure?: unknown): Uint8Array {
  const message = failure === undefined ? { ok: true } : { error: encodeError(failure) };
  return encodeMessage(message, ANSWER_LIMIT);
}

/**
 * Reads an answer; resolves for success.
 * @throws AwsocksError what the guest says, or `tunnel-protocol-error`; what the stream throws
 */
export async function readAnswer(stream: Pick<Conn, "read">): Promise<void> {
  const message = await readMessage(stream, ANSWER_LIMIT);
  if (!message) {
    throw new AwsocksError("tunnel-protocol-error", "The guest ended a stream without an answer");
  }
  if (message.ok === true) return;
  throw decodeError(message.error, "answer.error");
}
