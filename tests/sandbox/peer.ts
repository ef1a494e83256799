/**
 * A client of the data channel that does nothing by itself: a test says each message. It shares the
 * codec with the sandbox and nothing else.
 *
 * @module
 */

import { Buffer } from "node:buffer";
// @ts-types="@types/ws"
import WebSocket from "ws";
import { Flag, MessageType, PayloadType } from "../../lib/ssm/constants.ts";
import {
  type ClientMessage,
  createMessage,
  decodeMessage,
  encodeMessage,
} from "../../lib/ssm/message.ts";
import type { Sandbox } from "../../lib/sandbox/mod.ts";
import { callSsm, json } from "./caller.ts";

const WAIT_MS = 10_000;
const encoder = new TextEncoder();

/** What StartSession and ResumeSession hand out. */
export interface Grant {
  readonly sessionId: string;
  readonly streamUrl: string;
  readonly tokenValue: string;
}

/** Starts an SSH session. */
export async function startSession(
  sandbox: Sandbox,
  { target = sandbox.instanceId, port = "22" } = {},
): Promise<Grant> {
  const answer = await callSsm(sandbox, "StartSession", {
    Target: target,
    DocumentName: "AWS-StartSSHSession",
    Parameters: { portNumber: [port] },
  });
  if (answer.status !== 200) throw new Error(answer.text);
  return grantOf(json(answer));
}

/** Resumes a session. */
export async function resumeSession(sandbox: Sandbox, sessionId: string): Promise<Grant> {
  const answer = await callSsm(sandbox, "ResumeSession", { SessionId: sessionId });
  if (answer.status !== 200) throw new Error(answer.text);
  return grantOf(json(answer));
}

function grantOf(answer: Record<string, unknown>): Grant {
  return {
    sessionId: String(answer.SessionId),
    streamUrl: String(answer.StreamUrl),
    tokenValue: String(answer.TokenValue),
  };
}

/** OpenDataChannel as a correct client sends it. */
export function openDataChannel(
  tokenValue: string,
  clientId = "f0e1d2c3-0000-4000-8000-000000000001",
): Record<string, string> {
  return {
    MessageSchemaVersion: "1.0",
    RequestId: crypto.randomUUID(),
    TokenValue: tokenValue,
    ClientId: clientId,
    ClientVersion: "1.2.707.0",
  };
}

