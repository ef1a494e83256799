/**
 * What the payloads of data channel messages say: JSON documents and flags.
 *
 * Parsers take whatever arrives and fail with `session-protocol-error`; unknown fields are ignored,
 * as both real peers do. Source: Session Manager protocol, handshake payloads and acknowledgement.
 *
 * @module
 */

import { AwsocksError } from "../core/errors.ts";
import type { ClientMessage } from "./message.ts";

const encoder = new TextEncoder();
/** Not strict, as the real peers; what matters is ASCII. */
const decoder = new TextDecoder();

type Json = Record<string, unknown>;

function parseJson(payload: Uint8Array, what: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(payload));
  } catch (cause) {
    throw new AwsocksError("session-protocol-error", `Malformed ${what}: not JSON`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new AwsocksError("session-protocol-error", `Malformed ${what}: not an object`);
  }
  return value as Json;
}

function stringField(json: Json, key: string): string {
  const value = json[key];
  return typeof value === "string" ? value : "";
}

/** An acknowledgement's payload. */
export interface Acknowledgement {
  readonly messageType: string;
  readonly messageId: string;
  readonly sequenceNumber: number;
}

/** Payload that acknowledges one received message; keys in the order of the real peers. */
export function encodeAcknowledgement(
  received: Pick<ClientMessage, "messageType" | "messageId" | "sequenceNumber">,
): Uint8Array {
  return encoder.encode(JSON.stringify({
    AcknowledgedMessageType: received.messageType,
    AcknowledgedMessageId: received.messageId,
    AcknowledgedMessageSequenceNumber: received.sequenceNumber,
    IsSequentialMessage: true,
  }));
}

/** @throws AwsocksError `session-protocol-error` without a sequence number */
export function parseAcknowledgement(payload: Uint8Array): Acknowledgement {
  const json = parseJson(payload, "acknowledgement");
  const sequenceNumber = json.AcknowledgedMessageSequenceNumber;
  if (!Number.isSafeInteger(sequenceNumber)) {
    throw new AwsocksError(
      "session-protocol-error",
      "Malformed acknowledgement: no sequence number",
    );
  }
  return {
    messageType: stringField(json, "AcknowledgedMessageType"),
    messageId: stringField(json, "AcknowledgedMessageId"),
    sequenceNumber: sequenceNumber as number,
  };
}

/** Something the agent asks the client to do before data flows. */
export interface RequestedAction {
  /** `SessionType`, `KMSEncryption`, or one this client does not know. */
  readonly actionType: string;
  readonly actionParameters: Readonly<Record<string, unknown>>;
}

/** The agent's first message. */
export interface HandshakeRequest {
  /** Four-part version of the agent. */
  readonly agentVersion: string;
  readonly requestedClientActions: readonly RequestedAction[];
}

/** Serialises a HandshakeRequest, as an agent does. */
export function encodeHandshakeRequest(request: HandshakeRequest): Uint8Array {
  return encoder.encode(JSON.stringify({
    AgentVersion: request.agentVersion,
    RequestedClientActions: request.requestedClientActions.map((action) => ({
      ActionType: action.actionType,
      ActionParameters: action.actionParameters,
    })),
  }));
}

