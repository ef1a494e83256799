/**
 * A backend that keeps one carrier up for as long as it lives: it opens it on the first request,
 * replaces it when it ends, backs off between failures, and lets dials wait meanwhile.
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
  type ErrorCode,
  getLog,
  isAwsocksError,
  type Target,
  toAwsocksError,
  withDeadline,
} from "../core/mod.ts";
import type { Backend, BackendState, DialOptions } from "./backend.ts";
import type { Carrier, OpenCarrier } from "./carrier.ts";
import { StateMachine } from "./state.ts";

const log = getLog("backend");

/** Failures that waiting does not mend: a request gets them at once instead of at its deadline. */
const LASTING: ReadonlySet<ErrorCode> = new Set([
  "config-invalid",
  "credentials-missing",
  "credentials-expired",
  "credentials-invalid",
  "aws-access-denied",
  "aws-region-invalid",
  "instance-not-found",
  "instance-ambiguous",
  "instance-stopped",
  "instance-start-failed",
  "agent-offline",
  "session-handshake-failed",
  "tunnel-incompatible",
  "ssh-key-missing",
  "ssh-key-invalid",
  "ssh-key-passphrase",
  "ssh-auth-failed",
  "ssh-host-key-changed",
  "ssh-handshake-failed",
  "unsupported-platform",
  "vm-unavailable",
  "usage",
  "internal",
]);

/** Failures that say the carrier died under a dial, so that another may still serve it. */
const CARRIER_GONE: readonly ErrorCode[] = [
  "ssh-closed",
  "session-closed",
  "session-lost",
  "tunnel-closed",
  "tunnel-protocol-error",
];

/** Milliseconds between attempts that requests call for; the back-off alone may be longer. */
const REQUEST_SPACING = 3000;
/** Milliseconds for a carrier under which a dial failed to notice its own end. */
const NOTICE_LIMIT = 5000;
/** A carrier that lived longer than this many milliseconds is replaced without delay. */
const SETTLED_AFTER = 10_000;

/** Options of {@linkcode SupervisedBackend}. */
export interface SupervisorOptions<C extends Carrier = Carrier> {
  readonly name: string;
  readonly clock: Clock;
  readonly open: OpenCarrier<C>;
  /** Milliseconds that a dial waits for a carrier. */
  readonly connectTimeout: number;
  /** Runs once, after the last carrier has ended; for auto-stop. Failures are logged. */
  readonly onClose?: () => Promise<void>;
  /** Called after each change of state or of the latest failure. Must not throw. */
  readonly onChange?: (() => void) | undefined;
}

