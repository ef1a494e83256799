/**
 * The receiving half of the data channel's reliability: puts messages in order.
 *
 * @module
 */

import type { ClientMessage } from "./message.ts";

/** Payload bytes kept out of order; beyond it messages are dropped and come again. */
export const INBOX_LIMIT_BYTES = 16 * 1024 * 1024;
/** Messages kept out of order; the official client keeps as many. */
const INBOX_LIMIT_MESSAGES = 10_000;

/** What to do with a message that arrived. */
export type Arrival =
  /** Acknowledge; `messages` are now in order. */
  | { readonly kind: "accepted"; readonly messages: readonly ClientMessage[] }
  /** Acknowledge again: our acknowledgement may have been lost. */
  | { readonly kind: "duplicate" }
  /** Stay silent: no room, it will come again. */
  | { readonly kind: "dropped" };

/** Messages in, messages in order out. */
export class Inbox {
  readonly #limit: number;
  readonly #waiting = new Map<number, ClientMessage>();
  #expected = 0;
  #bytes = 0;

  constructor(limit: number = INBOX_LIMIT_BYTES) {
    this.#limit = limit;
  }

  /** The next sequence number in order. */
  get expected(): number {
    return this.#expected;
  }

  /** Payload bytes that wait for an earlier message. */
  get waitingBytes(): number {
    return this.#bytes;
  }

  /** Takes a sequenced message. */
  accept(message: ClientMessage): Arrival {
    const { sequenceNumber } = message;
    if (sequenceNumber < this.#expected || this.#waiting.has(sequenceNumber)) {
      return { kind: "duplicate" };
    }
    if (sequenceNumber > this.#expected) return this.#keep(message);
    const messages = [message];
    this.#expected++;
    for (;;) {
      const next = this.#waiting.get(this.#expected);
      if (!next) break;
      this.#waiting.delete(this.#expected);
      this.#bytes -= next.payload.byteLength;
      this.#expected++;
      messages.push(next);
    }
    return { kind: "accepted", messages };
  }

  #keep(message: ClientMessage): Arrival {
    const bytes = this.#bytes + message.payload.byteLength;
    if (bytes > this.#limit || this.#waiting.size >= INBOX_LIMIT_MESSAGES) {
      return { kind: "dropped" };
    }
    this.#waiting.set(message.sequenceNumber, message);
    this.#bytes = bytes;
    return { kind: "accepted", messages: [] };
  }
}