/** @throws AwsocksError `session-protocol-error` */
export function parseHandshakeRequest(payload: Uint8Array): HandshakeRequest {
  const json = parseJson(payload, "HandshakeRequest");
  const actions = Array.isArray(json.RequestedClientActions) ? json.RequestedClientActions : [];
  return {
    agentVersion: stringField(json, "AgentVersion"),
    requestedClientActions: actions.filter(isObject).map((action) => ({
      actionType: stringField(action, "ActionType"),
      actionParameters: isObject(action.ActionParameters) ? action.ActionParameters : {},
    })),
  };
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The client's answer to one {@linkcode RequestedAction}. */
export interface ProcessedAction {
  readonly actionType: string;
  /** One of `ActionStatus`; the agent cancels the session on any but Success. */
  readonly actionStatus: number;
  readonly actionResult?: unknown;
  readonly error?: string;
}

/** The client's first message. */
export interface HandshakeResponse {
  readonly clientVersion: string;
  readonly processedClientActions: readonly ProcessedAction[];
  readonly errors?: readonly string[];
}

/** Serialises a HandshakeResponse; keys in the order of the real plugin. */
export function encodeHandshakeResponse(response: HandshakeResponse): Uint8Array {
  return encoder.encode(JSON.stringify({
    ClientVersion: response.clientVersion,
    ProcessedClientActions: response.processedClientActions.map((action) => ({
      ActionType: action.actionType,
      ActionStatus: action.actionStatus,
      ActionResult: action.actionResult ?? null,
      Error: action.error ?? "",
    })),
    Errors: response.errors ?? null,
  }));
}

/** @throws AwsocksError `session-protocol-error` */
export function parseHandshakeResponse(payload: Uint8Array): HandshakeResponse {
  const json = parseJson(payload, "HandshakeResponse");
  const actions = Array.isArray(json.ProcessedClientActions) ? json.ProcessedClientActions : [];
  return {
    clientVersion: stringField(json, "ClientVersion"),
    processedClientActions: actions.filter(isObject).map((action) => ({
      actionType: stringField(action, "ActionType"),
      actionStatus: Number(action.ActionStatus ?? 0),
      ...(action.ActionResult != null && { actionResult: action.ActionResult }),
      ...(stringField(action, "Error") && { error: stringField(action, "Error") }),
    })),
    ...(Array.isArray(json.Errors) && { errors: json.Errors.map(String) }),
  };
}

/** The agent's word that data may flow. */
export interface HandshakeComplete {
  /** Nanoseconds that the handshake took on the agent. */
  readonly handshakeTimeToComplete: number;
  /** Text for the user, often empty. */
  readonly customerMessage: string;
}

/** Serialises a HandshakeComplete, as an agent does. */
export function encodeHandshakeComplete(complete: HandshakeComplete): Uint8Array {
  return encoder.encode(JSON.stringify({
    HandshakeTimeToComplete: complete.handshakeTimeToComplete,
    CustomerMessage: complete.customerMessage,
  }));
}

/** @throws AwsocksError `session-protocol-error` */
export function parseHandshakeComplete(payload: Uint8Array): HandshakeComplete {
  const json = parseJson(payload, "HandshakeComplete");
  const time = Number(json.HandshakeTimeToComplete ?? 0);
  return {
    handshakeTimeToComplete: Number.isFinite(time) ? time : 0,
    customerMessage: stringField(json, "CustomerMessage"),
  };
}

/** The gateway's word that the session is over. */
export interface ChannelClosed {
  readonly sessionId: string;
  /** The agent's reason; often empty. */
  readonly output: string;
}

/** Serialises the payload of `channel_closed`, as the gateway does. */
export function encodeChannelClosed(
  closed: ChannelClosed & { messageId: string; destinationId: string; createdDate: string },
): Uint8Array {
  return encoder.encode(JSON.stringify({
    MessageType: "channel_closed",
    MessageId: closed.messageId,
    DestinationId: closed.destinationId,
    SessionId: closed.sessionId,
    SchemaVersion: 1,
    CreatedDate: closed.createdDate,
    Output: closed.output,
  }));
}

/** The agent puts this before failures of its own; people need not see it. */
const ERROR_BANNER = /^-+ERROR-+\s*/;

/** Never fails: a session ends even if the text that says why is garbled. */
export function parseChannelClosed(payload: Uint8Array): ChannelClosed {
  try {
    const json = parseJson(payload, "channel_closed");
    const output = stringField(json, "Output").trim().replace(ERROR_BANNER, "");
    return { sessionId: stringField(json, "SessionId"), output };
  } catch {
    return { sessionId: "", output: "" };
  }
}

/** A flag's payload: a 32-bit big-endian number. */
export function encodeFlag(flag: number): Uint8Array {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, flag);
  return payload;
}

/** @throws AwsocksError `session-protocol-error` for anything but four bytes */
export function parseFlag(payload: Uint8Array): number {
  if (payload.byteLength !== 4) {
    throw new AwsocksError(
      "session-protocol-error",
      `Malformed flag: ${payload.byteLength} bytes instead of 4`,
    );
  }
  return new DataView(payload.buffer, payload.byteOffset, 4).getUint32(0);
}

/** The first (text) message on a data channel's WebSocket. */
export interface OpenDataChannel {
  /** Fresh UUID per open. */
  readonly requestId: string;
  /** Token of the latest StartSession or ResumeSession. Secret. */
  readonly tokenValue: string;
  /** UUID chosen once per session. */
  readonly clientId: string;
  readonly clientVersion: string;
}

/** Serialises an OpenDataChannel. */
export function encodeOpenDataChannel(open: OpenDataChannel): string {
  return JSON.stringify({
    MessageSchemaVersion: "1.0",
    RequestId: open.requestId,
    TokenValue: open.tokenValue,
    ClientId: open.clientId,
    ClientVersion: open.clientVersion,
  });
}

/** @throws AwsocksError `session-protocol-error` */
export function parseOpenDataChannel(text: string): OpenDataChannel {
  const json = parseJson(encoder.encode(text), "OpenDataChannel");
  return {
    requestId: stringField(json, "RequestId"),
    tokenValue: stringField(json, "TokenValue"),
    clientId: stringField(json, "ClientId"),
    clientVersion: stringField(json, "ClientVersion"),
  };
}
