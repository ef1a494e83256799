/**
 * How structured values travel inside a stream: four bytes of length, little-endian as in smux, then
 * that many bytes of JSON in UTF-8, always an object.
 *
 * @module
 */

import { AwsocksError, type Conn } from "../core/mod.ts";

/** A JSON object. */
export type Message = Readonly<Record<string, unknown>>;

/** Bytes of the length. */
const LENGTH_BYTES = 4;

/** A message as bytes. @throws RangeError beyond `limit` bytes of JSON */
export function encodeMessage(message: Message, limit: number): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify(message));
  if (body.byteLength > limit) {
    throw new RangeError(`A message of ${body.byteLength} bytes is longer than ${limit}`);
  }
  const bytes = new Uint8Array(LENGTH_BYTES + body.byteLength);
  new DataView(bytes.buffer).setUint32(0, body.byteLength, true);
  bytes.set(body, LENGTH_BYTES);
  return bytes;
}

/**
 * Reads one message, and not a byte beyond it.
 * @returns undefined at the end of input
 * @throws AwsocksError `tunnel-protocol-error` for what is no message, is longer than `limit`, or is
 * cut short; what the connection throws
 */
export async function readMessage(
  conn: Pick<Conn, "read">,
  limit: number,
): Promise<Message | undefined> {
  const head = new Uint8Array(LENGTH_BYTES);
  const got = await fill(conn, head);
  if (got === 0) return undefined;
  if (got < LENGTH_BYTES) throw malformed("it ends in the middle");
  const length = new DataView(head.buffer).getUint32(0, true);
  if (length > limit) throw malformed(`${length} bytes are more than ${limit}`);
  const body = new Uint8Array(length);
  if (await fill(conn, body) < length) throw malformed("it ends in the middle");
  return parse(body);
}

/** Reads until `into` is full or the input ends; returns the bytes read. */
async function fill(conn: Pick<Conn, "read">, into: Uint8Array): Promise<number> {
  let offset = 0;
  while (offset < into.byteLength) {
    const n = await conn.read(into.subarray(offset));
    if (n === null) break;
    offset += n;
  }
  return offset;
}

function parse(body: Uint8Array): Message {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (cause) {
    throw malformed("it is not JSON", cause);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Message;
  throw malformed("it is not an object");
}

function malformed(why: string, cause?: unknown): AwsocksError {
  return new AwsocksError("tunnel-protocol-error", `The peer sent a malformed message: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
  });
}
