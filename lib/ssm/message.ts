/**
 * The binary client message: a 116-byte header, the payload's length, the payload.
 *
 * All integers are big-endian. Source: Session Manager protocol, client message. Pure: bytes in,
 * values out, no I/O.
 *
 * @module
 */

import { hash, randomUUID } from "node:crypto";
import { AwsocksError } from "../core/errors.ts";
import { HEADER_LENGTH, MessageType, PAYLOAD_OFFSET } from "./constants.ts";

/** A message of the data channel. */
export interface ClientMessage {
  /** One of {@linkcode MessageType}, or a type this client does not know. */
  readonly messageType: string;
  /** Version of the format; 1. */
  readonly schemaVersion: number;
  /** Milliseconds since the Unix epoch. */
  readonly createdDate: number;
  /** Position in the sender's stream; 0 for messages outside the order. */
  readonly sequenceNumber: number;
  /** Bits of `HeaderFlag`. */
  readonly flags: number;
  /** UUID in hyphenated lower case. */
  readonly messageId: string;
  /** One of `PayloadType`. */
  readonly payloadType: number;
  readonly payload: Uint8Array;
}

/** Fields of a message to send; the rest has defaults. */
export type MessageFields =
  & Pick<ClientMessage, "messageType" | "payload">
  & Partial<ClientMessage>;

/** Header fields with their offsets in bytes. */
const Offset = {
  headerLength: 0,
  messageType: 4,
  schemaVersion: 36,
  createdDate: 40,
  sequenceNumber: 48,
  flags: 56,
  messageId: 64,
  payloadDigest: 80,
  payloadType: 112,
  payloadLength: 116,
} as const;

const TYPE_BYTES = 32;
const DIGEST_BYTES = 32;
const SCHEMA_VERSION = 1;
const SPACE = 0x20;
const NIL_UUID = "00000000-0000-0000-0000-000000000000";

/** Message types whose headers are read leniently: neither peer validates them. */
const LENIENT: ReadonlySet<string> = new Set([
  MessageType.StartPublication,
  MessageType.PausePublication,
]);

/** Completes the fields of a message: schema version 1, created now, a fresh id. */
export function createMessage(fields: MessageFields): ClientMessage {
  return {
    schemaVersion: SCHEMA_VERSION,
    createdDate: Date.now(),
    sequenceNumber: 0,
    flags: 0,
    messageId: randomUUID(),
    payloadType: 0,
    ...fields,
  };
}

/**
 * Serialises a message.
 * @param bytes where it goes, of exactly its size; the payload may stand at its place in it already
 * @throws RangeError for a type longer than 32 bytes or a malformed message id
 */
export function encodeMessage(
  message: ClientMessage,
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(PAYLOAD_OFFSET + message.payload.byteLength),
): Uint8Array {
  const { payload } = message;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(Offset.headerLength, HEADER_LENGTH);
  writeType(bytes, message.messageType);
  view.setUint32(Offset.schemaVersion, message.schemaVersion);
  writeUint64(view, Offset.createdDate, message.createdDate);
  writeUint64(view, Offset.sequenceNumber, message.sequenceNumber);
  writeUint64(view, Offset.flags, message.flags);
  writeUuid(bytes, message.messageId);
  digestField(bytes).setFromHex(sha256(payload));
  view.setUint32(Offset.payloadType, message.payloadType);
  view.setUint32(Offset.payloadLength, payload.byteLength);
  bytes.set(payload, PAYLOAD_OFFSET);
  return bytes;
}

/**
 * Parses a message. The payload is a view into `bytes`.
 * @throws AwsocksError `session-protocol-error` for anything a sender must not produce
 */
