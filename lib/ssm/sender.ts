/**
 * The sending half of a data channel: cuts a byte stream into messages, keeps what is under way
 * within the window, sends again what is late, and probes while publication is paused.
 *
 * @module
 */

import { BytePipe, type Clock, type Timer } from "../core/mod.ts";
import type { ChannelTiming } from "./channel_types.ts";
import { DEFAULT_PAYLOAD_BYTES, MessageType, PAYLOAD_OFFSET, PayloadType } from "./constants.ts";
import type { Link } from "./link.ts";
import { createMessage, encodeMessage } from "./message.ts";
import { DEFAULT_WINDOW, Outbox, type WindowOptions } from "./outbox.ts";

/** Bytes of the stream that wait for room in the window before `write` waits. */
const QUEUE_BYTES = 64 * 1024;
/** Bytes in the socket's own buffer above which data waits, so that acknowledgements get ahead. */
const SOCKET_BUFFER_BYTES = 64 * 1024;

/** Options of {@linkcode Sender}. */
export interface SenderOptions {
  readonly link: Pick<Link, "send" | "connected" | "reading" | "bufferedAmount" | "heardAt">;
  readonly clock: Clock;
  readonly timing: Pick<ChannelTiming, "tick" | "probe" | "silence">;
  readonly payloadBytes?: number | undefined;
  readonly window?: WindowOptions | undefined;
  /** True when the agent is known never to acknowledge a message twice. */
  readonly silentOnDuplicates: () => boolean;
  /** Called once when nothing was heard for too long while acknowledgements are owed. */
  readonly onSilence: () => void;
}

/** A place in the byte stream that somebody wants to see acknowledged. */
interface Mark {
  /** Bytes of the stream before it. */
  readonly bytes: number;
  /** The message that carries the last of them, once it is sent. */
  sequenceNumber: number | undefined;
  readonly reached: PromiseWithResolvers<void>;
}

