/**
 * One connection to a port of the instance, as the whole of a session: for agents that know no
 * multiplexing.
 *
 * @module
 */

import {
  type AwsocksError,
  type Clock,
  type Conn,
  isAwsocksError,
  type Target,
} from "../core/mod.ts";
import type { Session } from "../ssm/mod.ts";
import type { DialOptions } from "./backend.ts";
import { PortConn } from "./port_conn.ts";
import { sessionFailure } from "./port_failure.ts";
import type { PortSession } from "./port_session.ts";

/** Milliseconds for the agent to say that it could not connect. */
const DOUBT = 150;

/** Options of {@linkcode SingleSession}. */
export interface SingleSessionOptions {
  readonly target: Target;
  /** Owned from now on. */
  readonly session: Session;
  readonly clock: Clock;
}

/** A session of one connection. */
export class SingleSession implements PortSession {
  readonly stalledFor = 0;
  readonly silence = 0;
  readonly closed: Promise<AwsocksError | undefined>;
  readonly #options: SingleSessionOptions;
  readonly #openedAt: number;
  #reserved = 0;
  #conn: PortConn | undefined;
  #used = false;

  constructor(options: SingleSessionOptions) {
    this.#options = options;
    this.#openedAt = options.clock.monotonic();
    this.closed = options.session.closed.then(({ error }) => {
      this.#used = true;
      return error && this.#explained(error);
    });
  }

  get name(): string {
    return this.#options.session.sessionId;
  }

  get load(): number {
    return this.#reserved + (this.#conn && !this.#conn.lingers ? 1 : 0);
  }

  get idleFor(): number {
    return this.load > 0 ? 0 : this.#options.clock.monotonic() - this.#openedAt;
  }

  get open(): boolean {
    return !this.#used && this.#reserved === 0;
  }

  get healthy(): boolean {
    return this.open;
  }

  reserve(): void {
    this.#reserved++;
  }

  release(): void {
    this.#reserved--;
  }

  async dial({ signal }: DialOptions = {}): Promise<Conn> {
    const { clock, session } = this.#options;
    this.#used = true;
    const conn = this.#conn = new PortConn(session.conn, clock, {
      answered: () => {},
      ended: () => undefined,
      closed: () => void this.close(),
      explain: (error) => Promise.resolve(this.#explained(error)),
    });
    const done = new AbortController();
    const stop = signal ? AbortSignal.any([signal, done.signal]) : done.signal;
    try {
      await Promise.race([conn.heard, clock.sleep(DOUBT, { signal: stop })]);
      return conn;
    } catch (error) {
      conn.close();
      throw error;
    } finally {
      done.abort();
    }
  }

  check(): void {
    if (this.#conn?.overdue(this.#options.clock.monotonic())) this.#conn.close();
  }

  close(): Promise<void> {
    return this.#options.session.close();
  }

  #explained<E>(error: E): E | AwsocksError {
    const failure = sessionFailure(this.#options.target, error);
    return isAwsocksError(failure) ? failure : error;
  }
}
