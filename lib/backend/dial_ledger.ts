/**
 * Which connections of a multiplexed session the agent could not make.
 *
 * The agent connects streams one after the other, in the order of their SYN, and says nothing when it
 * succeeds. When it fails it sends ConnectToPortError, which names no stream, and then the FIN of the
 * stream, by a slower way. So a flag belongs to the next stream that ends without a byte. A server that
 * accepts and closes at once looks the same but for the flag. And whatever is heard of a stream says
 * that all before it have been decided: what had failed of them has ended.
 *
 * @module
 */

/** Milliseconds for the FIN of a stream to follow its flag; later than that it never will. */
const FIN_LIMIT = 2000;

/** A stream whose destination has not said anything yet. */
export interface Dial {
  /** Position in the order of SYN. */
  readonly order: number;
  /** Milliseconds on the monotonic clock. */
  readonly begunAt: number;
}

/** Keeps account of the dials of a session. Pure: time comes in as an argument. */
export class DialLedger {
  /** In the order of SYN. */
  readonly #waiting = new Map<Dial, "live" | "gone">();
  /** When flags came whose streams have not ended yet. */
  readonly #flags: number[] = [];
  #order = 0;
  #failedAt = -Infinity;

  /** Streams that the agent may still be connecting: all after the last one that was heard of. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** A SYN goes out. */
  begin(now: number): Dial {
    const dial: Dial = { order: this.#order++, begunAt: now };
    this.#waiting.set(dial, "live");
    return dial;
  }

  /** ConnectToPortError came. */
  flagged(now: number): void {
    this.#expire(now);
    this.#flags.push(now);
  }

  /** True while some stream is known to have failed, but not which. */
  doubtful(now: number): boolean {
    this.#expire(now);
    return this.#flags.length > 0;
  }

  /** The destination has sent its first byte. */
  answered(dial: Dial): void {
    this.#decided(dial);
  }

  /**
   * The agent has ended a stream that never brought a byte.
   * @returns milliseconds that its dial took if it failed; undefined if the destination has closed it
   */
  ended(dial: Dial, now: number): number | undefined {
    this.#expire(now);
    const connected = !this.#waiting.has(dial);
    this.#decided(dial);
    if (connected || this.#flags.shift() === undefined) return undefined;
    const since = Math.max(dial.begunAt, this.#failedAt);
    this.#failedAt = now;
    return now - since;
  }

  /** The stream was closed on this side: its end will not be seen. */
  abandoned(dial: Dial): void {
    if (this.#waiting.has(dial)) this.#waiting.set(dial, "gone");
  }

  #decided({ order }: Dial): void {
    for (const other of this.#waiting.keys()) {
      if (other.order > order) break;
      this.#waiting.delete(other);
    }
  }

  /** A flag without a FIN was for a stream that is gone: the oldest, as dials are made in order. */
  #expire(now: number): void {
    while (this.#flags.length > 0 && now - this.#flags[0]! >= FIN_LIMIT) {
      this.#flags.shift();
      for (const [dial, state] of this.#waiting) {
        if (state === "live") continue;
        this.#waiting.delete(dial);
        break;
      }
    }
  }
}
