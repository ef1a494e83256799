/**
 * One session worker of a managed instance's agent: handshake, then the session kind, then the
 * closing grace. It speaks to the gateway only in messages and knows nothing of WebSockets.
 *
 * @module
 */

import { AwsocksError, type Clock, getLog, type Timer } from "../../core/mod.ts";
import { ACKNOWLEDGE_FLAGS, MessageType, PayloadType } from "../../ssm/constants.ts";
import type { ClientMessage } from "../../ssm/message.ts";
import { encodeAcknowledgement } from "../../ssm/payloads.ts";
import { type Frame, frameOf } from "../frame.ts";
import type { Switches } from "../options.ts";
import type { Random } from "../random.ts";
import {
  failureText,
  HANDSHAKE_TIMED_OUT,
  handshakeComplete,
  handshakeRequest,
  readHandshakeResponse,
} from "./handshake.ts";
import { Incoming } from "./incoming.ts";
import { Outgoing } from "./outgoing.ts";
import type { SessionKind, SessionResult } from "./session_kind.ts";

/** How long a closing agent waits for acknowledgements, in milliseconds. */
const CLOSING_GRACE_MS = 2000;

const decoder = new TextDecoder();

/** Options of {@linkcode AgentWorker}. */
export interface AgentWorkerOptions {
  readonly sessionId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly switches: Switches;
  readonly agentVersion: string;
  /** Resolved properties of the session document. */
  readonly properties: Readonly<Record<string, string>>;
  /** Makes the session kind for a client of the given version. */
  readonly createSession: (clientVersion: string) => SessionKind;
  /** Puts a message on the agent's WebSocket. */
  readonly transmit: (frame: Frame) => void;
  /** Called when a full queue of input has emptied. */
  readonly onDrain: () => void;
  /** Called once HandshakeComplete is on its way. */
  readonly onHandshake: (clientVersion: string) => void;
}

/** Counters of a worker. */
export interface AgentCounters {
  /** Output messages sent again. */
  readonly retransmissions: number;
  /** Input messages that had arrived before. */
  readonly duplicates: number;
  /** Input messages acknowledged and thrown away because the handshake was not complete. */
  readonly discarded: number;
  /** Input messages refused because nobody could take them yet. */
  readonly refused: number;
}

/** A session worker. */
export class AgentWorker {
  readonly #options: AgentWorkerOptions;
  readonly #outgoing: Outgoing;
  readonly #incoming: Incoming;
  readonly #queue: Frame[] = [];
  readonly #answered = Promise.withResolvers<string>();
  readonly #closed = Promise.withResolvers<false>();
  #backlog = 0;
  #busy = false;
  #responded = false;
  #complete = false;
  #ended = false;
  #discarded = 0;
  #refused = 0;
  #session: SessionKind | undefined;

