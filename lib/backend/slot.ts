/**
 * One place of a pool: opens a carrier, serves it until it ends, and opens the next one, with back-off
 * between failures.
 *
 * @module
 */

import {
  AwsocksError,
  Backoff,
  type Clock,
  type Conn,
  describeError,
  getLog,
  settledWithin,
  type Target,
  toAwsocksError,
} from "../core/mod.ts";
import type { DialOptions } from "./backend.ts";
import { type Carrier, type OpenCarrier, SILENCE_LIMIT } from "./carrier.ts";

const log = getLog("backend");

/** A carrier that lived longer than this many milliseconds is replaced without delay. */
const SETTLED_AFTER = 10_000;
/** Milliseconds over which the pace is measured, at least. */
const PACE_INTERVAL = 250;
/** Milliseconds after which the pace of a connection shows. */
const FRESH_TIME = 2000;

/** What a slot tells its pool. */
export interface SlotEvents<C extends Carrier = Carrier> {
  /** Its carrier is up. */
  up(slot: Slot<C>): void;
  /**
   * Its carrier has ended.
   * @returns false to give the slot up instead of opening another carrier
   */
  down(slot: Slot<C>): boolean;
  /**
   * An attempt has failed.
   * @returns false to give the slot up instead of trying again
   */
  failed(slot: Slot<C>, error: AwsocksError): boolean;
  /** It holds nothing any more and does nothing any more. */
  ended(slot: Slot<C>): void;
}

/** Options of {@linkcode Slot}. */
export interface SlotOptions<C extends Carrier = Carrier> {
  readonly clock: Clock;
  readonly open: OpenCarrier<C>;
}

/** Keeps one carrier up until it is stopped or given up. */
export class Slot<C extends Carrier = Carrier> {
  readonly #options: SlotOptions<C>;
  readonly #events: SlotEvents<C>;
  readonly #abort = new AbortController();
  readonly #backoff = new Backoff({ initial: 1000, max: 60_000 });
  readonly #done: Promise<void>;
  #carrier: C | undefined;
  /** The latest carrier of which {@linkcode tellSilence} has told. */
  #told: C | undefined;
  #reserved = 0;
  /** Of those reserved, the ones that the carrier counts too. */
  #dialling = 0;
  #reservedAt = -Infinity;
  #idleSince: number;
  #pace = { at: 0, bytes: 0, perSecond: 0 };
  #attemptAt = -Infinity;
  #attemptEnded = -Infinity;
  #wake: (() => void) | undefined;

  constructor(options: SlotOptions<C>, events: SlotEvents<C>) {
    this.#options = options;
    this.#events = events;
    this.#idleSince = options.clock.monotonic();
    this.#done = this.#run().finally(() => events.ended(this));
  }

  /** The carrier, while it is up. */
  get carrier(): C | undefined {
    return this.#carrier;
  }

