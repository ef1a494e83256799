/**
 * The agent's sending side: numbering, the store of unacknowledged messages, and retransmission of
 * the oldest one only.
 *
 * @module
 */

import type { Clock, Timer } from "../../core/mod.ts";
import { HeaderFlag, MessageType } from "../../ssm/constants.ts";
import { type Frame, frameOf } from "../frame.ts";
import type { Random } from "../random.ts";
import { RoundTripEstimate } from "./rtt.ts";

/** The agent's store: a message beyond it is sent once and then forgotten. */
const CAPACITY_MESSAGES = 100_000;

interface Sent {
  readonly frame: Frame;
  lastSent: number;
}

/** Options of {@linkcode Outgoing}. */
export interface OutgoingOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Milliseconds between two looks at the oldest message. */
  readonly resendTick: number;
  /** Puts a message on the WebSocket; it may be lost. */
  readonly transmit: (frame: Frame) => void;
}

/** The output stream of one session. */
export class Outgoing {
  readonly #options: OutgoingOptions;
  readonly #unacknowledged = new Map<number, Sent>();
  readonly #estimate = new RoundTripEstimate();
  readonly #ticker: Timer;
  #next = 0;
  #paused = false;
  #retransmissions = 0;
  #changed: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor(options: OutgoingOptions) {
    this.#options = options;
    this.#ticker = options.clock.every(options.resendTick, () => this.#resendOldest());
  }

  /** Messages that wait for their acknowledgement. */
  get size(): number {
    return this.#unacknowledged.size;
  }

  /** Messages sent again so far. */
  get retransmissions(): number {
    return this.#retransmissions;
  }

  /** While true, new messages are numbered and stored but not sent, and nothing is sent again. */
  get paused(): boolean {
    return this.#paused;
  }

  set paused(value: boolean) {
    if (this.#paused === value) return;
    this.#paused = value;
    this.#wake();
  }

  /** Numbers, stores and sends a payload. Empty ones are ignored, as the agent does. */
  send(payloadType: number, payload: Uint8Array): void {
    if (payload.byteLength === 0 || this.#closed) return;
    const { clock, random, transmit } = this.#options;
    const sequenceNumber = this.#next++;
    const frame = frameOf({
      messageType: MessageType.OutputStreamData,
      schemaVersion: 1,
      createdDate: clock.now(),
      sequenceNumber,
      flags: sequenceNumber === 0 ? HeaderFlag.Syn : 0,
      messageId: random.uuid(),
      payloadType,
      payload,
    });
    if (!this.#paused) transmit(frame);
    if (this.#unacknowledged.size < CAPACITY_MESSAGES) {
      this.#unacknowledged.set(sequenceNumber, { frame, lastSent: clock.monotonic() });
    }
  }

  /** Forgets a message; only the number counts, as with the real agent. */
  acknowledge(sequenceNumber: number): void {
    const sent = this.#unacknowledged.get(sequenceNumber);
    if (!sent) return;
    this.#estimate.sample(this.#options.clock.monotonic() - sent.lastSent);
    this.#unacknowledged.delete(sequenceNumber);
    this.#wake();
  }

  /** Resolves when not paused and fewer than `limit` messages wait, or when closed. */
  async ready(limit: number): Promise<void> {
    while (!this.#closed && (this.#paused || this.size >= limit)) await this.#change();
  }

  /** Resolves when everything is acknowledged, after `ms` milliseconds, or when closed. */
  async flushed(ms: number): Promise<void> {
    let expired = false;
    const limit = this.#options.clock.after(ms, () => {
      expired = true;
      this.#wake();
    });
    while (!this.#closed && !expired && this.size > 0) await this.#change();
    limit.cancel();
  }

  /** Stops the timer and wakes whoever waits. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#ticker.cancel();
    this.#unacknowledged.clear();
    this.#wake();
  }

  /** Only the first one, at most one per tick, without back-off and without end. */
  #resendOldest(): void {
    if (this.#paused) return;
    const oldest = this.#unacknowledged.values().next().value;
    if (!oldest) return;
    const now = this.#options.clock.monotonic();
    if (now - oldest.lastSent <= this.#estimate.timeout) return;
    oldest.lastSent = now;
    this.#retransmissions++;
    this.#options.transmit(oldest.frame);
  }

  #change(): Promise<void> {
    this.#changed ??= Promise.withResolvers<void>();
    return this.#changed.promise;
  }

  #wake(): void {
    this.#changed?.resolve();
    this.#changed = undefined;
  }
}