/** A backend over one carrier at a time. */
export class SupervisedBackend<C extends Carrier = Carrier> implements Backend {
  readonly name: string;
  readonly #options: SupervisorOptions<C>;
  readonly #machine = new StateMachine((from, to) => {
    log.debug("{from} → {to}", { from, to });
    this.#options.onChange?.();
  });
  readonly #backoff = new Backoff({ initial: 1000, max: 60_000 });
  readonly #abort = new AbortController();
  /** Replaced whenever an attempt ends; what waits looks again. */
  #turn = Promise.withResolvers<void>();
  #carrier: C | undefined;
  #lastError: AwsocksError | undefined;
  #attempts = 0;
  #attemptEnded = -Infinity;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: SupervisorOptions<C>) {
    this.name = options.name;
    this.#options = options;
  }

  get state(): BackendState {
    return this.#machine.state;
  }

  get lastError(): Error | undefined {
    return this.#lastError;
  }

  async start(options: DialOptions = {}): Promise<void> {
    await this.#ready(options.signal, true);
  }

  dial(target: Target, options: DialOptions = {}): Promise<Conn> {
    return this.use((carrier) => carrier.dial(target, options), options);
  }

  /** Does something with the carrier, waiting for one as {@linkcode dial} does. */
  async use<T>(work: (carrier: C) => Promise<T>, options: DialOptions = {}): Promise<T> {
    for (let attempt = 1;; attempt++) {
      const carrier = await this.#ready(options.signal, false);
      try {
        return await work(carrier);
      } catch (error) {
        if (attempt > 1 || !isAwsocksError(error, ...CARRIER_GONE)) throw error;
        // Its end may not have been noticed yet: do not pick it again.
        const end = () => carrier.closed;
        await withDeadline(this.#options.clock, NOTICE_LIMIT, () => error, end, options.signal);
      }
    }
  }

  onCredentialUpdate(_credentials: Credentials): void {
    if (this.#lastError && !this.#carrier) this.#wake?.();
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    if (this.state !== "closed") this.#machine.to("closed");
    this.#abort.abort(new AwsocksError("backend-closed", "The proxy is stopping"));
    this.#wake?.();
    this.#endTurn();
    await this.#carrier?.close();
    await this.#running;
    try {
      await this.#options.onClose?.();
    } catch (error) {
      log.warn("{reason}", { reason: describeError(error) });
    }
  }

  /** Waits for a carrier; a failure that waiting does not mend comes at once. */
  #ready(signal: AbortSignal | undefined, anyFailure: boolean): Promise<C> {
    if (this.#carrier && this.state === "active") return Promise.resolve(this.#carrier);
    const { clock, connectTimeout } = this.#options;
    return withDeadline(
      clock,
      connectTimeout,
      () => this.#unavailable(),
      (signal) => this.#await(signal, anyFailure),
      signal,
    );
  }

  async #await(signal: AbortSignal, anyFailure: boolean): Promise<C> {
    let attempts = this.#attempts;
    if (!this.#request() && this.#isLasting()) throw this.#unavailable();
    for (;;) {
      signal.throwIfAborted();
      if (this.state === "closed") {
        throw new AwsocksError("backend-closed", "The proxy is stopping");
      }
      if (this.#carrier && this.state === "active") return this.#carrier;
      if (this.#attempts > attempts && this.#lastError) {
        if (anyFailure || this.#isLasting()) throw this.#unavailable();
        attempts = this.#attempts;
      }
      await this.#turn.promise;
    }
  }

  #isLasting(): boolean {
    return this.#lastError !== undefined && LASTING.has(this.#lastError.code);
  }

  #unavailable(): AwsocksError {
    const { connectTimeout } = this.#options;
    if (this.#lastError) {
      return new AwsocksError("backend-unavailable", "No way into the private network", {
        cause: this.#lastError,
        hint: this.#lastError.hint,
      });
    }
    return new AwsocksError(
      "backend-unavailable",
      `No way into the private network within ${connectTimeout / 1000} s`,
    );
  }

  /**
   * Makes sure that an attempt is under way.
   * @returns false when the latest one failed too recently for another
   */
  #request(): boolean {
    if (!this.#running) {
      this.#machine.to("initializing");
      this.#running = this.#run();
    } else if (this.#wake) {
      if (this.#options.clock.monotonic() - this.#attemptEnded < REQUEST_SPACING) return false;
      this.#wake();
    }
    return true;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const carrier = await this.#attempt(signal);
      if (carrier) await this.#serve(carrier);
      else await this.#pause(this.#backoff.next());
    }
  }

  async #attempt(signal: AbortSignal): Promise<C | undefined> {
    try {
      return await this.#options.open({ signal });
    } catch (error) {
      if (signal.aborted) return undefined;
      this.#lastError = toAwsocksError(error);
      this.#attempts++;
      this.#attemptEnded = this.#options.clock.monotonic();
      this.#options.onChange?.();
      this.#endTurn();
      return undefined;
    }
  }

  async #serve(carrier: C): Promise<void> {
    const { clock } = this.#options;
    if (this.#abort.signal.aborted) return await carrier.close();
    const since = clock.monotonic();
    this.#carrier = carrier;
    this.#lastError = undefined;
    this.#machine.to("active");
    log.info("Connected: {carrier}", { carrier: carrier.name });
    this.#endTurn();
    const reason = await carrier.closed;
    this.#carrier = undefined;
    if (this.#abort.signal.aborted) return await carrier.close();
    this.#machine.to("transitioning");
    log.warn("Connection {carrier} has ended{why}; connecting again", {
      carrier: carrier.name,
      why: reason ? `: ${describeError(reason)}` : "",
    });
    await carrier.close();
    if (clock.monotonic() - since >= SETTLED_AFTER) this.#backoff.reset();
    else await this.#pause(this.#backoff.next());
  }

  /** Sleeps until the time has passed or something asks for an attempt now. */
  async #pause(ms: number): Promise<void> {
    if (this.#abort.signal.aborted) return;
    const woken = new Promise<void>((resolve) => {
      const timer = this.#options.clock.after(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
    // Whoever waited for the attempt may end everything now: then there is no next try to tell of.
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.#lastError && !this.#abort.signal.aborted) {
      log.warn("{reason}; next try in {seconds} s", {
        reason: describeError(this.#lastError),
        seconds: (ms / 1000).toFixed(0),
        hint: this.#lastError.hint || undefined,
      });
    }
    await woken;
    this.#wake = undefined;
  }

  #endTurn(): void {
    this.#turn.resolve();
    this.#turn = Promise.withResolvers<void>();
  }
}
