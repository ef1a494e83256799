/**
 * What listens for the far side, and the part that every transport's listener has in common: takers
 * that wait in order, each with its own signal.
 *
 * @module
 */

import { AwsocksError, type Conn } from "../core/mod.ts";
import { formatVsockAddress, type VsockAddress } from "./address.ts";

/** Options of {@linkcode VsockListener.accept}. */
export interface AcceptOptions {
  /** Gives up waiting; the listener stays open and loses no connection by it. */
  readonly signal?: AbortSignal | undefined;
}

/** A listening socket. */
export interface VsockListener extends Disposable {
  /** Where it listens, with the real port where any free one was asked for. */
  readonly address: VsockAddress;
  /**
   * The next connection.
   * @throws AwsocksError `aborted` once the listener is closed, `listen-failed` when the system cannot
   * accept (a later call may succeed); the reason of the signal
   */
  accept(options?: AcceptOptions): Promise<Conn>;
  /** Stops listening; calls of {@linkcode accept} that wait fail. Idempotent. */
  close(): void;
}

/** A transport's side of a listener. */
export interface ListenerSource {
  readonly address: VsockAddress;
  /** Waits for a connection; called again when it has settled. Rejects once stopped. */
  next(): Promise<Conn>;
  /** Stops listening. Called once. */
  stop(): void;
}

type Waiter = PromiseWithResolvers<Conn>;

/** A {@linkcode VsockListener} over a transport's source. */
export class SourceListener implements VsockListener {
  readonly #source: ListenerSource;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.close();
  readonly #waiters: Waiter[] = [];
  /** Connections whose taker had given up when they came. */
  readonly #spare: Conn[] = [];
  #pulling = false;
  #closed = false;

  /** @param signal closes the listener */
  constructor(source: ListenerSource, signal?: AbortSignal) {
    this.#source = source;
    this.#signal = signal;
    if (signal?.aborted) this.close();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get address(): VsockAddress {
    return this.#source.address;
  }

  async accept({ signal }: AcceptOptions = {}): Promise<Conn> {
    signal?.throwIfAborted();
    if (this.#closed) throw this.#closedError();
    const spare = this.#spare.shift();
    if (spare) return spare;
    const waiter: Waiter = Promise.withResolvers();
    const giveUp = () => {
      const index = this.#waiters.indexOf(waiter);
      if (index >= 0) this.#waiters.splice(index, 1);
      waiter.reject(signal?.reason);
    };
    signal?.addEventListener("abort", giveUp, { once: true });
    this.#waiters.push(waiter);
    void this.#pull();
    try {
      return await waiter.promise;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#source.stop();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#closedError());
    for (const conn of this.#spare.splice(0)) conn.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** One call of `next` at a time, as long as somebody waits. Never rejects. */
  async #pull(): Promise<void> {
    if (this.#pulling) return;
    this.#pulling = true;
    while (this.#waiters.length > 0) {
      try {
        this.#deliver(await this.#source.next());
      } catch (cause) {
        this.#waiters.shift()?.reject(this.#acceptError(cause));
      }
    }
    this.#pulling = false;
  }

  #deliver(conn: Conn): void {
    const waiter = this.#waiters.shift();
    if (waiter) waiter.resolve(conn);
    else if (this.#closed) conn.close();
    else this.#spare.push(conn);
  }

  #closedError(): AwsocksError {
    const address = formatVsockAddress(this.address);
    return new AwsocksError("aborted", `The listener on ${address} is closed`);
  }

  #acceptError(cause: unknown): AwsocksError {
    const address = formatVsockAddress(this.address);
    const why = cause instanceof Error ? cause.message : String(cause);
    return new AwsocksError("listen-failed", `Could not accept on ${address}: ${why}`, {
      cause,
      facts: { address },
      hint: "",
    });
  }
}
