/**
 * How much the server may send ahead on each channel (the window of RFC 4254 section 5.2).
 *
 * What is sent ahead waits in the buffers between sshd and here, and everything else on the connection
 * waits behind it. A Session Manager session carries about 0.7 MB/s: with the 2 MiB per channel that
 * ssh2 and OpenSSH grant, one download makes every other answer take seconds.
 *
 * So the channels share one budget. At first it is generous. Once the rate has stopped growing, the path
 * is full, and the budget is what the path holds at that rate plus a few milliseconds: enough to keep it
 * full, with next to nothing waiting. From time to time it is doubled for a moment, to see whether the
 * path carries more by now. (What BBR does for TCP, draft-cardwell-iccrg-bbr-congestion-control.)
 *
 * @module
 */

import type { Clock } from "../core/mod.ts";

/** Budget of a connection while its path is not known: fills a session over any sensible round trip. */
const FIRST_BUDGET_BYTES = 256 * 1024;
/** Largest budget of a connection. */
const MAX_BUDGET_BYTES = 2 * 1024 * 1024;
/** Least budget once the path is known, and least window of a channel. */
const MIN_BUDGET_BYTES = 6 * 1024;
const MIN_WINDOW_BYTES = 2 * 1024;
/** Least window with which a channel is opened: short answers come in one go. */
const MIN_INITIAL_BYTES = 32 * 1024;

/** Milliseconds over which a rate is measured, or a round trip where that is longer. */
const BUCKET_MS = 100;
/** Measurements of which the best counts. */
const BUCKETS = 30;
/** Growth of the best rate that is none, and the measurements without it after which the path is full. */
const PLATEAU = { growth: 1.15, buckets: 5 };
/** Measurements between two looks whether there is more. */
const PROBE_BUCKETS = 40;
/**
 * Milliseconds' worth of data that may wait before a full path: little on a short one, up to another
 * round trip on a long one, where jitter is larger and is noticed less.
 */
function queueOf(roundTrip: number): number {
  return 3 + roundTrip * roundTrip / (roundTrip + 10);
}

/** The budget of one connection, and what is known of its path. */
export class ReceiveBudget {
  readonly #clock: Clock;
  readonly #rates: number[] = [];
  #roundTrip = 0;
  #bucketStart: number;
  #bucketBytes = 0;
  #active: Set<ChannelWindow> = new Set();
  #activeBefore: Set<ChannelWindow> = new Set();
  /** Best rate when it last grew, and measurements since. */
  #best = 0;
  #sinceGrowth = 0;
  #sinceProbe = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#bucketStart = clock.monotonic();
  }

  /** Reports a round trip in milliseconds; the shortest is the one without a queue. */
  sampleRoundTrip(ms: number): void {
    this.#roundTrip = this.#roundTrip === 0 ? ms : Math.min(this.#roundTrip, ms);
  }

  get #bucketTime(): number {
    return Math.max(BUCKET_MS, this.#roundTrip);
  }

  /** Bytes that all channels together should have under way. */
  get total(): number {
    const rate = Math.max(0, ...this.#rates);
    const full = this.#roundTrip > 0 && this.#sinceGrowth >= PLATEAU.buckets;
    const probing = this.#sinceProbe >= PROBE_BUCKETS;
    const bytes = full
      ? Math.max(MIN_BUDGET_BYTES, rate * (this.#roundTrip + queueOf(this.#roundTrip)))
      : Math.max(FIRST_BUDGET_BYTES, 2 * rate * this.#roundTrip);
    return Math.min(MAX_BUDGET_BYTES, Math.round(full && probing ? 2 * bytes : bytes));
  }

  /** Bytes that one channel should have under way: an even share among those that receive. */
  share(channel: ChannelWindow): number {
    const active = this.#active.union(this.#activeBefore).add(channel).size;
    return Math.max(MIN_WINDOW_BYTES, Math.floor(this.total / active));
  }

  /** Window of a channel that is to be opened. */
  get initial(): number {
    const active = this.#active.union(this.#activeBefore).size + 1;
    return Math.max(MIN_INITIAL_BYTES, Math.floor(this.total / 2 / active));
  }

  /** Reports bytes that a channel's reader has taken. */
  consumed(channel: ChannelWindow, bytes: number): void {
    this.#active.add(channel);
    this.#bucketBytes += bytes;
    const elapsed = this.#clock.monotonic() - this.#bucketStart;
    if (elapsed < this.#bucketTime) return;
    this.#measured(this.#bucketBytes / elapsed, elapsed);
    this.#bucketStart += elapsed;
    this.#bucketBytes = 0;
    this.#activeBefore = this.#active;
    this.#active = new Set();
  }

  #measured(rate: number, elapsed: number): void {
    // After a pause the path may be another one.
    if (elapsed > 10 * this.#bucketTime) {
      this.#rates.length = 0;
      this.#best = 0;
      this.#sinceGrowth = 0;
      this.#sinceProbe = 0;
    }
    this.#rates.push(rate);
    if (this.#rates.length > BUCKETS) this.#rates.shift();
    this.#sinceProbe = this.#sinceProbe >= PROBE_BUCKETS ? 0 : this.#sinceProbe + 1;
    if (rate > this.#best * PLATEAU.growth) {
      this.#best = rate;
      this.#sinceGrowth = 0;
    } else {
      this.#sinceGrowth++;
    }
    // What was the best long ago is no measure of growth.
    if (this.#sinceGrowth >= BUCKETS) this.#best = Math.max(...this.#rates);
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

  /** The reader has taken bytes: grants more, in steps that are worth a message. */
  consumed(bytes: number): void {
    this.#ahead -= bytes;
    this.#budget.consumed(this, bytes);
    const window = this.#budget.share(this);
    const step = Math.max(MIN_WINDOW_BYTES / 2, window / 4);
    if (this.#ahead > window - step) return;
    const more = window - this.#ahead;
    this.#ahead = window;
    this.#grant(more);
  }

  /** The channel is closed. */
  close(): void {
    this.#budget.leave(this);
  }
}