/** A WebSocket with what came in, in order. */
export class Peer implements Disposable {
  readonly #socket: WebSocket;
  readonly #inbox: ClientMessage[] = [];
  readonly #closed = Promise.withResolvers<{ code: number; reason: string }>();
  #changed = Promise.withResolvers<void>();
  #sequence = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: WebSocket.RawData) => {
      this.#inbox.push(decodeMessage(new Uint8Array(data as Buffer)));
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", (code: number, reason: Buffer) => {
      this.#closed.resolve({ code, reason: reason.toString() });
      this.#wake();
    });
  }

  /** Connects, without saying anything. @throws Error with the HTTP status of a refusal */
  static async connect(url: string, headers: Record<string, string> = {}): Promise<Peer> {
    const socket = new WebSocket(url, { headers });
    await new Promise<void>((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("unexpected-response", (request, response) => {
        reject(new Error(`HTTP ${response.statusCode} ${response.headers["content-type"]}`));
        request.destroy();
      });
      socket.once("error", reject);
    });
    return new Peer(socket);
  }

  /** Connects and opens the data channel. */
  static async open(grant: Grant, options: { clientId?: string } = {}): Promise<Peer> {
    const peer = await Peer.connect(grant.streamUrl);
    peer.sendText(JSON.stringify(openDataChannel(grant.tokenValue, options.clientId)));
    return peer;
  }

  /** Close code and reason, once the sandbox has closed. */
  get closed(): Promise<{ code: number; reason: string }> {
    return this.#closed.promise;
  }

  /** Messages that nobody has taken yet. */
  get inbox(): readonly ClientMessage[] {
    return this.#inbox;
  }

  /** Sequence number of the next stream message. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Sends a ping; resolves with whether a pong came within `ms` milliseconds. */
  ping(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const limit = setTimeout(() => settle(false), ms);
      const settle = (answered: boolean) => {
        clearTimeout(limit);
        this.#socket.off("pong", onPong);
        resolve(answered);
      };
      const onPong = () => settle(true);
      this.#socket.on("pong", onPong);
      this.#socket.ping();
    });
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.send(bytes);
  }

  /** Sends a stream message; numbered by itself unless told otherwise. */
  send(
    payloadType: number,
    payload: Uint8Array | string,
    sequenceNumber: number = this.#sequence++,
  ): ClientMessage {
    const message = createMessage({
      messageType: MessageType.InputStreamData,
      sequenceNumber,
      payloadType,
      payload: typeof payload === "string" ? encoder.encode(payload) : payload,
    });
    this.sendBytes(encodeMessage(message));
    return message;
  }

  /** Sends a flag. */
  flag(flag: typeof Flag[keyof typeof Flag]): void {
    this.send(PayloadType.Flag, new Uint8Array([0, 0, 0, flag]));
  }

  /** Acknowledges a message. */
  acknowledge(message: Pick<ClientMessage, "messageType" | "messageId" | "sequenceNumber">): void {
    this.sendBytes(encodeMessage(createMessage({
      messageType: MessageType.Acknowledge,
      flags: 3,
      payload: encoder.encode(JSON.stringify({
        AcknowledgedMessageType: message.messageType,
        AcknowledgedMessageId: message.messageId,
        AcknowledgedMessageSequenceNumber: message.sequenceNumber,
        IsSequentialMessage: true,
      })),
    })));
  }

  /** Answers the handshake. */
  respond(status = 1): ClientMessage {
    return this.send(
      PayloadType.HandshakeResponse,
      JSON.stringify({
        ClientVersion: "1.2.707.0",
        ProcessedClientActions: [{
          ActionType: "SessionType",
          ActionStatus: status,
          ActionResult: null,
          Error: status === 1 ? "" : "no thanks",
        }],
        Errors: null,
      }),
    );
  }

  /** Takes the first message that fits, waiting for it if need be. */
  async take(fits: (message: ClientMessage) => boolean): Promise<ClientMessage> {
    let overdue = false;
    const limit = setTimeout(() => {
      overdue = true;
      this.#wake();
    }, WAIT_MS);
    try {
      for (;;) {
        const index = this.#inbox.findIndex(fits);
        if (index >= 0) return this.#inbox.splice(index, 1)[0]!;
        if (overdue) throw new Error("Waited too long for a message");
        await this.#changed.promise;
      }
    } finally {
      clearTimeout(limit);
    }
  }

  /** Takes the next message of a type, with a payload type if one is given. */
  next(messageType: string, payloadType?: number): Promise<ClientMessage> {
    return this.take((message) =>
      message.messageType === messageType &&
      (payloadType === undefined || message.payloadType === payloadType)
    );
  }

  /** Takes the acknowledgement of a message that was sent. */
  acknowledged(sent: ClientMessage): Promise<ClientMessage> {
    return this.take((message) =>
      message.messageType === MessageType.Acknowledge &&
      payloadJson(message).AcknowledgedMessageId === sent.messageId
    );
  }

  /** Goes through the whole handshake. */
  async handshake(): Promise<void> {
    const request = await this.next(MessageType.OutputStreamData, PayloadType.HandshakeRequest);
    this.acknowledge(request);
    await this.acknowledged(this.respond());
    this.acknowledge(await this.next(MessageType.OutputStreamData, PayloadType.HandshakeComplete));
  }

  /** Takes output, acknowledging it, until it contains a text. */
  async output(until: string): Promise<string> {
    let text = "";
    while (!text.includes(until)) {
      const message = await this.next(MessageType.OutputStreamData, PayloadType.Output);
      this.acknowledge(message);
      text += new TextDecoder("latin1").decode(message.payload);
    }
    return text;
  }

  [Symbol.dispose](): void {
    this.#socket.terminate();
  }

  /** Closes and waits until that is done. */
  async close(): Promise<void> {
    this.#socket.terminate();
    await this.closed;
  }

  #wake(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    changed.resolve();
  }
}

/** The JSON in a payload. */
export function payloadJson(message: ClientMessage): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(message.payload));
}