  /** Connections on the carrier, promised ones included. */
  get load(): number {
    return (this.#carrier?.channels ?? 0) + this.#reserved - this.#dialling;
  }

  /** False while it is on its way up, or rests, and once it is to end. */
  get usable(): boolean {
    return this.#carrier !== undefined && !this.#abort.signal.aborted;
  }

  /** True while an attempt is under way. */
  get opening(): boolean {
    return !this.#carrier && !this.#wake && !this.#abort.signal.aborted;
  }

  /** Monotonic time in milliseconds at which the latest attempt began. */
  get attemptAt(): number {
    return this.#attemptAt;
  }

  /** True while the newest connection is so young that its pace does not show yet. */
  get fresh(): boolean {
    return this.load > 0 && this.#options.clock.monotonic() - this.#reservedAt < FRESH_TIME;
  }

  /** Bytes per second that the carrier moves, both ways, measured over the last moments. */
  get pace(): number {
    this.measure();
    return this.#pace.perSecond;
  }

  /** Takes the measure of {@linkcode pace}, which covers the time since the one before. */
  measure(): void {
    const bytes = this.#carrier?.bytes ?? 0;
    const now = this.#options.clock.monotonic();
    const elapsed = now - this.#pace.at;
    if (elapsed >= PACE_INTERVAL) {
      const perSecond = Math.max(0, bytes - this.#pace.bytes) * 1000 / elapsed;
      this.#pace = { at: now, bytes, perSecond };
    }
  }

  /** True while the far side owes an answer for so long that it may be gone. */
  get silent(): boolean {
    return (this.#carrier?.silence ?? 0) >= SILENCE_LIMIT;
  }

  /** Says, once for each carrier, that connections leave it because it does not answer. */
  tellSilence(): void {
    const carrier = this.#carrier;
    if (!carrier || carrier === this.#told) return;
    this.#told = carrier;
    log.warn("Connection {carrier} has not answered for {seconds} s; new ones go to another", {
      carrier: carrier.name,
      seconds: inSeconds(carrier.silence),
    });
  }

  /** True for a carrier that nobody uses and that has left no question open. */
  get free(): boolean {
    return this.load === 0 && !this.silent;
  }

  /** False while there is reason to believe that the carrier does not answer. */
  get healthy(): boolean {
    return this.#carrier?.connected === true && !this.silent;
  }

  /** Milliseconds since the carrier last had a connection; 0 while it has one. */
  get idleFor(): number {
    const now = this.#options.clock.monotonic();
    if (this.load > 0) this.#idleSince = now;
    return now - this.#idleSince;
  }

  /** Milliseconds since the latest attempt failed while it rests; undefined when it does not rest. */
  get restingFor(): number | undefined {
    return this.#wake && this.#options.clock.monotonic() - this.#attemptEnded;
  }

  /** Counts a connection before it is dialled, so that others see it. */
  reserve(): void {
    this.#reserved++;
    this.#reservedAt = this.#options.clock.monotonic();
  }

  /** Takes a reservation back. */
  release(): void {
    this.#reserved--;
    this.#idleSince = this.#options.clock.monotonic();
  }

  /** Dials over the carrier, which must be up, for a connection that is reserved. */
  dial(target: Target, options: DialOptions): Promise<Conn> {
    return this.use(async (carrier) => {
      this.#dialling++;
      try {
        return await carrier.dial(target, options);
      } finally {
        this.#dialling--;
      }
    });
  }

  /** Does something with the carrier. @throws AwsocksError `ssh-closed` when it has just ended */
  async use<T>(work: (carrier: C) => Promise<T>): Promise<T> {
    if (!this.#carrier) throw new AwsocksError("ssh-closed", "The connection has just ended");
    return await work(this.#carrier);
  }

  /** Waits for the end of the carrier, under which a dial has failed, to become known. */
  async over(limit: number): Promise<void> {
    if (this.#carrier) await settledWithin(this.#options.clock, limit, this.#carrier.closed);
  }

  /** Cuts a back-off short. */
  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Nothing holds any more of what earlier failures say: tries now, and again with short delays. */
  startOver(): void {
    this.#backoff.reset();
    this.wake();
  }

  /** Ends the slot and its carrier; resolves when it holds nothing any more. Idempotent. */
  async stop(reason: unknown): Promise<void> {
    this.#abort.abort(reason);
    this.#wake?.();
    await this.#carrier?.close();
    await this.#done;
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // the pool gets to know the slot before its first event
    const { signal } = this.#abort;
    while (!signal.aborted) {
      let carrier: C;
      this.#attemptAt = this.#options.clock.monotonic();
      try {
        carrier = await this.#options.open({ signal });
      } catch (error) {
        if (signal.aborted) return;
        const failure = toAwsocksError(error);
        this.#attemptEnded = this.#options.clock.monotonic();
        if (!this.#events.failed(this, failure)) return;
        await this.#rest(this.#backoff.next(), failure);
        continue;
      }
      if (!await this.#serve(carrier)) return;
    }
  }

  /** @returns whether to go on */
  async #serve(carrier: C): Promise<boolean> {
    const { clock } = this.#options;
    const { signal } = this.#abort;
    if (!signal.aborted) {
      const since = this.#idleSince = clock.monotonic();
      this.#pace = { at: since, bytes: carrier.bytes, perSecond: 0 };
      this.#carrier = carrier;
      log.info("Connected: {carrier}", { carrier: carrier.name });
      this.#events.up(this);
      const reason = await carrier.closed;
      this.#carrier = undefined;
      if (!signal.aborted) {
        const again = this.#events.down(this);
        const settled = clock.monotonic() - since >= SETTLED_AFTER;
        if (settled) this.#backoff.reset();
        const delay = settled ? 0 : this.#backoff.next();
        log.warn("Connection {carrier} has ended{why}{next}", {
          carrier: carrier.name,
          why: reason ? `: ${describeError(reason)}` : "",
          next: again ? `; connecting again${delay > 0 ? ` in ${inSeconds(delay)} s` : ""}` : "",
        });
        await carrier.close();
        if (again && delay > 0) await this.#rest(delay);
        return again;
      }
    }
    await carrier.close();
    return false;
  }

  /** Sleeps until the back-off has passed or something asks for an attempt now. */
  async #rest(ms: number, failure?: AwsocksError): Promise<void> {
    const { signal } = this.#abort;
    if (signal.aborted) return;
    const woken = new Promise<void>((resolve) => {
      const timer = this.#options.clock.after(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
    // Whoever waited for the attempt may end everything now: then there is no next try to tell of.
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (failure && !signal.aborted) {
      log.warn("{reason}; next try in {seconds} s", {
        reason: describeError(failure),
        seconds: inSeconds(ms),
        hint: failure.hint || undefined,
      });
    }
    await woken;
    this.#wake = undefined;
  }
}

/** Milliseconds as whole seconds, for the log. */
export function inSeconds(ms: number): string {
  return (ms / 1000).toFixed(0);
}
