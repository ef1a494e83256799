/**
 * The data channel of a session: an ordered, reliable byte stream over WebSockets that come and go.
 *
 * `channel_closed` ends it; a WebSocket close never does: the channel resumes with a new token and
 * a new URL, keeps its sequence numbers and sends again whatever was not acknowledged.
 *
 * Source: Session Manager protocol, chapters on reliability, pause and resume.
 *
 * @module
 */

import {
  AwsocksError,
  BytePipe,
  type Conn,
  describeError,
  getLog,
  toAwsocksError,
  withDeadline,
} from "../core/mod.ts";
import { dataBeforeHandshake, overdue, silent } from "./channel_failures.ts";
import {
  CHANNEL_TIMING,
  type ChannelEnd,
  type ChannelState,
  type ChannelStats,
  type ChannelTiming,
  type DataChannelOptions,
} from "./channel_types.ts";
import { ACKNOWLEDGE_FLAGS, CLIENT_VERSION, Flag, MessageType, PayloadType } from "./constants.ts";
import { answerHandshake, type SessionInfo } from "./handshake.ts";
import { Inbox } from "./inbox.ts";
import { Link } from "./link.ts";
import { type ClientMessage, createMessage, decodeMessage, encodeMessage } from "./message.ts";
import {
  encodeAcknowledgement,
  encodeFlag,
  encodeHandshakeResponse,
  parseAcknowledgement,
  parseChannelClosed,
  parseFlag,
  parseHandshakeComplete,
  parseHandshakeRequest,
} from "./payloads.ts";
import { Sender } from "./sender.ts";
import type { SessionGrant } from "./service.ts";
import { compareVersions, REACKNOWLEDGES_DUPLICATES } from "./version.ts";

const log = getLog("ssm");

/** Bytes received and not read above which the socket is paused, and below which it goes on. */
const INPUT_HIGH_BYTES = 4 * 1024 * 1024;
const INPUT_LOW_BYTES = 1024 * 1024;

/** A session's byte stream. */
export class DataChannel implements Conn {
  /** Session id. */
  readonly sessionId: string;
  readonly #options: DataChannelOptions;
  readonly #timing: ChannelTiming;
  readonly #link: Link;
  readonly #input = new BytePipe(INPUT_HIGH_BYTES);
  readonly #inbox = new Inbox();
  readonly #sender: Sender;
  readonly #handshaken = Promise.withResolvers<SessionInfo>();
  readonly #ended = Promise.withResolvers<ChannelEnd>();
  readonly #counters = { receivedBytes: 0, duplicates: 0, malformed: 0 };

  #state: ChannelState = "opening";
  #info: SessionInfo | undefined;
  /** The agent is so old that it does not acknowledge a message twice. */
  #dropsDuplicates = true;
  #disruptions: Disposable | undefined;
  /** Monotonic time at which the agent last said anything. */
  #agentHeardAt = 0;
  #complete = false;
  #outputSeen = false;
  #shutdown: Promise<void> | undefined;

