/**
 * A gateway and agent that do exactly what a test tells them, in memory and without a timer of
 * their own: the peer of data channel tests.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type ClientMessage,
  createMessage,
  decodeMessage,
  encodeAcknowledgement,
  encodeChannelClosed,
  encodeHandshakeComplete,
  encodeHandshakeRequest,
  encodeMessage,
  type FrameSocket,
  MessageType,
  type OpenDataChannel,
  parseAcknowledgement,
  parseOpenDataChannel,
  PayloadType,
  type SessionGrant,
  type SessionService,
  type SocketConnector,
  type SocketEvents,
} from "../../lib/ssm/mod.ts";

/** One WebSocket as the gateway sees it. */
export class ScriptedSocket implements FrameSocket {
  bufferedAmount = 0;
  readonly received: ClientMessage[] = [];
  open: OpenDataChannel | undefined;
  closed = false;
  reading = true;
  pings = 0;

  constructor(readonly url: string, readonly events: SocketEvents) {}

  send(data: string | Uint8Array): void {
    if (typeof data === "string") this.open = parseOpenDataChannel(data);
    else this.received.push(decodeMessage(data.slice()));
  }
  ping(): void {
    this.pings++;
  }
  pause(): void {
    this.reading = false;
  }
  resume(): void {
    this.reading = true;
  }
  close(): void {
    this.closed = true;
  }
}

/** The service and the far end of every socket. */
export class ScriptedGateway implements SessionService {
  readonly sockets: ScriptedSocket[] = [];
  readonly calls: string[] = [];
  readonly terminated: string[] = [];
  /** Answers of ResumeSession, first to last; when empty a fresh grant is given. */
  readonly resumeAnswers: (SessionGrant | null | Error)[] = [];
  /** Failures of the next dials, first to last. */
  readonly dialFailures: Error[] = [];
  #outputSequence = 0;
  #resumes = 0;

  readonly grant: SessionGrant = {
    sessionId: "session-1",
    streamUrl: "wss://gateway.test/v1/data-channel/session-1?role=publish_subscribe",
    tokenValue: "token-0",
  };

  startSession(): Promise<SessionGrant> {
    this.calls.push("start");
    return Promise.resolve(this.grant);
  }

  resumeSession(): Promise<SessionGrant | null> {
    this.calls.push("resume");
    const answer = this.resumeAnswers.shift();
    if (answer instanceof Error) return Promise.reject(answer);
    if (answer !== undefined) return Promise.resolve(answer);
    const n = ++this.#resumes;
    return Promise.resolve({
      sessionId: "session-1",
      streamUrl: `wss://gateway.test/resumed-${n}`,
      tokenValue: `token-${n}`,
    });
  }

  terminateSession(sessionId: string): Promise<void> {
    this.calls.push("terminate");
    this.terminated.push(sessionId);
    return Promise.resolve();
  }

  readonly connect: SocketConnector = (url, events) => {
    const failure = this.dialFailures.shift();
    if (failure) return Promise.reject(failure);
    const socket = new ScriptedSocket(url, events);
    this.sockets.push(socket);
    return Promise.resolve(socket);
  };

  /** The latest socket. */
  get socket(): ScriptedSocket {
    const socket = this.sockets.at(-1);
    assert.ok(socket, "no socket was opened");
    return socket;
  }

  /** Numbers and builds a message of the agent's stream without delivering it. */
  output(payloadType: number, payload: Uint8Array, sequenceNumber?: number): Uint8Array {
    return encodeMessage(createMessage({
      messageType: MessageType.OutputStreamData,
      sequenceNumber: sequenceNumber ?? this.#outputSequence++,
      payloadType,
      payload,
    }));
  }

  deliver(bytes: Uint8Array): void {
    this.socket.events.message(bytes);
  }

  /** A message outside the agent's stream. */
  control(messageType: string, payload: Uint8Array = new Uint8Array([123, 125])): void {
    this.deliver(encodeMessage(createMessage({ messageType, payload })));
  }

  data(text: string): void {
    this.deliver(this.output(PayloadType.Output, new TextEncoder().encode(text)));
  }

  handshakeRequest(agentVersion = "3.3.1142.0", sessionType = "Port"): Uint8Array {
    return this.output(
      PayloadType.HandshakeRequest,
      encodeHandshakeRequest({
        agentVersion,
        requestedClientActions: [{
          actionType: "SessionType",
          actionParameters: { SessionType: sessionType, Properties: { portNumber: "22" } },
        }],
      }),
    );
  }

  handshakeComplete(): Uint8Array {
    const complete = { handshakeTimeToComplete: 1, customerMessage: "" };
    return this.output(PayloadType.HandshakeComplete, encodeHandshakeComplete(complete));
  }

  /** The whole handshake, its response acknowledged. */
  handshake(agentVersion?: string): void {
    this.deliver(this.handshakeRequest(agentVersion));
    this.acknowledge(0);
    this.deliver(this.handshakeComplete());
  }

  acknowledge(sequenceNumber: number): void {
    this.control(
      MessageType.Acknowledge,
      encodeAcknowledgement({
        messageType: MessageType.InputStreamData,
        messageId: crypto.randomUUID(),
        sequenceNumber,
      }),
    );
  }

  channelClosed(output = ""): void {
    this.control(
      MessageType.ChannelClosed,
      encodeChannelClosed({
        sessionId: "session-1",
        output,
        messageId: crypto.randomUUID(),
        destinationId: "i-1",
        createdDate: "2025-01-01T00:00:00Z",
      }),
    );
  }

  cut(code = 1000, reason = "Bye"): void {
    this.socket.events.closed({ code, reason });
  }

  /** Stream messages received on a socket, the latest one by default. */
  stream(socket = this.socket): ClientMessage[] {
    return socket.received.filter((message) => message.messageType === MessageType.InputStreamData);
  }

  /** Sequence numbers acknowledged by the client on a socket. */
  acknowledged(socket = this.socket): number[] {
    return socket.received
      .filter((message) => message.messageType === MessageType.Acknowledge)
      .map((message) => parseAcknowledgement(message.payload).sequenceNumber);
  }
}
