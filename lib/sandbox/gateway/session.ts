/**
 * A session as the gateway keeps it: the client's WebSocket on one side, the agent's worker on the
 * other, the grants that let a client in, and the end.
 *
 * @module
 */

import { type Clock, getLog, type Timer } from "../../core/mod.ts";
import { MessageType } from "../../ssm/constants.ts";
import { decodeMessage } from "../../ssm/message.ts";
import type { AgentWorker, AgentWorkerOptions } from "../agent/worker.ts";
import type { EventHub } from "../events.ts";
import type { Frame } from "../frame.ts";
import type { CutMode, Switches } from "../options.ts";
import type { Random } from "../random.ts";
import { Admission, type Grant } from "./admission.ts";
import { FaultPipe } from "./fault_pipe.ts";
import { channelClosed, publication } from "./service_messages.ts";
import type {
  ClientSocket,
  SessionCounters,
  SessionFacts,
  SessionStatus,
} from "./session_types.ts";

/** Options of {@linkcode GatewaySession}. */
export interface GatewaySessionOptions {
  readonly facts: SessionFacts;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: EventHub;
  /** The switches as they are now. */
  readonly switches: () => Switches;
  /** `ws://host:port` of the gateway. */
  readonly origin: string;
  /** Makes the agent's worker for this session. */
  readonly createWorker: (
    hooks: Pick<AgentWorkerOptions, "transmit" | "onDrain" | "onHandshake">,
  ) => AgentWorker;
}

/** Bytes on their way to the agent beyond which the client's WebSocket is not read. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** Messages that are kept for a client that is away. */
const KEPT_MESSAGES = 10_000;
/** The agent's own reconnection, in milliseconds. */
const AGENT_RECONNECT_MS = [100, 199] as const;
const BYE = { code: 1000, reason: "Bye" } as const;
const TOO_BIG = 1009;