/** Numbers, sends and sends again. */
export class Sender {
  readonly #options: SenderOptions;
  readonly #payloadBytes: number;
  readonly #queue = new BytePipe(QUEUE_BYTES);
  readonly #outbox: Outbox;
  #open = false;
  #paused = false;
  #pausedAt = 0;
  #nextSequence = 0;
  #lastProbe = 0;
  #flushScheduled = false;
  #tick: Timer | undefined;
  #idle: PromiseWithResolvers<void> | undefined;
  /** In the order of the stream. */
  readonly #marks: Mark[] = [];
  /** Monotonic time since which the agent has owed an acknowledgement, if it owes one. */
  #owedSince = 0;
  #sentBytes = 0;
  #maxUnacknowledged = 0;
  #maxWindowShare = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#payloadBytes = options.payloadBytes ?? DEFAULT_PAYLOAD_BYTES;
    this.#outbox = new Outbox(options.window ?? DEFAULT_WINDOW);
  }

  /** What is under way. */
  get outbox(): Pick<Outbox, "bytes" | "retransmissions" | "roundTrip" | "window"> {
    return this.#outbox;
  }

  /** Bytes of the stream sent, retransmissions not counted. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** The most payload bytes that were unacknowledged at any time. */
  get maxUnacknowledged(): number {
    return this.#maxUnacknowledged;
  }

  /** The largest share of the window that was under way right after a message of the stream was sent. */
  get maxWindowShare(): number {
    return this.#maxWindowShare;
  }

  /**
   * Monotonic time since which something waits for the agent, or since which it is said not to listen;
   * undefined when neither holds.
   */
  get waitingSince(): number | undefined {
    const owed = this.#owing ? this.#owedSince : Infinity;
    const since = this.#paused ? Math.min(owed, this.#pausedAt) : owed;
    return since === Infinity ? undefined : since;
  }

  /** True after {@linkcode end}. */
  get ended(): boolean {
    return this.#queue.ended;
  }

  /** Queues bytes of the stream; resolves when there is room, false after the end. */
  async write(data: Uint8Array): Promise<boolean> {
    await this.#queue.writable();
    if (this.#queue.ended) return false;
    this.#nowOwing();
    this.#queue.push(data.slice());
    this.scheduleFlush();
    return true;
  }

  /** From now on stream data may flow: the handshake is complete. */
  open(): void {
    this.#open = true;
    this.scheduleFlush();
  }

  /** Sends a sequenced message outside the byte stream, whatever the window says. */
  send(payloadType: number, payload: Uint8Array): void {
    this.#transmit(payloadType, payload);
  }

  /** @param frame where the message goes, if the payload stands at its place in it already */
  #transmit(payloadType: number, payload: Uint8Array, frame?: Uint8Array<ArrayBuffer>): void {
    const { clock, link } = this.#options;
    const sequenceNumber = this.#nextSequence++;
    const bytes = encodeMessage(
      createMessage({
        messageType: MessageType.InputStreamData,
        sequenceNumber,
        createdDate: clock.now(),
        payloadType,
        payload,
      }),
      frame,
    );
    this.#nowOwing();
    const eager = payloadType === PayloadType.Output && this.#sentBytes === 0;
    this.#outbox.add(sequenceNumber, bytes, payload.byteLength, clock.monotonic(), eager);
    this.#maxUnacknowledged = Math.max(this.#maxUnacknowledged, this.#outbox.bytes);
    link.send(bytes);
    this.#startTick();
  }

  /** Takes an acknowledgement. */
  acknowledged(sequenceNumber: number): void {
    if (!this.#outbox.acknowledge(sequenceNumber, this.#options.clock.monotonic())) return;
    if (this.#options.silentOnDuplicates()) this.#outbox.forgetSilentDuplicates(sequenceNumber);
    if (this.#outbox.size === 0) this.#settleIdle();
    this.#settleMarks();
    this.#flush();
  }

  /** A fresh socket: everything unacknowledged goes out again at once, in order. */
  linkUp(): void {
    const { clock, link } = this.#options;
    this.#paused = false;
    for (const bytes of this.#outbox.reconnected(clock.monotonic())) link.send(bytes);
    this.scheduleFlush();
  }

  /** The other side is inactive: nothing new is sent. */
  pause(): void {
    if (!this.#paused) this.#pausedAt = this.#options.clock.monotonic();
    this.#paused = true;
    this.#lastProbe = this.#options.clock.monotonic();
  }

  /** The other side has shown life. */
  unpause(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.scheduleFlush();
  }

  /** Flushes at the end of this turn of the event loop, so that small writes share a message. */
  scheduleFlush(): void {
    if (this.#flushScheduled || this.#queue.size === 0) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** Resolves when everything written is acknowledged, or the end has come. */
  async drained(): Promise<void> {
    while (!this.ended && (this.#queue.size > 0 || this.#outbox.size > 0)) {
      this.#idle ??= Promise.withResolvers<void>();
      await this.#idle.promise;
    }
  }

  /** Resolves when everything written so far is acknowledged, whatever is written later, or at the end. */
  delivered(): Promise<void> {
    if (this.ended) return Promise.resolve();
    const reached = Promise.withResolvers<void>();
    this.#marks.push({
      bytes: this.#sentBytes + this.#queue.size,
      sequenceNumber: this.#queue.size === 0 ? this.#nextSequence - 1 : undefined,
      reached,
    });
    this.#settleMarks();
    return reached.promise;
  }

  /** Stops; what waits is dropped. Idempotent. */
  end(): void {
    this.#tick?.cancel();
    this.#queue.abort();
    this.#settleIdle();
    for (const { reached } of this.#marks.splice(0)) reached.resolve();
  }

  /** A mark is reached when no message up to its own is under way any more. */
  #settleMarks(): void {
    const { oldest = Infinity } = this.#outbox;
    while ((this.#marks[0]?.sequenceNumber ?? Infinity) < oldest) {
      this.#marks.shift()!.reached.resolve();
    }
  }

  get #owing(): boolean {
    return this.#outbox.size > 0 || this.#queue.size > 0;
  }

  #nowOwing(): void {
    if (!this.#owing) this.#owedSince = this.#options.clock.monotonic();
  }

  #settleIdle(): void {
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  #flush(): void {
    while (this.#queue.size > 0) {
      if (!this.#maySend(Math.min(this.#payloadBytes, this.#queue.size))) {
        if (this.#paused) this.#startTick();
        return;
      }
      this.#sendNext();
    }
  }

  /** Sends the next message of the byte stream. */
  #sendNext(): void {
    const size = Math.min(this.#payloadBytes, this.#queue.size);
    const frame = new Uint8Array(PAYLOAD_OFFSET + size);
    const payload = frame.subarray(PAYLOAD_OFFSET);
    this.#queue.take(payload);
    this.#transmit(PayloadType.Output, payload, frame);
    const { bytes, window } = this.#outbox;
    this.#maxWindowShare = Math.max(this.#maxWindowShare, bytes / window);
    this.#sentBytes += payload.byteLength;
    for (const mark of this.#marks) {
      if (mark.bytes <= this.#sentBytes) mark.sequenceNumber ??= this.#nextSequence - 1;
    }
  }

  #maySend(bytes: number): boolean {
    const { link } = this.#options;
    return this.#open && !this.#paused && link.connected &&
      link.bufferedAmount < SOCKET_BUFFER_BYTES &&
      (this.#outbox.size === 0 ||
        this.#outbox.room(this.#options.silentOnDuplicates()) >= bytes);
  }

  #startTick(): void {
    const { clock, timing } = this.#options;
    this.#tick ??= clock.every(timing.tick, () => this.#onTick());
  }

  /** The timer runs only while something is under way, or held up by a pause. */
  #onTick(): void {
    const { clock, link, timing } = this.#options;
    const now = clock.monotonic();
    if (this.#outbox.size === 0 && !(this.#paused && this.#queue.size > 0)) {
      this.#tick?.cancel();
      this.#tick = undefined;
      return;
    }
    if (!link.connected || !link.reading) return;
    if (now - link.heardAt > timing.silence) return this.#options.onSilence();
    if (this.#paused) return this.#probe(now);
    // What still waits in the socket's buffer is late, not lost.
    if (link.bufferedAmount >= SOCKET_BUFFER_BYTES) return;
    for (const bytes of this.#outbox.due(now)) link.send(bytes);
    this.#flush();
  }

  /** The oldest message once more, or a first one: its acknowledgement says that the pause is over. */
  #probe(now: number): void {
    if (now - this.#lastProbe < this.#options.timing.probe) return;
    this.#lastProbe = now;
    const bytes = this.#outbox.probe(now);
    if (bytes) this.#options.link.send(bytes);
    else if (this.#open) this.#sendNext();
  }
}
