/**
 * How much the server may send ahead on each channel (the window of RFC 4254 section 5.2).
 *
 * What is sent ahead waits in the buffers between sshd and here, and everything else on the connection
 * waits behind it. A Session Manager session carries about 0.7 MB/s: with the 2 MiB per channel that
 * ssh2 and OpenSSH grant, one download makes every other answer take seconds. So the channels share
 * one budget of about twice what the path holds: enough to keep it full, and at most one round trip
 * of it waiting.
 *
 * @module
 */

import type { Clock } from "../core/mod.ts";

/** Least budget of a connection: fills a session at its usual pace over any sensible round trip. */
const MIN_BUDGET_BYTES = 256 * 1024;
/** Largest budget of a connection. */
const MAX_BUDGET_BYTES = 2 * 1024 * 1024;
/** Least window of a channel: one packet, less would break packets up. */
const MIN_WINDOW_BYTES = 32 * 1024;

/** Milliseconds over which a rate is measured. */
const BUCKET_MS = 250;
/** Measurements of which the best counts. */
const BUCKETS = 16;

/** The budget of one connection, and what is known of its path. */
export class ReceiveBudget {
  readonly #clock: Clock;
  readonly #rates: number[] = [];
  #roundTrip = 0;
  #bucketStart: number;
  #bucketBytes = 0;
  #active: Set<ChannelWindow> = new Set();
  #activeBefore: Set<ChannelWindow> = new Set();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#bucketStart = clock.monotonic();
  }

  /** Reports a round trip in milliseconds; the shortest is the one without a queue. */
  sampleRoundTrip(ms: number): void {
    this.#roundTrip = this.#roundTrip === 0 ? ms : Math.min(this.#roundTrip, ms);
  }

  /** Bytes that all channels together should have under way. */
  get total(): number {
    const rate = Math.max(0, ...this.#rates);
    const twicePath = 2 * rate * this.#roundTrip;
    return Math.min(MAX_BUDGET_BYTES, Math.max(MIN_BUDGET_BYTES, Math.round(twicePath)));
  }

  /** Bytes that one channel should have under way: an even share among those that receive. */
  share(channel: ChannelWindow): number {
    const active = this.#active.union(this.#activeBefore).add(channel).size;
    return Math.max(MIN_WINDOW_BYTES, Math.floor(this.total / active));
  }

  /** Window of a channel that is to be opened. */
  get initial(): number {
    const active = this.#active.union(this.#activeBefore).size + 1;
    return Math.max(MIN_WINDOW_BYTES, Math.floor(this.total / 2 / active));
  }

  /** Reports bytes that a channel's reader has taken. */
  consumed(channel: ChannelWindow, bytes: number): void {
    this.#active.add(channel);
    this.#bucketBytes += bytes;
    const elapsed = this.#clock.monotonic() - this.#bucketStart;
    if (elapsed < BUCKET_MS) return;
    this.#rates.push(this.#bucketBytes / elapsed);
    if (this.#rates.length > BUCKETS) this.#rates.shift();
    this.#bucketStart += elapsed;
    this.#bucketBytes = 0;
    this.#activeBefore = this.#active;
    this.#active = new Set();
  }

  /** Forgets a channel. */
  leave(channel: ChannelWindow): void {
    this.#active.delete(channel);
    this.#activeBefore.delete(channel);
  }
}

/** The window of one channel. */
export class ChannelWindow {
  readonly #budget: ReceiveBudget;
  readonly #grant: (bytes: number) => void;
  /** Bytes granted and not read yet: not sent, under way, or waiting here. */
  #ahead: number;

  /**
   * @param initial granted with the opening of the channel
   * @param grant sends CHANNEL_WINDOW_ADJUST
   */
  constructor(budget: ReceiveBudget, initial: number, grant: (bytes: number) => void) {
    this.#budget = budget;
    this.#ahead = initial;
    this.#grant = grant;
  }

  /** The reader has taken bytes: grants more once half the window is used up. */
  consumed(bytes: number): void {
    this.#ahead -= bytes;
    this.#budget.consumed(this, bytes);
    const window = this.#budget.share(this);
    if (this.#ahead > window / 2) return;
    const more = window - this.#ahead;
    this.#ahead = window;
    this.#grant(more);
  }

  /** The channel is closed. */
  close(): void {
    this.#budget.leave(this);
  }
}
