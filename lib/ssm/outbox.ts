/**
 * The sending half of the data channel's reliability: what was sent and not yet acknowledged, when
 * to send it again, and how much may be under way.
 *
 * Pure bookkeeping: time comes in as an argument, bytes go out through the caller.
 *
 * @module
 */

import { RttEstimator } from "./rtt.ts";

/** Longest time in milliseconds between two transmissions of one message. */
const MAX_RESEND_INTERVAL = 5000;
/** Bytes that one call of {@linkcode Outbox.due} may hand out, so that a stall causes no storm. */
const RESEND_BURST_BYTES = 64 * 1024;
/** Resends after which a message counts as processed by an agent that is silent on duplicates. */
const SILENT_DUPLICATE_RESENDS = 3;
/** Queueing delay in milliseconds, on top of twice the best round trip, that stops the growth. */
const QUEUE_DELAY_ALLOWANCE = 100;

/** Time-out in milliseconds, on top of the round trip, of a message that may be refused. */
const EAGER_ALLOWANCE = 30;

/** Bounds of the window, in bytes of payload. */
export interface WindowOptions {
  /** Window at the start. */
  readonly initial: number;
  /** Never more than this many unacknowledged bytes. */
  readonly max: number;
}

/** Default window. 256 KiB is what clients of other makers found the gateway to bear. */
export const DEFAULT_WINDOW: WindowOptions = { initial: 64 * 1024, max: 256 * 1024 };

/** A message under way. */
interface Entry {
  readonly sequenceNumber: number;
  /** The serialised message; a retransmission is byte-identical. */
  readonly bytes: Uint8Array;
  readonly payloadBytes: number;
  sentAt: number;
  /** Transmissions after the first, on the present connection. */
  resends: number;
  /** Sent over a connection that has since been lost. */
  crossedReconnect: boolean;
  /** Sent more than once at all: no round-trip sample. */
  repeated: boolean;
  /** May be refused while the agent still dials: worth an early second try. */
  readonly eager: boolean;
}

/** Messages sent and not acknowledged, oldest first. */
export class Outbox {
  readonly #entries = new Map<number, Entry>();
  readonly #rtt = new RttEstimator();
  readonly #bounds: WindowOptions;
  #window: number;
  #bytes = 0;
  /** Bytes of the messages that {@linkcode forgetSilentDuplicates} would forget. */
  #suspectBytes = 0;
  #shrunkAt = -Infinity;
  #retransmissions = 0;

  constructor(window: WindowOptions = DEFAULT_WINDOW) {
    this.#bounds = window;
    this.#window = window.initial;
  }

  /** Unacknowledged payload bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Unacknowledged messages. */
  get size(): number {
    return this.#entries.size;
  }

  /** Sequence number of the oldest unacknowledged message, if there is one. */
  get oldest(): number | undefined {
    return this.#oldest()?.sequenceNumber;
  }

  /** Bytes that may be under way now. */
  get window(): number {
    return this.#window;
  }

