/**
 * The agent's receiving side: order, acknowledgements, duplicates, and refusal of what cannot be
 * taken yet.
 *
 * @module
 */

import type { ClientMessage } from "../../ssm/message.ts";

/** The agent's store of messages that came too early; beyond it they are dropped silently. */
const CAPACITY_MESSAGES = 100_000;

/** Options of {@linkcode Incoming}. */
export interface IncomingOptions {
  /**
   * Consumes a message in its turn. False refuses it: no acknowledgement, and its number stays the
   * expected one, so that the sender's repetition is the next chance.
   */
  readonly consume: (message: ClientMessage) => boolean | Promise<boolean>;
  readonly acknowledge: (message: ClientMessage) => void;
  /** False for agents before 3.2.1041.0, which drop duplicates without a word. */
  readonly reacknowledge: boolean;
}

/** The input stream of one session. Messages must be given one at a time. */
export class Incoming {
  readonly #options: IncomingOptions;
  readonly #early = new Map<number, ClientMessage>();
  #expected = 0;
  #duplicates = 0;

  constructor(options: IncomingOptions) {
    this.#options = options;
  }

  /** Messages that had arrived before. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** Takes a stream message; the promise, if there is one, must be awaited before the next call. */
  receive(message: ClientMessage): void | Promise<void> {
    const { sequenceNumber } = message;
    const { acknowledge, reacknowledge } = this.#options;
    if (sequenceNumber < this.#expected) {
      this.#duplicates++;
      if (reacknowledge) acknowledge(message);
      return;
    }
    if (sequenceNumber > this.#expected) {
      if (this.#early.has(sequenceNumber)) this.#duplicates++;
      if (this.#early.size >= CAPACITY_MESSAGES) return;
      acknowledge(message);
      this.#early.set(sequenceNumber, message);
      return;
    }
    const taken = this.#options.consume(message);
    if (typeof taken !== "boolean") return this.#settle(message, taken);
    if (taken) return this.#advance(message);
  }

  async #settle(message: ClientMessage, taken: Promise<boolean>): Promise<void> {
    if (await taken) await this.#advance(message);
  }

  #advance(message: ClientMessage): void | Promise<void> {
    this.#options.acknowledge(message);
    this.#expected++;
    if (this.#early.size > 0) return this.#drain();
  }

  /** Consumes what had come early and is now in turn; it is acknowledged already. */
  async #drain(): Promise<void> {
    for (;;) {
      const next = this.#early.get(this.#expected);
      if (!next || !await this.#options.consume(next)) return;
      this.#early.delete(this.#expected++);
    }
  }
}
