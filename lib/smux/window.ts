/**
 * Flow control of smux version 2: per-stream windows, told by UPD frames.
 *
 * Counts are exact numbers here and 32-bit on the wire, where they wrap after 4 GiB: no count is ever
 * compared but by its distance to another. Source: github.com/xtaci/smux, stream.go.
 *
 * @module
 */

import type { WindowUpdate } from "./frame.ts";

/** Window that a sender takes for granted until the first update, in bytes. */
export const INITIAL_WINDOW_BYTES = 262_144;

/** Largest window that a sender believes in; Go's smux counts it in an int32. */
const MAX_WINDOW_BYTES = 0x7fff_ffff;

/** What the peer allows a stream to send. */
export class SendWindow {
  #sent: number;
  #consumed: number;
  #window = INITIAL_WINDOW_BYTES;

  /** @param start value of the counters, so that tests need not send 4 GiB */
  constructor(start = 0) {
    this.#sent = start;
    this.#consumed = start;
  }

  /** Bytes that may be sent now. */
  get available(): number {
    return Math.max(0, this.#window - (this.#sent - this.#consumed));
  }

  /** Notes that bytes were sent. */
  sent(bytes: number): void {
    this.#sent += bytes;
  }

  /**
   * Takes the peer's update. One that was overtaken by a later one is ignored.
   * @returns false if the peer claims to have consumed what was never sent
   */
  update(update: WindowUpdate): boolean {
    const ahead = (update.consumed - this.#consumed) >>> 0;
    if (ahead > this.#sent - this.#consumed) return ahead > MAX_WINDOW_BYTES;
    this.#consumed += ahead;
    this.#window = Math.min(update.window, MAX_WINDOW_BYTES);
    return true;
  }
}

/** Bytes by which the windows of all streams together may exceed the initial one. */
export class WindowPool {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes bytes if there are that many. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Gives bytes back. */
  give(bytes: number): void {
    this.#left += bytes;
  }
}

/**
 * What a stream allows the peer to send, and when to tell it.
 *
 * The window starts at what the peer assumes anyway and doubles, up to the maximum, each time half of
 * it was consumed and the pool of the session has room: streams that carry much get a window that
 * keeps a long path busy, and a thousand streams that carry little cannot claim a thousand such
 * windows.
 */
export class ReceiveWindow {
  readonly #max: number;
  readonly #pool: WindowPool;
  #window: number;
  /** What the pool has lent. */
  #borrowed = 0;
  #received: number;
  #consumed: number;
  /** Value of `#consumed` in the latest update; undefined before the first. */
  #told: number | undefined;
  readonly #start: number;
  /** The most that any update has allowed; a peer that sends more has not counted. */
  #limit: number;

  /**
   * @param max largest window to grow to
   * @param start value of the counters, so that tests need not receive 4 GiB
   */
  constructor(max: number, pool: WindowPool, start = 0) {
    this.#max = max;
    this.#pool = pool;
    this.#window = Math.min(max, INITIAL_WINDOW_BYTES);
    this.#start = start;
    this.#received = start;
    this.#consumed = start;
    this.#limit = start + INITIAL_WINDOW_BYTES;
  }

  /**
   * Notes bytes from the peer.
   * @returns false if the peer has overrun every window it was ever given
   */
  receive(bytes: number): boolean {
    this.#received += bytes;
    return this.#received <= this.#limit;
  }

  /**
   * Notes bytes that the reader took.
   * @returns the update to send: at the first read and whenever half the window was consumed
   */
  consume(bytes: number): WindowUpdate | undefined {
    this.#consumed += bytes;
    const half = this.#consumed - (this.#told ?? this.#start) >= this.#window / 2;
    if (!half && this.#told !== undefined) return undefined;
    if (half) this.#grow();
    this.#told = this.#consumed;
    this.#limit = Math.max(this.#limit, this.#consumed + this.#window);
    return { consumed: this.#consumed, window: this.#window };
  }

  /** Gives back what the pool has lent; the window must not be used afterwards. */
  release(): void {
    this.#pool.give(this.#borrowed);
    this.#borrowed = 0;
  }

  #grow(): void {
    const more = Math.min(this.#window, this.#max - this.#window);
    if (more <= 0 || !this.#pool.take(more)) return;
    this.#borrowed += more;
    this.#window += more;
  }
}