  /** @param grant what StartSession handed out */
  constructor(grant: SessionGrant, options: DataChannelOptions) {
    this.sessionId = grant.sessionId;
    this.#options = options;
    this.#timing = { ...CHANNEL_TIMING, ...options.timing };
    this.#link = new Link(grant, {
      ...options,
      clientVersion: this.#clientVersion,
      timing: this.#timing,
    }, {
      up: () => this.#linkUp(),
      down: () => this.#setState("resuming"),
      message: (bytes) => this.#received(bytes),
      drained: () => this.#sender.scheduleFlush(),
      failed: (error, over) => {
        this.#finish({ by: over ? "remote" : "lost", output: "", error });
      },
    });
    this.#sender = new Sender({
      ...options,
      link: this.#link,
      timing: this.#timing,
      silentOnDuplicates: () => this.#silentOnDuplicates,
      onSilence: () => {
        const error = silent(this.sessionId, this.#timing.silence);
        this.#finish({ by: "lost", output: "", error });
      },
    });
    this.#disruptions = options.disruptions?.on(() => this.#link.check());
    this.#handshaken.promise.catch(() => {}); // observed by open(), if it is called at all
  }

  /** Where the channel is. */
  get state(): ChannelState {
    return this.#state;
  }

  /** Resolves when the channel has ended; never rejects. */
  get closed(): Promise<ChannelEnd> {
    return this.#ended.promise;
  }

  /** Counters. */
  get stats(): ChannelStats {
    const { outbox, waitingSince, sentBytes, maxUnacknowledged, maxWindowShare } = this.#sender;
    const now = this.#options.clock.monotonic();
    return {
      ...this.#counters,
      sentBytes,
      maxUnacknowledged,
      maxWindowShare,
      resumes: this.#link.resumes,
      retransmissions: outbox.retransmissions,
      unacknowledged: outbox.bytes,
      silence: waitingSince === undefined ? 0 : now - Math.max(waitingSince, this.#agentHeardAt),
      ...(outbox.roundTrip !== undefined && { roundTrip: outbox.roundTrip }),
    };
  }

  /**
   * Connects and completes the handshake.
   * @throws AwsocksError `session-handshake-failed`, `session-closed`, `aws-…`
   */
  async open(options: { signal?: AbortSignal | undefined } = {}): Promise<SessionInfo> {
    const { handshake } = this.#timing;
    this.#link.open();
    try {
      return await withDeadline(
        this.#options.clock,
        handshake,
        () => overdue(this.sessionId, handshake, this.#link.lastError),
        () => this.#handshaken.promise,
        options.signal,
      );
    } catch (error) {
      this.#finish({ by: "lost", output: "", error: toAwsocksError(error) });
      throw error;
    }
  }

  async read(into: Uint8Array): Promise<number | null> {
    const n = await this.#input.read(into);
    if (this.#input.size < INPUT_LOW_BYTES) this.#link.resumeReading();
    return n;
  }

  async write(data: Uint8Array): Promise<number> {
    if (!await this.#sender.write(data)) throw await this.#brokenPipe();
    return data.byteLength;
  }

  /** Waits until what was written is acknowledged. A session has no half-close to pass on. */
  async closeWrite(): Promise<void> {
    await this.#sender.drained();
  }

  /** Resolves when the agent has acknowledged everything written so far, or the channel has ended. */
  acknowledged(): Promise<void> {
    return this.#sender.delivered();
  }

  /** Ends the session in the background; {@linkcode shutdown} waits for it. */
  close(): void {
    void this.shutdown();
  }

  /**
   * Ends the session: what was written is sent, the agent is told, `TerminateSession` is called.
   * Bounded in time, idempotent, never rejects.
   */
  shutdown(): Promise<void> {
    return this.#shutdown ??= this.#runShutdown();
  }

  async #runShutdown(): Promise<void> {
    if (this.#state === "open") {
      await this.#within(this.#timing.drain, () => this.#sender.drained()).catch(() => {});
      if (this.#link.connected) {
        this.#sender.send(PayloadType.Flag, encodeFlag(Flag.TerminateSession));
      }
    }
    const end = this.#state === "closed" ? await this.closed : undefined;
    if (end?.by !== "remote") await this.#terminate();
    this.#finish({ by: "local", output: "" });
  }

  async #terminate(): Promise<void> {
    try {
      await this.#within(
        this.#timing.terminate,
        (signal) => this.#options.service.terminateSession(this.sessionId, { signal }),
      );
    } catch (error) {
      log.warn("Could not terminate session {sessionId}: {reason}", {
        sessionId: this.sessionId,
        reason: describeError(error),
      });
    }
  }

  #within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = () => new AwsocksError("timeout", `No answer within ${ms / 1000} s`);
    return withDeadline(this.#options.clock, ms, late, work);
  }

  // Receiving

  get #clientVersion(): string {
    return this.#options.clientVersion ?? CLIENT_VERSION;
  }

  #linkUp(): void {
    this.#setState(this.#complete ? "open" : "handshaking");
    this.#sender.linkUp();
  }

  #received(bytes: Uint8Array): void {
    let message: ClientMessage;
    try {
      message = decodeMessage(bytes);
    } catch (error) {
      // Not acknowledged, so that a message damaged on the way comes again.
      return this.#malformed(error);
    }
    try {
      this.#handle(message);
    } catch (error) {
      this.#finish({ by: "lost", output: "", error: toAwsocksError(error) });
    }
  }

  #malformed(error: unknown): void {
    this.#counters.malformed++;
    log.debug("Session {sessionId}: {reason}", {
      sessionId: this.sessionId,
      reason: describeError(error),
    });
  }

  #handle(message: ClientMessage): void {
    switch (message.messageType) {
      case MessageType.OutputStreamData:
        return this.#handleOutput(message);
      case MessageType.Acknowledge:
        return this.#handleAcknowledgement(message);
      case MessageType.ChannelClosed:
        return this.#handleChannelClosed(message);
      case MessageType.PausePublication:
        return this.#sender.pause();
      case MessageType.StartPublication:
        return this.#sender.unpause();
      default:
        log.debug("Ignored a message of type {type}", { type: message.messageType });
    }
  }

  #handleOutput(message: ClientMessage): void {
    this.#agentHeardAt = this.#options.clock.monotonic();
    this.#sender.unpause();
    const arrival = this.#inbox.accept(message);
    if (arrival.kind === "dropped") return;
    this.#acknowledge(message);
    if (arrival.kind === "duplicate") {
      this.#counters.duplicates++;
      return;
    }
    for (const next of arrival.messages) this.#dispatch(next);
  }

  #acknowledge(message: ClientMessage): void {
    this.#link.send(encodeMessage(createMessage({
      messageType: MessageType.Acknowledge,
      flags: ACKNOWLEDGE_FLAGS,
      createdDate: this.#options.clock.now(),
      payload: encodeAcknowledgement(message),
    })));
  }

  #handleAcknowledgement(message: ClientMessage): void {
    this.#agentHeardAt = this.#options.clock.monotonic();
    this.#sender.unpause();
    let sequenceNumber: number;
    try {
      sequenceNumber = parseAcknowledgement(message.payload).sequenceNumber;
    } catch (error) {
      return this.#malformed(error);
    }
    this.#sender.acknowledged(sequenceNumber);
  }

  /** Before the destination has answered, an old agent may still be refusing rather than silent. */
  get #silentOnDuplicates(): boolean {
    return this.#outputSeen && this.#dropsDuplicates;
  }

  /** Sequenced payloads, in order. Every kind has already advanced the order. */
  #dispatch(message: ClientMessage): void {
    const { payload, payloadType } = message;
    switch (payloadType) {
      case PayloadType.Output:
        if (!this.#complete) throw dataBeforeHandshake(this.sessionId);
        this.#outputSeen = true;
        this.#counters.receivedBytes += payload.byteLength;
        this.#input.push(payload);
        if (this.#input.full) this.#link.pauseReading();
        return;
      case PayloadType.HandshakeRequest:
        return this.#handleHandshakeRequest(payload);
      case PayloadType.HandshakeComplete:
        return this.#handleHandshakeComplete(payload);
      case PayloadType.Flag:
        return this.#options.onFlag?.(parseFlag(payload));
      default:
        log.debug("Ignored a payload of type {payloadType}", { payloadType });
    }
  }

  #handleHandshakeRequest(payload: Uint8Array): void {
    // A second response under a new number would block the agent's reader for ever.
    if (this.#info) return;
    const answer = answerHandshake(parseHandshakeRequest(payload), this.#clientVersion);
    this.#info = answer.info;
    this.#dropsDuplicates =
      compareVersions(answer.info.agentVersion, REACKNOWLEDGES_DUPLICATES) < 0;
    this.#sender.send(PayloadType.HandshakeResponse, encodeHandshakeResponse(answer.response));
    if (answer.error) this.#finish({ by: "lost", output: "", error: answer.error });
  }

  #handleHandshakeComplete(payload: Uint8Array): void {
    if (this.#complete) return;
    if (!this.#info) throw dataBeforeHandshake(this.sessionId);
    const { customerMessage } = parseHandshakeComplete(payload);
    if (customerMessage) log.info("Session Manager says: {customerMessage}", { customerMessage });
    this.#complete = true;
    this.#setState("open");
    this.#handshaken.resolve(this.#info);
    this.#sender.open();
  }

  #handleChannelClosed(message: ClientMessage): void {
    const { output } = parseChannelClosed(message.payload);
    const error = output || !this.#complete
      ? new AwsocksError(
        this.#complete ? "session-closed" : "session-handshake-failed",
        `Session Manager closed the session${output && `: ${output}`}`,
        { facts: { sessionId: this.sessionId, output } },
      )
      : undefined;
    if (this.#shutdown) return this.#finish({ by: "local", output }); // the answer to our own end
    this.#finish({ by: "remote", output, ...(error && { error }) });
  }

  // The end

  #finish(end: ChannelEnd): void {
    if (this.#state === "closed") return;
    this.#disruptions?.[Symbol.dispose]();
    this.#link.close();
    this.#setState("closed");
    this.#input.end(end.error);
    this.#sender.end();
    this.#handshaken.reject(
      end.error ?? new AwsocksError("session-closed", "The session ended before its handshake"),
    );
    this.#ended.resolve(end);
    if (end.by === "lost") void this.shutdown(); // the service still holds it
  }

  async #brokenPipe(): Promise<AwsocksError> {
    const end = this.#state === "closed" ? await this.closed : undefined;
    return new AwsocksError("session-closed", "The session has ended", { cause: end?.error });
  }

  #setState(state: ChannelState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onStateChange?.(state);
  }
}
