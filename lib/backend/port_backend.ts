/**
 * A backend without SSH: connections go through port forwarding sessions, one for each destination. It
 * needs neither an SSH server nor a key on the instance.
 *
 * Nothing is kept up for its own sake, so there is no attempt in the background either: the next
 * connection is the next attempt.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  type Conn,
  type Credentials,
  describeError,
  formatTarget,
  getLog,
  isAwsocksError,
  retry,
  type SleepOptions,
  type Target,
  toAwsocksError,
  withDeadline,
} from "../core/mod.ts";
import type { Disruptions } from "../ssm/disruptions.ts";
import type { Backend, BackendState, DialOptions } from "./backend.ts";
import { CARRIER_GONE, isAboutDestination, isLasting } from "./failures.ts";
import { PortPool } from "./port_pool.ts";
import type { PortSession } from "./port_session.ts";
import { StateMachine } from "./state.ts";

const log = getLog("backend");

/** Most sessions at a time. */
export const MAX_SESSIONS = 8;
/** Milliseconds without a connection after which a session is closed. */
export const IDLE_TIME = 60_000;
/** Milliseconds for which a failure that waiting does not mend is taken for granted. */
const LASTING_FOR = 3000;
/** Milliseconds for which a destination that no session leads to is not tried again. */
const HOPELESS_FOR = 5000;
/** Destinations that are remembered for that. */
const MAX_HOPELESS = 256;
/** What the agent finds out when a session starts. */
const LOOKED_UP = ["destination-name-unknown", "destination-prohibited"] as const;
/** Sessions that may fail without a reason that is known, one after the other, for a connection. */
const MAX_CLOSED = 2;

/** Options of {@linkcode PortBackend}. */
export interface PortBackendOptions {
  readonly clock: Clock;
  /** Sees to it that there is an instance to start sessions on. */
  readonly prepare: (options: { signal: AbortSignal }) => Promise<void>;
  /** Starts a session to a destination. */
  readonly open: (target: Target, options: { signal: AbortSignal }) => Promise<PortSession>;
  /** Milliseconds that a dial waits for a session. */
  readonly connectTimeout: number;
  /** Default {@linkcode MAX_SESSIONS}. */
  readonly maxSessions?: number;
  /** Default {@linkcode IDLE_TIME}. */
  readonly idleTime?: number;
  /** Tells when this machine has slept or its network has changed: a wait has lost its reason then. */
  readonly disruptions?: Disruptions | undefined;
  /** Runs once, after the last session has ended; for auto-stop. Failures are logged. */
  readonly onClose?: () => Promise<void>;
  /** Called after each change of state or of the latest failure. Must not throw. */
  readonly onChange?: (() => void) | undefined;
}

/** A failure that is remembered. */
interface Remembered {
  readonly error: AwsocksError;
  /** Milliseconds on the monotonic clock. */
  readonly until: number;
}