  constructor(options: AgentWorkerOptions) {
    const { clock, random, switches } = options;
    this.#options = options;
    this.#outgoing = new Outgoing({
      clock,
      random,
      resendTick: switches.resendTick,
      transmit: (frame) => options.transmit(frame),
    });
    this.#incoming = new Incoming({
      consume: (message) => this.#consume(message),
      acknowledge: (message) => this.#acknowledge(message),
      reacknowledge: switches.reacknowledge,
    });
    // Nobody waits for the answer any more once the worker was closed.
    this.#answered.promise.catch(() => {});
  }

  /** Bytes from the client that wait for their turn. */
  get backlog(): number {
    return this.#backlog;
  }

  get counters(): AgentCounters {
    return {
      retransmissions: this.#outgoing.retransmissions,
      duplicates: this.#incoming.duplicates,
      discarded: this.#discarded,
      refused: this.#refused,
    };
  }

  /** Runs the session to its end, closing grace included. Never rejects. */
  async run(): Promise<SessionResult> {
    const result = await this.#work();
    this.#session?.stop();
    if (!this.#ended) await this.#outgoing.flushed(CLOSING_GRACE_MS);
    this.close();
    return result;
  }

  /** A message from the gateway. */
  receive(frame: Frame): void {
    if (this.#ended) return;
    this.#queue.push(frame);
    this.#backlog += frame.bytes.byteLength;
    if (!this.#busy) this.#pump();
  }

  /** The agent has connected to the gateway again. */
  reconnected(): void {
    this.#outgoing.paused = false;
  }

  /** Ends {@linkcode run} at once, without grace: the channel was closed, or the machine goes down. Idempotent. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#session?.stop();
    this.#answered.reject(new AwsocksError("aborted", "The agent has stopped"));
    this.#outgoing.close();
    this.#queue.length = 0;
    this.#backlog = 0;
    this.#closed.resolve(false);
  }

  async #work(): Promise<SessionResult> {
    let clientVersion: string;
    try {
      clientVersion = await this.#handshake();
    } catch (error) {
      if (this.#ended) return { succeeded: true, output: "" };
      return { succeeded: false, output: failureText((error as Error).message) };
    }
    if (this.#ended) return { succeeded: true, output: "" };
    this.#session = this.#options.createSession(clientVersion);
    try {
      return await this.#session.run(this.#outgoing);
    } catch (error) {
      getLog("sandbox").error("Session failed inside the sandbox", { error });
      return { succeeded: false, output: "" };
    }
  }

  async #handshake(): Promise<string> {
    const { agentVersion, clock, properties, switches } = this.#options;
    const start = clock.monotonic();
    this.#outgoing.send(PayloadType.HandshakeRequest, handshakeRequest(agentVersion, properties));
    const limit: Timer = clock.after(switches.handshakeTimeout, () => {
      this.#answered.reject(new Error(HANDSHAKE_TIMED_OUT));
    });
    let clientVersion: string;
    try {
      clientVersion = await this.#answered.promise;
    } finally {
      limit.cancel();
    }
    this.#outgoing.send(
      PayloadType.HandshakeComplete,
      handshakeComplete(clock.monotonic() - start),
    );
    this.#complete = true;
    this.#options.onHandshake(clientVersion);
    return clientVersion;
  }

  /** Handles what is queued, in order, without a gap between messages that need no waiting. */
  #pump(): void {
    this.#busy = true;
    for (let frame = this.#queue.shift(); frame; frame = this.#queue.shift()) {
      this.#backlog -= frame.bytes.byteLength;
      const pending = this.#handle(frame.message);
      if (pending) {
        pending.then(() => this.#pump(), (error) => {
          getLog("sandbox").warn("Agent failed on a message", { error });
          this.#pump();
        });
        return;
      }
    }
    this.#busy = false;
    this.#options.onDrain();
  }

  #handle(message: ClientMessage): void | Promise<void> {
    if (this.#ended) return;
    switch (message.messageType) {
      case MessageType.InputStreamData:
        this.#outgoing.paused = false;
        return this.#incoming.receive(message);
      case MessageType.Acknowledge:
        this.#outgoing.paused = false;
        return this.#onAcknowledge(message.payload);
      case MessageType.PausePublication:
        this.#outgoing.paused = true;
        return;
      case MessageType.StartPublication:
        this.#outgoing.paused = false;
        return;
      case MessageType.ChannelClosed:
        return this.close();
    }
  }

  #onAcknowledge(payload: Uint8Array): void {
    try {
      const json = JSON.parse(decoder.decode(payload));
      this.#outgoing.acknowledge(json.AcknowledgedMessageSequenceNumber);
    } catch (error) {
      getLog("sandbox").warn("Agent got an acknowledgement it cannot read", { error });
    }
  }

  #acknowledge(message: ClientMessage): void {
    const { clock, random, transmit } = this.#options;
    transmit(frameOf({
      messageType: MessageType.Acknowledge,
      schemaVersion: 1,
      createdDate: clock.now(),
      sequenceNumber: 0,
      flags: ACKNOWLEDGE_FLAGS,
      messageId: random.uuid(),
      payloadType: PayloadType.None,
      payload: encodeAcknowledgement(message),
    }));
  }

  #consume(message: ClientMessage): boolean | Promise<boolean> {
    if (message.payloadType === PayloadType.HandshakeResponse) {
      return this.#onHandshakeResponse(message.payload);
    }
    if (message.payloadType === PayloadType.EncChallengeResponse) return true;
    if (!this.#complete && this.#options.switches.discardEarly) {
      this.#discarded++;
      return true;
    }
    const taken = this.#session?.handle(message) ?? false;
    if (taken === false) this.#refused++;
    return taken;
  }

  #onHandshakeResponse(payload: Uint8Array): boolean | Promise<boolean> {
    if (this.#responded) {
      if (!this.#options.switches.deadlock) return true;
      // The agent hands the answer to the one who waits for it. Nobody waits for a second one, so its
      // reader is stuck here for ever.
      getLog("sandbox").warn("A second HandshakeResponse has dead-locked the agent", {
        session: this.#options.sessionId,
      });
      return this.#closed.promise;
    }
    let answer;
    try {
      answer = readHandshakeResponse(payload);
    } catch (error) {
      getLog("sandbox").warn("Agent got a HandshakeResponse it cannot read", { error });
      return false;
    }
    this.#responded = true;
    if (answer.failure === undefined) this.#answered.resolve(answer.clientVersion);
    else {
      this.#answered.reject(
        new Error(`Encountered error while initiating handshake. ${answer.failure}`),
      );
    }
    return true;
  }
}
