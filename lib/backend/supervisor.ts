/**
 * A backend that keeps carriers up for as long as it lives: it opens the first one on the first
 * request and more when connections would share, replaces those that end, backs off between failures,
 * and lets dials wait meanwhile.
 *
 * @module
 */

import {
  AwsocksError,
  Backoff,
  type Clock,
  type Conn,
  type Credentials,
  describeError,
  getLog,
  isAwsocksError,
  type Target,
  type Timer,
  withDeadline,
} from "../core/mod.ts";
import type { Disruptions } from "../ssm/disruptions.ts";
import type { Backend, BackendState, DialOptions } from "./backend.ts";
import type { Carrier, OpenCarrier } from "./carrier.ts";
import { Changes } from "./changes.ts";
import { CARRIER_GONE, isLasting } from "./failures.ts";
import { growth, leastBurdened } from "./pool.ts";
import { inSeconds, Slot, type SlotEvents } from "./slot.ts";
import { StateMachine } from "./state.ts";

const log = getLog("backend");

/** Milliseconds between attempts that requests call for; the back-off alone may be longer. */
const REQUEST_SPACING = 3000;
/** Milliseconds that a connection waits for a carrier of its own before it shares one. */
const GROW_GRACE = 1500;
/** Milliseconds that a connection waits for a carrier in place of one that does not answer. */
const RESCUE_GRACE = 10_000;
/** Milliseconds between looks whether the carrier of a dial still answers. */
const HEDGE_INTERVAL = 500;
/** Milliseconds for the end of a carrier to become known after a dial on it has failed. */
const END_GRACE = 2500;
/** Milliseconds between looks at how busy the carriers are, and whether they are needed. */
const WATCH_INTERVAL = 2000;

/** Options of {@linkcode SupervisedBackend}. */
export interface SupervisorOptions<C extends Carrier = Carrier> {
  readonly name: string;
  readonly clock: Clock;
  readonly open: OpenCarrier<C>;
  /** Milliseconds that a dial waits for a carrier. */
  readonly connectTimeout: number;
  /** Most carriers at a time; default 1. */
  readonly maxCarriers?: number;
  /** Carriers that are kept up once one was needed; default 1. */
  readonly minCarriers?: number;
  /** Milliseconds without a connection after which a carrier beyond the first is closed; default 5 min. */
  readonly quietTime?: number;
  /** Tells when this machine has slept or its network has changed: a back-off has lost its reason then. */
  readonly disruptions?: Disruptions | undefined;
  /** Runs once, after the last carrier has ended; for auto-stop. Failures are logged. */
  readonly onClose?: () => Promise<void>;
  /** Called after each change of state or of the latest failure. Must not throw. */
  readonly onChange?: (() => void) | undefined;
}