  /**
   * Bytes that may be sent now.
   * @param silentOnDuplicates messages that such an agent must have processed take no room: only the
   *   acknowledgement of a later message can tell, so a later one has to be sent
   */
  room(silentOnDuplicates: boolean): number {
    const counted = this.#bytes - (silentOnDuplicates ? this.#suspectBytes : 0);
    return Math.max(0, this.#window - counted);
  }

  /** Transmissions beyond the first of each message. */
  get retransmissions(): number {
    return this.#retransmissions;
  }

  /** Smoothed round-trip time in milliseconds, if known. */
  get roundTrip(): number | undefined {
    return this.#rtt.smoothed;
  }

  /**
   * Remembers a message that is being sent at `now`.
   * @param eager send again early: the agent drops the first data while it is still dialling
   */
  add(
    sequenceNumber: number,
    bytes: Uint8Array,
    payloadBytes: number,
    now: number,
    eager = false,
  ): void {
    this.#entries.set(sequenceNumber, {
      sequenceNumber,
      bytes,
      payloadBytes,
      sentAt: now,
      resends: 0,
      crossedReconnect: false,
      repeated: false,
      eager,
    });
    this.#bytes += payloadBytes;
  }

  /**
   * Takes an acknowledgement.
   * @returns false for a message that is not under way (an acknowledgement that came twice)
   */
  acknowledge(sequenceNumber: number, now: number): boolean {
    const entry = this.#entries.get(sequenceNumber);
    if (!entry) return false;
    const limited = this.#bytes >= this.#window / 2;
    this.#remove(entry);
    if (!entry.repeated) {
      this.#rtt.sample(now - entry.sentAt);
      if (limited && !this.#queueing()) {
        this.#window = Math.min(this.#bounds.max, this.#window + entry.payloadBytes);
      }
    }
    return true;
  }

  /** Messages whose time-out has passed at `now`, marked as sent again. */
  due(now: number): Uint8Array[] {
    const due: Uint8Array[] = [];
    let bytes = 0;
    for (const entry of this.#entries.values()) {
      if (now - entry.sentAt < this.#timeout(entry)) continue;
      due.push(this.#resend(entry, now));
      bytes += entry.payloadBytes;
      if (bytes >= RESEND_BURST_BYTES) break;
    }
    if (due.length > 0) this.#shrink(now);
    return due;
  }

  /** The oldest message, marked as sent again: the probe of a paused channel. */
  probe(now: number): Uint8Array | undefined {
    const oldest = this.#oldest();
    return oldest && this.#resend(oldest, now);
  }

  /** Everything under way, in order, for a fresh connection. */
  reconnected(now: number): Uint8Array[] {
    const all: Uint8Array[] = [];
    for (const entry of this.#entries.values()) {
      if (isSuspect(entry)) this.#suspectBytes -= entry.payloadBytes;
      all.push(this.#resend(entry, now));
      entry.crossedReconnect = true;
      entry.resends = 0;
    }
    return all;
  }

  /**
   * Forgets messages that an agent which is silent on duplicates must have processed: sent before a
   * reconnect, sent again several times since, while later messages are being acknowledged.
   *
   * Only for agents older than 3.2.1041.0, and only once their destination has answered: before, a
   * message may be refused because the agent is still dialling.
   * @returns sequence numbers forgotten
   */
  forgetSilentDuplicates(acknowledged: number): number[] {
    const forgotten: number[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.sequenceNumber >= acknowledged) break;
      if (!isSuspect(entry)) continue;
      forgotten.push(entry.sequenceNumber);
      this.#remove(entry);
    }
    return forgotten;
  }

  #timeout(entry: Entry): number {
    const { smoothed, timeout } = this.#rtt;
    const base = entry.eager && smoothed !== undefined ? smoothed + EAGER_ALLOWANCE : timeout;
    return Math.min(MAX_RESEND_INTERVAL, base * 2 ** entry.resends);
  }

  #oldest(): Entry | undefined {
    return this.#entries.values().next().value;
  }

  #resend(entry: Entry, now: number): Uint8Array {
    entry.sentAt = now;
    const before = isSuspect(entry);
    entry.resends++;
    if (!before && isSuspect(entry)) this.#suspectBytes += entry.payloadBytes;
    entry.repeated = true;
    this.#retransmissions++;
    return entry.bytes;
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.sequenceNumber);
    this.#bytes -= entry.payloadBytes;
    if (isSuspect(entry)) this.#suspectBytes -= entry.payloadBytes;
  }

  /** True when the round trip says that bytes wait in queues rather than travel. */
  #queueing(): boolean {
    const smoothed = this.#rtt.smoothed;
    return smoothed !== undefined && smoothed > 2 * this.#rtt.least + QUEUE_DELAY_ALLOWANCE;
  }

  /** Halves the window, at most once per round trip. */
  #shrink(now: number): void {
    if (now - this.#shrunkAt < (this.#rtt.smoothed ?? 0)) return;
    this.#shrunkAt = now;
    this.#window = Math.max(this.#bounds.initial, Math.floor(this.#window / 2));
  }
}

/** Sent before a reconnect and again and again since: processed, unless the agent acknowledges it yet. */
function isSuspect(entry: Entry): boolean {
  return entry.crossedReconnect && entry.resends >= SILENT_DUPLICATE_RESENDS;
}