/** A backend over port forwarding sessions. */
export class PortBackend implements Backend {
  readonly name = "port";
  readonly #options: PortBackendOptions;
  readonly #machine = new StateMachine((from, to) => {
    log.debug("{from} → {to}", { from, to });
    this.#options.onChange?.();
  });
  readonly #pool: PortPool;
  readonly #hopeless = new Map<string, Remembered>();
  #lasting: Remembered | undefined;
  #lastError: AwsocksError | undefined;
  #starting: Promise<void> | undefined;
  readonly #abort = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(options: PortBackendOptions) {
    const { clock, maxSessions = MAX_SESSIONS, idleTime = IDLE_TIME } = options;
    this.#options = options;
    this.#pool = new PortPool({
      clock,
      maxSessions,
      idleTime,
      open: (target, openOptions) => this.#open(target, openOptions),
    });
  }

  get state(): BackendState {
    return this.#machine.state;
  }

  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Sessions that are up. */
  get sessions(): number {
    return this.#pool.size;
  }

  async start({ signal }: DialOptions = {}): Promise<void> {
    if (this.state === "active") return;
    this.#begin();
    this.#starting ??= this.#prepare().finally(() => this.#starting = undefined);
    const { clock, connectTimeout } = this.#options;
    const starting = this.#starting;
    starting.catch(() => {}); // whoever waited may have left
    await withDeadline(clock, connectTimeout, () => this.#unavailable(), () => starting, signal);
  }

  async dial(target: Target, options: DialOptions = {}): Promise<Conn> {
    for (let attempt = 1;; attempt++) {
      const session = await this.#session(target, options.signal);
      try {
        return await session.dial(options);
      } catch (error) {
        if (isAwsocksError(error, ...LOOKED_UP)) this.#remember(target, error);
        const gone = isAwsocksError(error, ...CARRIER_GONE);
        if (attempt >= MAX_CLOSED || !gone || options.signal?.aborted) throw error;
      } finally {
        session.release();
      }
    }
  }

  onCredentialUpdate(_credentials: Credentials): void {
    this.#lasting = undefined;
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#machine.to("closed");
    const reason = stopping();
    this.#abort.abort(reason);
    await this.#pool.close(reason);
    await this.#starting?.catch(() => {});
    try {
      await this.#options.onClose?.();
    } catch (error) {
      log.warn("{reason}", { reason: describeError(error) });
    }
  }

  #begin(): void {
    if (this.state === "closed") throw stopping();
    if (this.state === "idle") this.#machine.to("initializing");
  }

  async #prepare(): Promise<void> {
    try {
      await this.#options.prepare({ signal: this.#abort.signal });
    } catch (error) {
      throw this.#failed(error);
    }
    this.#up();
  }

  /** A session to the destination, reserved. */
  async #session(target: Target, signal: AbortSignal | undefined): Promise<PortSession> {
    this.#begin();
    const now = this.#options.clock.monotonic();
    const known = this.#hopeless.get(formatTarget(target));
    if (known && now < known.until) throw known.error;
    return await withDeadline(
      this.#options.clock,
      this.#options.connectTimeout,
      () => this.#unavailable(),
      async (limited) => {
        const session = await this.#pool.acquire(target, limited);
        if (!limited.aborted) return session;
        session.release();
        throw limited.reason;
      },
      signal,
    );
  }

  /** Starts a session, again and again where waiting may help. */
  async #open(target: Target, { signal }: { signal: AbortSignal }): Promise<PortSession> {
    const { clock, connectTimeout, open } = this.#options;
    if (this.#lasting && clock.monotonic() < this.#lasting.until) throw this.#unavailable();
    let closed = 0;
    try {
      const session = await retry({
        clock: {
          monotonic: () => clock.monotonic(),
          sleep: (ms, options) => this.#pause(ms, options),
        },
        initial: 1000,
        max: 15_000,
        budget: connectTimeout,
        signal,
        retryable: (error) => {
          if (isAboutDestination(error) || isLasting(error)) return false;
          return !isAwsocksError(error, ...CARRIER_GONE) || ++closed < MAX_CLOSED;
        },
        onRetry: (error, delay) => {
          this.#failed(error);
          log.warn("{reason}; next try in {seconds} s", {
            reason: describeError(error),
            seconds: (delay / 1000).toFixed(0),
          });
        },
      }, () => open(target, { signal }));
      this.#up();
      return session;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (isAboutDestination(error)) {
        this.#remember(target, error);
        this.#up();
        throw error;
      }
      throw this.#failed(error);
    }
  }

  /** Sleeps until the time has passed or a disruption says that the next attempt may do better. */
  async #pause(ms: number, { signal }: SleepOptions = {}): Promise<void> {
    const { clock, disruptions } = this.#options;
    const disrupted = new AbortController();
    using _listener = disruptions?.on(() => disrupted.abort());
    const signals = [disrupted.signal, ...(signal ? [signal] : [])];
    try {
      await clock.sleep(ms, { signal: AbortSignal.any(signals) });
    } catch {
      signal?.throwIfAborted();
    }
  }

  #up(): void {
    this.#lasting = undefined;
    this.#lastError = undefined;
    if (this.state !== "active" && this.state !== "closed") this.#machine.to("active");
  }

  /** Notes a failure to start a session. @returns what a dial is told */
  #failed(error: unknown): AwsocksError {
    this.#lastError = toAwsocksError(error);
    if (isLasting(error)) {
      const until = this.#options.clock.monotonic() + LASTING_FOR;
      this.#lasting = { error: this.#lastError, until };
    }
    // Sessions that are up go on.
    const down = this.state === "active" && this.#pool.size === 0;
    if (down) this.#machine.to("transitioning");
    else this.#options.onChange?.();
    return this.#unavailable();
  }

  /** Clients ask again and again; each time would be a session. */
  #remember(target: Target, error: AwsocksError): void {
    if (this.#hopeless.size >= MAX_HOPELESS) this.#hopeless.clear();
    const until = this.#options.clock.monotonic() + HOPELESS_FOR;
    this.#hopeless.set(formatTarget(target), { error, until });
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
}

function stopping(): AwsocksError {
  return new AwsocksError("backend-closed", "The proxy is stopping");
}