export function decodeMessage(bytes: Uint8Array): ClientMessage {
  if (bytes.byteLength < Offset.schemaVersion) {
    throw malformed(`${bytes.byteLength} bytes are no message`);
  }
  const messageType = readType(bytes);
  if (LENIENT.has(messageType)) return bareMessage(messageType);
  if (bytes.byteLength < PAYLOAD_OFFSET) {
    throw malformed(`${bytes.byteLength} bytes are no message`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = view.getUint32(Offset.headerLength);
  if (headerLength !== HEADER_LENGTH) throw malformed(`header length is ${headerLength}`);
  if (messageType === "") throw malformed("message type is empty");
  const payload = bytes.subarray(PAYLOAD_OFFSET);
  const payloadLength = view.getUint32(Offset.payloadLength);
  if (payloadLength !== payload.byteLength) {
    throw malformed(`payload length is ${payloadLength}, not ${payload.byteLength}`);
  }
  const createdDate = readUint64(view, Offset.createdDate);
  if (createdDate === 0) throw malformed("created date is 0");
  const sequenceNumber = readUint64(view, Offset.sequenceNumber);
  if (!Number.isSafeInteger(sequenceNumber)) throw malformed("sequence number is out of range");
  if (payloadLength !== 0 && !digestMatches(bytes, payload)) throw malformed("digest is wrong");
  return {
    messageType,
    schemaVersion: view.getUint32(Offset.schemaVersion),
    createdDate,
    sequenceNumber,
    flags: readUint64(view, Offset.flags),
    messageId: readUuid(bytes),
    payloadType: view.getUint32(Offset.payloadType),
    payload,
  };
}

/** A publication message: its type says all, and real peers check nothing else of its header. */
function bareMessage(messageType: string): ClientMessage {
  return {
    messageType,
    schemaVersion: SCHEMA_VERSION,
    createdDate: 0,
    sequenceNumber: 0,
    flags: 0,
    messageId: NIL_UUID,
    payloadType: 0,
    payload: new Uint8Array(),
  };
}

function malformed(why: string): AwsocksError {
  return new AwsocksError("session-protocol-error", `Malformed data channel message: ${why}`);
}

/** In hexadecimal: Deno takes more time to hand over bytes than to compute them. */
function sha256(payload: Uint8Array): string {
  return hash("sha256", payload, "hex");
}

function digestField(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(Offset.payloadDigest, Offset.payloadDigest + DIGEST_BYTES);
}

function digestMatches(bytes: Uint8Array, payload: Uint8Array): boolean {
  return digestField(bytes).toHex() === sha256(payload);
}

/** The field of a message type: ASCII, padded with spaces. */
function typeField(type: string): Uint8Array {
  const field = new Uint8Array(TYPE_BYTES).fill(SPACE);
  for (let i = 0; i < type.length; i++) field[i] = type.charCodeAt(i);
  return field;
}

/** Fields of the types that nearly all messages have. */
const TYPE_FIELDS = new Map<string, Uint8Array>(
  Object.values(MessageType).map((type) => [type, typeField(type)]),
);

function writeType(bytes: Uint8Array, type: string): void {
  if (type.length > TYPE_BYTES) throw new RangeError(`Message type "${type}" is too long`);
  bytes.set(TYPE_FIELDS.get(type) ?? typeField(type), Offset.messageType);
}

function hasType(bytes: Uint8Array, field: Uint8Array): boolean {
  for (let i = 0; i < TYPE_BYTES; i++) {
    if (bytes[Offset.messageType + i] !== field[i]) return false;
  }
  return true;
}

/** NULs at both ends go first, then white space, as the real peers do it. */
function readType(bytes: Uint8Array): string {
  for (const [type, field] of TYPE_FIELDS) if (hasType(bytes, field)) return type;
  const raw = bytes.subarray(Offset.messageType, Offset.messageType + TYPE_BYTES);
  let text = "";
  for (const byte of raw) text += String.fromCharCode(byte);
  return text.replace(/^\0+|\0+$/g, "").trim();
}

/** Numbers stay below 2^53: milliseconds, a count of messages, two bits. */
function writeUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, Math.floor(value / 0x1_0000_0000));
  view.setUint32(offset + 4, value >>> 0);
}

function readUint64(view: DataView, offset: number): number {
  return view.getUint32(offset) * 0x1_0000_0000 + view.getUint32(offset + 4);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const UUID_BYTES = 16;

function uuidField(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(Offset.messageId, Offset.messageId + UUID_BYTES);
}

// The halves of a UUID are swapped on the wire.

function writeUuid(bytes: Uint8Array, uuid: string): void {
  if (!UUID.test(uuid)) throw new RangeError(`Message id "${uuid}" is not a UUID`);
  const first = uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(14, 18);
  const second = uuid.slice(19, 23) + uuid.slice(24);
  uuidField(bytes).setFromHex(second + first);
}

function readUuid(bytes: Uint8Array): string {
  const hex = uuidField(bytes).toHex();
  return `${hex.slice(16, 24)}-${hex.slice(24, 28)}-${hex.slice(28)}` +
    `-${hex.slice(0, 4)}-${hex.slice(4, 16)}`;
}