/** A backend over a pool of carriers. */
export class SupervisedBackend<C extends Carrier = Carrier> implements Backend {
  readonly name: string;
  readonly #options: SupervisorOptions<C>;
  readonly #max: number;
  readonly #min: number;
  readonly #machine = new StateMachine((from, to) => {
    log.debug("{from} → {to}", { from, to });
    this.#options.onChange?.();
  });
  readonly #slots: Slot<C>[] = [];
  readonly #growBackoff = new Backoff({ initial: 5000, max: 120_000 });
  readonly #changes = new Changes();
  #lastError: AwsocksError | undefined;
  #failures = 0;
  #failedAt = -Infinity;
  #waiting = 0;
  #noGrowthUntil = -Infinity;
  #watch: Timer | undefined;
  #disruptions: Disposable | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: SupervisorOptions<C>) {
    this.name = options.name;
    this.#options = options;
    this.#max = options.maxCarriers ?? 1;
    this.#min = Math.min(options.minCarriers ?? 1, this.#max);
  }

  get state(): BackendState {
    return this.#machine.state;
  }

  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Carriers that are up. */
  get carriers(): number {
    return this.#up.length;
  }

  async start(options: DialOptions = {}): Promise<void> {
    if (this.#up.length > 0) return;
    (await this.#ready(options.signal, true)).release();
  }

  dial(target: Target, options: DialOptions = {}): Promise<Conn> {
    return this.#over((slot) => this.#dialOver(slot, target, options), options);
  }

  /** Does something with a carrier, waiting for one as {@linkcode dial} does. */
  use<T>(work: (carrier: C) => Promise<T>, options: DialOptions = {}): Promise<T> {
    return this.#over((slot) => slot.use(work), options);
  }

  async #over<T>(work: (slot: Slot<C>) => Promise<T>, options: DialOptions): Promise<T> {
    for (let ended = 0;;) {
      const slot = await this.#ready(options.signal, false);
      try {
        return await work(slot);
      } catch (error) {
        if (options.signal?.aborted) throw error;
        if (error === HEDGE) continue;
        if (!isAwsocksError(error, ...CARRIER_GONE) || ++ended > this.#max) throw error;
        if (slot.healthy) await slot.over(END_GRACE);
      } finally {
        slot.release();
      }
    }
  }

  onCredentialUpdate(_credentials: Credentials): void {
    if (this.#lastError) { for (const slot of this.#slots) slot.wake(); }
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    if (this.state !== "closed") this.#machine.to("closed");
    this.#watch?.cancel();
    this.#disruptions?.[Symbol.dispose]();
    const reason = new AwsocksError("backend-closed", "The proxy is stopping");
    const stopping = this.#slots.map((slot) => slot.stop(reason));
    this.#changes.notify();
    await Promise.all(stopping);
    try {
      await this.#options.onClose?.();
    } catch (error) {
      log.warn("{reason}", { reason: describeError(error) });
    }
  }

  // Dialling

  /**
   * Dials over one carrier. One that does not answer is left for another, where there is one or may be:
   * its instance may be gone without a word.
   */
  async #dialOver(slot: Slot<C>, target: Target, options: DialOptions): Promise<Conn> {
    if (this.#max === 1) return await slot.dial(target, options);
    const abort = new AbortController();
    const timer = this.#options.clock.every(HEDGE_INTERVAL, () => {
      if (!slot.silent || !this.#hasAlternative(slot)) return;
      slot.tellSilence();
      abort.abort(HEDGE);
    });
    const signal = options.signal ? AbortSignal.any([options.signal, abort.signal]) : abort.signal;
    try {
      return await slot.dial(target, { signal });
    } finally {
      timer.cancel();
    }
  }

  #hasAlternative(slot: Slot<C>): boolean {
    return this.#mayGrow() || this.#opening > 0 ||
      this.#up.some((other) => other !== slot && other.healthy);
  }

  get #up(): Slot<C>[] {
    return this.#slots.filter((slot) => slot.usable);
  }

  get #opening(): number {
    return this.#slots.filter((slot) => slot.opening).length;
  }

  /** True while an attempt is under way that had begun by then. */
  #openingSince(then: number): boolean {
    return this.#slots.some((slot) => slot.opening && slot.attemptAt <= then);
  }

  /** A reserved slot whose carrier is up; a failure that waiting does not mend comes at once. */
  async #ready(signal: AbortSignal | undefined, anyFailure: boolean): Promise<Slot<C>> {
    signal?.throwIfAborted();
    const best = leastBurdened(this.#up);
    if (best && (best.free || !(this.#mayGrow() || this.#opening > 0))) {
      best.reserve();
      return best;
    }
    this.#waiting++;
    try {
      return best ? await this.#ownOrShared(signal) : await withDeadline(
        this.#options.clock,
        this.#options.connectTimeout,
        () => this.#unavailable(),
        (limited) => this.#first(limited, anyFailure),
        signal,
      );
    } finally {
      this.#waiting--;
    }
  }

  /** A carrier of its own, that answers, if one comes up in time; else the least burdened. */
  async #ownOrShared(signal: AbortSignal | undefined): Promise<Slot<C>> {
    const { clock } = this.#options;
    const since = clock.monotonic();
    const abort = new AbortController();
    try {
      for (;;) {
        signal?.throwIfAborted();
        const best = leastBurdened(this.#up);
        if (best && !best.free) this.#grow();
        const grace = best?.silent ? RESCUE_GRACE : GROW_GRACE;
        const left = since + grace - clock.monotonic();
        if (best && (best.free || left <= 0 || this.#opening === 0)) {
          best.reserve();
          return best;
        }
        if (!best) return await this.#first(signal ?? abort.signal, false);
        await Promise.race([
          this.#changes.next(),
          clock.sleep(left, { signal: abort.signal }).catch(() => {}),
        ]);
      }
    } finally {
      abort.abort();
    }
  }

  async #first(signal: AbortSignal, anyFailure: boolean): Promise<Slot<C>> {
    let failures = this.#failures;
    if (!this.#request() && isLasting(this.#lastError)) throw this.#unavailable();
    for (;;) {
      signal.throwIfAborted();
      if (this.state === "closed") {
        throw new AwsocksError("backend-closed", "The proxy is stopping");
      }
      const best = leastBurdened(this.#up);
      // Several waited: those that came later get the carriers that are still on their way.
      if (best && (best.free || this.#opening === 0)) {
        best.reserve();
        return best;
      }
      if (best) return await this.#ownOrShared(signal);
      // An attempt beside the one that failed may still do better.
      if (this.#failures > failures && this.#lastError && !this.#openingSince(this.#failedAt)) {
        if (anyFailure || isLasting(this.#lastError)) throw this.#unavailable();
        failures = this.#failures;
      }
      this.#grow();
      await this.#changes.next();
    }
  }

  /**
   * Makes sure that an attempt is under way.
   * @returns false when the latest one failed too recently for another
   */
  #request(): boolean {
    if (this.state === "closed") return false;
    if (this.#slots.length === 0) {
      if (this.state === "idle") this.#machine.to("initializing");
      this.#open();
      return true;
    }
    const resting = this.#slots.map((slot) => slot.restingFor);
    if (resting.some((ms) => ms === undefined)) return true;
    if (Math.min(...resting as number[]) < REQUEST_SPACING) return false;
    for (const slot of this.#slots) slot.wake();
    return true;
  }

  #unavailable(): AwsocksError {
    if (this.#lastError) {
      return new AwsocksError("backend-unavailable", "No way into the private network", {
        cause: this.#lastError,
        hint: this.#lastError.hint,
      });
    }
    const seconds = this.#options.connectTimeout / 1000;
    return new AwsocksError(
      "backend-unavailable",
      `No way into the private network within ${seconds} s`,
    );
  }

  // The pool

  #mayGrow(): boolean {
    return this.#slots.length < this.#max &&
      this.#options.clock.monotonic() >= this.#noGrowthUntil && this.state !== "closed";
  }

  #grow(): void {
    if (!this.#mayGrow()) return;
    const size = this.#slots.length;
    // One that rests counts: another beside it would get round its back-off.
    const opening = this.#slots.filter((slot) => !slot.carrier).length;
    const more = growth({ waiting: this.#waiting, opening, size, max: this.#max });
    for (let i = 0; i < more; i++) this.#open();
  }

  /** Opens what is to be up whether it is needed or not. */
  #keepMinimum(): void {
    if (this.#up.length > 0 && this.#slots.length < this.#min && this.#mayGrow()) this.#open();
  }

  #open(): void {
    this.#slots.push(new Slot(this.#options, this.#events));
    this.#disruptions ??= this.#options.disruptions?.on(() => {
      this.#noGrowthUntil = -Infinity;
      this.#growBackoff.reset();
      for (const slot of this.#slots) slot.startOver();
    });
    if (this.#max > 1) {
      this.#watch ??= this.#options.clock.every(WATCH_INTERVAL, () => this.#look());
    }
  }

  readonly #events: SlotEvents<C> = {
    up: () => {
      this.#lastError = undefined;
      this.#growBackoff.reset();
      if (this.state !== "active") this.#machine.to("active");
      this.#keepMinimum();
      this.#changes.notify();
    },
    down: () => {
      const last = this.#up.length === 0;
      if (last && this.state === "active") this.#machine.to("transitioning");
      this.#changes.notify();
      return last;
    },
    failed: (slot, error) => {
      this.#failures++;
      this.#failedAt = this.#options.clock.monotonic();
      if (this.#up.length === 0) {
        this.#lastError = error;
        this.#options.onChange?.();
      }
      const needed = this.#up.length === 0 && slot === this.#slots[0];
      if (!needed) {
        const ms = this.#growBackoff.next();
        this.#noGrowthUntil = this.#options.clock.monotonic() + ms;
        log.info("Could not open another session: {reason}; none is tried for {seconds} s", {
          reason: describeError(error),
          seconds: inSeconds(ms),
        });
      }
      this.#changes.notify();
      return needed;
    },
    ended: (slot) => {
      const index = this.#slots.indexOf(slot);
      if (index >= 0) this.#slots.splice(index, 1);
      this.#changes.notify();
    },
  };

  /** Keeps the paces recent, and closes what nobody has needed for a while, but for what stays up. */
  #look(): void {
    const quiet = this.#options.quietTime ?? 300_000;
    const up = this.#up;
    for (const slot of up) slot.measure();
    this.#keepMinimum();
    const idle = up.filter((slot) => slot.idleFor >= quiet);
    for (const slot of idle.slice(0, Math.max(0, up.length - this.#min))) {
      log.debug("Closing {carrier}, which nobody needs", { carrier: slot.carrier?.name });
      void slot.stop(new AwsocksError("backend-closed", "The session is not needed any more"));
    }
  }
}

/** Reason with which a dial leaves a carrier that does not answer; never leaves this file. */
const HEDGE = new AwsocksError("ssh-closed", "The connection does not answer");
