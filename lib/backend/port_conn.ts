/**
 * A connection inside a port session.
 *
 * Port sessions know no half-close: the agent answers an end of our output by closing the connection
 * to the destination, and the rest of the answer is lost. So `closeWrite()` tells it nothing, and the
 * stream stays until the destination ends it. A client that half-closes and one that has gone look the
 * same here; what tells them apart is whether an answer is still due:
 *
 * - the client spoke last: it waits for an answer, for as long as {@linkcode ANSWER_LIMIT}
 * - the destination spoke last, or the client never: it has what it wanted, and the connection lingers
 *   a little
 *
 * A destination that acts on the end of input alone, such as `cat`, gets it only then.
 *
 * @module
 */

import type { AwsocksError, Clock, Conn } from "../core/mod.ts";

/** Milliseconds without a byte from the destination after which it gets no more time to answer. */
export const ANSWER_LIMIT = 300_000;
/** The same for a connection whose client has been answered, or has asked nothing. */
export const LINGER_LIMIT = 30_000;
/** Bytes that are read ahead, to know whether there are any. */
const HEAD_BYTES = 4096;

/** What carries a connection: a stream of a multiplexed session, or a whole session. */
export interface Carried extends Conn {
  /** Bytes that wait for a reader. */
  readonly buffered?: number;
}

/** What a connection tells its session. */
export interface PortConnEvents {
  /** The destination has sent its first byte. */
  answered(): void;
  /**
   * The agent has ended the connection and never sent a byte.
   * @returns the failure, if it is one
   */
  ended(): AwsocksError | undefined;
  /** It was closed on this side; called once. */
  closed(): void;
  /** What a failure of the stream below means. */
  explain(error: unknown): Promise<unknown>;
}

/** A connection. */
export class PortConn implements Conn {
  /** Settles with the first thing heard of the destination; rejects if it failed. */
  readonly heard: Promise<"data" | "end">;
  readonly #stream: Carried;
  readonly #clock: Clock;
  readonly #events: PortConnEvents;
  #head: Uint8Array | undefined = new Uint8Array(HEAD_BYTES);
  #unread = 0;
  #at = 0;
  #failure: unknown;
  #sentBytes = 0;
  #movedAt: number;
  /** The destination spoke last. */
  #answered = false;
  #outputEnded = false;
  #inputEnded = false;
  #closed = false;

  /** @param stream owned from now on */
  constructor(stream: Carried, clock: Clock, events: PortConnEvents) {
    this.#stream = stream;
    this.#clock = clock;
    this.#events = events;
    this.#movedAt = clock.monotonic();
    this.heard = this.#listen();
    this.heard.catch(() => {}); // whoever reads is told too
  }

  /** Bytes that were sent to the destination. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Bytes from the destination that wait for the client. */
  get unread(): number {
    return this.#unread + (this.#stream.buffered ?? 0);
  }

  /** True once the destination has ended the connection. */
  get over(): boolean {
    return this.#inputEnded;
  }

  /** True while it only lingers: its client has ended, and no answer is due. */
  get lingers(): boolean {
    return this.#outputEnded && (this.#answered || this.#sentBytes === 0);
  }

  /** Monotonic time in milliseconds at which a byte passed last, or its client ended. */
  get movedAt(): number {
    return this.#movedAt;
  }

  /** True once it has stayed for long enough after its client has ended. */
  overdue(now: number): boolean {
    return this.#outputEnded && now - this.#movedAt >= (this.lingers ? LINGER_LIMIT : ANSWER_LIMIT);
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (into.byteLength === 0) return 0;
    if (this.#head) {
      const kind = await this.heard;
      if (kind === "end") return this.#end();
      return this.#takeHead(into);
    }
    let n: number | null;
    try {
      n = await this.#stream.read(into);
    } catch (error) {
      throw this.#failure ?? await this.#events.explain(error);
    }
    if (n === null) return this.#end();
    this.#moved(true);
    return n;
  }

  async write(data: Uint8Array): Promise<number> {
    let n: number;
    try {
      n = await this.#stream.write(data);
    } catch (error) {
      throw this.#failure ?? await this.#events.explain(error);
    }
    this.#sentBytes += n;
    this.#moved(false);
    return n;
  }

  async closeWrite(): Promise<void> {
    this.#outputEnded = true;
    this.#movedAt = this.#clock.monotonic();
    try {
      await this.#stream.closeWrite();
    } catch (error) {
      if (!this.#inputEnded && !this.#closed) throw await this.#events.explain(error);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stream.close();
    this.#events.closed();
  }

  /** Ends it with an error for whoever reads or writes. */
  fail(error: AwsocksError): void {
    this.#failure ??= error;
    this.close();
  }

  async #listen(): Promise<"data" | "end"> {
    let n: number | null;
    try {
      n = await this.#stream.read(this.#head!);
    } catch (error) {
      throw this.#failure ?? await this.#events.explain(error);
    }
    if (n === null) {
      this.#inputEnded = true;
      if (!this.#closed) this.#failure ??= this.#events.ended();
      if (this.#failure) throw this.#failure;
      return "end";
    }
    this.#unread = n;
    this.#moved(true);
    this.#events.answered();
    return "data";
  }

  #moved(answered: boolean): void {
    this.#answered = answered;
    this.#movedAt = this.#clock.monotonic();
  }

  #takeHead(into: Uint8Array): number {
    const n = Math.min(into.byteLength, this.#unread);
    into.set(this.#head!.subarray(this.#at, this.#at + n));
    this.#at += n;
    this.#unread -= n;
    if (this.#unread === 0) this.#head = undefined;
    return n;
  }

  #end(): null {
    this.#inputEnded = true;
    if (this.#failure) throw this.#failure;
    return null;
  }
}