/** A session. */
export class GatewaySession {
  readonly facts: SessionFacts;
  readonly startedAt: number;
  readonly #options: GatewaySessionOptions;
  readonly #admission: Admission;
  readonly #toClient: FaultPipe;
  readonly #toAgent: FaultPipe;
  readonly #timers = new Set<Timer>();
  readonly #counters = {
    webSockets: 0,
    signedWebSockets: 0,
    cuts: 0,
    messagesFromClient: 0,
    messagesToClient: 0,
    bytesFromClient: 0,
    bytesToClient: 0,
    malformed: 0,
    lost: 0,
  };
  #worker: AgentWorker | undefined;
  #agentConnected = false;
  #agentKilled = false;
  #client: ClientSocket | undefined;
  #kept: Frame[] = [];
  #clientPaused = false;
  #sinceOpen = { bytes: 0, messages: 0 };
  #cutTimer: Timer | undefined;
  #lastInput: number;
  #refuseResumeUntil = -Infinity;
  #status: SessionStatus = "Connecting";
  #ended: { readonly at: number; readonly output: string } | undefined;

  constructor(options: GatewaySessionOptions) {
    const { clock, switches } = options;
    this.facts = options.facts;
    this.#options = options;
    this.#admission = new Admission({ ...options, sessionId: options.facts.sessionId });
    this.startedAt = clock.now();
    this.#lastInput = clock.monotonic();
    const pipe = (deliver: (frame: Frame) => void) =>
      new FaultPipe({ clock, random: options.random, switches, deliver });
    this.#toClient = pipe((frame) => this.#deliverToClient(frame));
    this.#toAgent = pipe((frame) => this.#deliverToAgent(frame));
    this.#after(switches().agentDelay, () => this.#startAgent());
    if (switches().maxDuration > 0) this.#after(switches().maxDuration, () => this.end(""));
    this.#watchIdle();
  }

  get status(): SessionStatus {
    return this.#status;
  }

  /** When and how it ended; undefined while it lives. */
  get ended(): { readonly at: number; readonly output: string } | undefined {
    return this.#ended;
  }

  /** True while a client's WebSocket is open. */
  get clientConnected(): boolean {
    return this.#client !== undefined;
  }

  get counters(): SessionCounters {
    const faults = [this.#toClient.counters, this.#toAgent.counters] as const;
    const agent = this.#worker?.counters ??
      { retransmissions: 0, duplicates: 0, discarded: 0, refused: 0 };
    return {
      ...this.#counters,
      ...agent,
      dropped: faults[0].dropped + faults[1].dropped,
      duplicated: faults[0].duplicated + faults[1].duplicated,
      reordered: faults[0].reordered + faults[1].reordered,
      delayed: faults[0].delayed + faults[1].delayed,
    };
  }

  /** Makes a new grant, which counts as input for the idle timer. */
  grant(): Grant {
    this.#lastInput = this.#options.clock.monotonic();
    return this.#admission.grant();
  }

  /** True while ResumeSession must fail because of the switch `refuseResume`. */
  get resumeRefused(): boolean {
    return this.#options.clock.monotonic() < this.#refuseResumeUntil;
  }

  /** True for the path and query of the latest grant, while the session lives. */
  admits(pathAndQuery: string): boolean {
    return !this.#ended && this.#admission.admits(pathAndQuery);
  }

  /**
   * Takes a client's first message.
   * @returns why the client is refused, or undefined and the client is in
   */
  open(socket: ClientSocket, text: string): string | undefined {
    const refusal = this.#ended ? "The session has ended" : this.#admission.open(text);
    if (refusal) return refusal;
    // A client that comes back before its old WebSocket was seen to die replaces it.
    if (this.#client) this.#detach(1000, "sandbox").terminate();
    this.#client = socket;
    this.#status = "Connected";
    this.#sinceOpen = { bytes: 0, messages: 0 };
    this.#counters.webSockets++;
    if (socket.signature === "valid") this.#counters.signedWebSockets++;
    this.#options.events.emit({
      type: "websocket-opened",
      sessionId: this.facts.sessionId,
      resumed: this.#counters.webSockets > 1,
      signature: socket.signature,
    });
    const { cutEvery } = this.#options.switches();
    if (cutEvery?.unit === "ms") {
      this.#cutTimer = this.#after(cutEvery.amount, () => this.cut());
    }
    for (const frame of this.#kept.splice(0)) this.#toClient.push(frame);
    if (this.#agentConnected) this.#publish(MessageType.StartPublication);
    return undefined;
  }

  /** A message from the client's WebSocket. */
  fromClient(socket: ClientSocket, bytes: Uint8Array): void {
    if (socket !== this.#client) return;
    const { maxMessage } = this.#options.switches();
    if (maxMessage > 0 && bytes.byteLength > maxMessage) {
      this.#detach(TOO_BIG, "sandbox").close(TOO_BIG, "Message too big");
      return;
    }
    this.#counters.messagesFromClient++;
    this.#counters.bytesFromClient += bytes.byteLength;
    let frame: Frame;
    try {
      frame = { message: decodeMessage(bytes), bytes };
    } catch (error) {
      this.#counters.malformed++;
      getLog("sandbox").warn("Client sent a malformed message", { error });
      return;
    }
    if (frame.message.messageType === MessageType.InputStreamData) {
      this.#lastInput = this.#options.clock.monotonic();
    }
    this.#toAgent.push(frame);
    this.#holdClient();
    this.#countForCut(bytes.byteLength);
  }

  /** The client's WebSocket has closed. */
  clientGone(socket: ClientSocket, code: number): void {
    if (socket === this.#client) this.#detach(code, "client");
  }

  /** Cuts the client's WebSocket, if there is one; the session goes on. */
  cut(mode: CutMode = this.#options.switches().cutMode): boolean {
    if (!this.#client) return false;
    const { clock, switches } = this.#options;
    this.#counters.cuts++;
    this.#refuseResumeUntil = clock.monotonic() + switches().refuseResume;
    const socket = this.#detach(mode === "bye" ? BYE.code : 1006, "sandbox");
    if (mode === "bye") socket.close(BYE.code, BYE.reason);
    else if (mode === "abrupt") socket.terminate();
    // A socket that nobody reads answers no ping and notices no close.
    else socket.pause();
    return true;
  }

  /** Cuts the agent's WebSocket; the agent comes back by itself. */
  cutAgent(): void {
    if (!this.#agentConnected) return;
    this.#agentConnected = false;
    this.#toAgent.clear();
    this.#publish(MessageType.PausePublication);
    this.#after(this.#options.random.between(...AGENT_RECONNECT_MS), () => {
      if (this.#agentKilled) return; // its machine has gone down meanwhile
      this.#agentConnected = true;
      this.#worker?.reconnected();
      if (this.#client) this.#publish(MessageType.StartPublication);
    });
  }

  /** The instance is down: the agent goes without a word, or never comes. */
  killAgent(): void {
    this.#agentKilled = true;
    this.#agentConnected = false;
    this.#worker?.close();
    this.#publish(MessageType.PausePublication);
  }

  /** Sends `pause_publication` or `start_publication` to both sides. */
  setPublication(running: boolean): void {
    this.#publish(running ? MessageType.StartPublication : MessageType.PausePublication);
  }

  /** Ends the session for good and tells whoever is connected. Idempotent. */
  end(output: string): void {
    if (this.#ended) return;
    const { clock, events, random } = this.#options;
    this.#ended = { at: clock.now(), output };
    this.#status = "Terminated";
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#worker?.close();
    this.#toAgent.clear();
    if (this.#client) {
      this.#toClient.push(channelClosed({
        messageId: random.uuid(),
        now: clock.now(),
        sessionId: this.facts.sessionId,
        destinationId: this.facts.instanceId,
        output,
      }));
    }
    events.emit({ type: "session-ended", sessionId: this.facts.sessionId, output });
  }

  /** Frees everything at once, without a word to the client. Idempotent. */
  close(): void {
    this.#client?.terminate();
    this.#client = undefined;
    this.end("");
    this.#toClient.clear();
  }

  #startAgent(): void {
    if (this.#ended || this.#agentKilled) return;
    const { createWorker, events } = this.#options;
    this.#agentConnected = true;
    const worker = this.#worker = createWorker({
      transmit: (frame) => this.#fromAgent(frame),
      onDrain: () => this.#releaseClient(),
      onHandshake: (clientVersion) => {
        events.emit({
          type: "handshake-completed",
          sessionId: this.facts.sessionId,
          clientVersion,
        });
      },
    });
    if (this.#client) this.#publish(MessageType.StartPublication);
    // A worker that was killed ends too, but has no way left to tell the gateway.
    worker.run().then(({ output, crashed }) => {
      if (crashed) this.killAgent();
      else if (this.#agentConnected) this.end(output);
    });
  }

  #fromAgent(frame: Frame): void {
    if (this.#agentConnected && this.#client) this.#toClient.push(frame);
    else if (!this.#agentConnected || !this.#keep(frame)) this.#counters.lost++;
  }

  #keep(frame: Frame): boolean {
    if (!this.#options.switches().keepInFlight || this.#kept.length >= KEPT_MESSAGES) return false;
    this.#kept.push(frame);
    return true;
  }

  #deliverToClient(frame: Frame): void {
    const client = this.#client;
    if (!client) {
      this.#counters.lost++;
      return;
    }
    this.#counters.messagesToClient++;
    this.#counters.bytesToClient += frame.bytes.byteLength;
    client.send(frame.bytes);
    if (frame.message.messageType === MessageType.ChannelClosed) {
      this.#detach(1000, "sandbox").close(1000, "");
    } else {
      this.#countForCut(frame.bytes.byteLength);
    }
  }

  #deliverToAgent(frame: Frame): void {
    if (this.#agentConnected && this.#worker) this.#worker.receive(frame);
    else this.#counters.lost++;
    if (this.#clientPaused) this.#releaseClient();
  }

  #holdClient(): void {
    if (this.#clientPaused || this.#inputBytes() <= HIGH_WATER_BYTES) return;
    this.#clientPaused = true;
    this.#client?.pause();
  }

  #releaseClient(): void {
    if (!this.#clientPaused || this.#inputBytes() > HIGH_WATER_BYTES / 2) return;
    this.#clientPaused = false;
    this.#client?.resume();
  }

  #inputBytes(): number {
    return this.#toAgent.waitingBytes + (this.#worker?.backlog ?? 0);
  }

  #countForCut(bytes: number): void {
    const { cutEvery } = this.#options.switches();
    this.#sinceOpen.bytes += bytes;
    this.#sinceOpen.messages++;
    if (!cutEvery || cutEvery.unit === "ms") return;
    if (this.#sinceOpen[cutEvery.unit] >= cutEvery.amount) this.cut();
  }

  /** Forgets the client's WebSocket; what is on its way is lost, and the agent is told to pause. */
  #detach(code: number, by: "client" | "sandbox"): ClientSocket {
    const socket = this.#client!;
    this.#client = undefined;
    this.#clientPaused = false;
    this.#cutTimer?.cancel();
    this.#toClient.clear();
    this.#toAgent.clear();
    this.#options.events.emit({
      type: "websocket-closed",
      sessionId: this.facts.sessionId,
      by,
      code,
    });
    if (!this.#ended) {
      this.#status = "Disconnected";
      this.#publish(MessageType.PausePublication);
    }
    return socket;
  }

  #publish(type: typeof MessageType.StartPublication | typeof MessageType.PausePublication): void {
    const { clock, random, switches } = this.#options;
    const style = switches().publication;
    if (style === "off" || this.#ended) return;
    const frame = publication(type, style, { messageId: random.uuid(), now: clock.now() });
    if (this.#client) this.#toClient.push(frame);
    if (this.#agentConnected) this.#worker?.receive(frame);
  }

  #watchIdle(): void {
    const { clock, switches } = this.#options;
    const left = this.#lastInput + switches().idleTimeout - clock.monotonic();
    if (left <= 0) return this.end("");
    this.#after(left, () => this.#watchIdle());
  }

  #after(ms: number, callback: () => void): Timer {
    const timer = this.#options.clock.after(ms, () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
    return timer;
  }
}
