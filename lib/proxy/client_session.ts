/**
 * One client, from its first byte to its last.
 *
 * @module
 */

import { boundOf } from "../backend/direct.ts";
import {
  AwsocksError,
  type Clock,
  type Conn,
  describeError,
  formatTarget,
  getLog,
  isAwsocksError,
  relay,
  type RelayResult,
  toAwsocksError,
} from "../core/mod.ts";
import type { Verify } from "./auth.ts";
import { BufferedConn } from "./buffered_conn.ts";
import { type ClientRequest, told } from "./client_request.ts";
import type { Dialed, Dialer } from "./dialer.ts";
import { isDisconnect } from "./disconnect.ts";
import type { FailureLog } from "./failure_log.ts";
import { acceptClient } from "./handshake.ts";
import type { Client, LiveConnection } from "./listener.ts";
import type { Counters } from "./stats.ts";

const log = getLog("proxy");

/** What all sessions of a proxy share. */
export interface SessionContext {
  readonly dialer: Pick<Dialer, "dial">;
  /** Present when clients must give user and password. */
  readonly verify?: Verify | undefined;
  /** Milliseconds until a client must have made its request. */
  readonly handshakeTimeout: number;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly failures: FailureLog;
}

/** After a refusal, how long and how much a client may still send before it is cut off. */
const LINGER_MS = 1000;
const LINGER_BYTES = 256 * 1024;

/** Serves one client. */
export class ClientSession implements LiveConnection {
  readonly #client: Client;
  readonly #conn: BufferedConn;
  readonly #context: SessionContext;
  readonly #ending = new AbortController();
  readonly #since: number;
  #spoke = false;
  #request: ClientRequest | undefined;
  #dialed: Dialed | undefined;

  constructor(client: Client, context: SessionContext) {
    this.#client = client;
    this.#conn = new BufferedConn(client.conn);
    this.#context = context;
    this.#since = context.clock.monotonic();
  }

  /** True once it is connected to its destination. */
  get relaying(): boolean {
    return this.#dialed !== undefined;
  }

  /** Ends it, wherever it is. */
  end(reason: AwsocksError): void {
    this.#ending.abort(reason);
    this.#conn.close();
  }

  /** Serves the client to the end. Never throws. */
  async run(): Promise<void> {
    try {
      await this.#serve();
    } catch (error) {
      await this.#fail(this.#ending.signal.aborted ? this.#ending.signal.reason : error);
    } finally {
      this.#conn.close();
    }
  }

  async #serve(): Promise<void> {
    const request = this.#request = await this.#handshake();
    // Port scans and health checks connect and say nothing.
    if (!request) return;
    let dialed: Dialed;
    try {
      dialed = this.#dialed = await this.#dial(request);
    } catch (error) {
      throw await told(request.refuse, error);
    }
    try {
      await request.accept(boundOf(dialed.conn));
    } catch (error) {
      dialed.conn.close();
      throw error;
    }
    this.#context.counters.routed[dialed.route]++;
    this.#record(request, dialed, await this.#relay(request, dialed.conn));
  }

  async #handshake(): Promise<ClientRequest | undefined> {
    const { clock, handshakeTimeout, verify } = this.#context;
    const timer = clock.after(
      handshakeTimeout,
      () => this.end(handshakeTimedOut(handshakeTimeout)),
    );
    try {
      this.#spoke = await this.#conn.fill();
      return this.#spoke ? await acceptClient(this.#conn, verify) : undefined;
    } finally {
      timer.cancel();
    }
  }

  /** Connects, unless the client leaves meanwhile. */
  #dial(request: ClientRequest): Promise<Dialed> {
    if (this.#client.refusal) throw this.#client.refusal;
    this.#conn.watch((cause) => {
      if (this.#dialed) return;
      this.#ending.abort(new AwsocksError("aborted", "Client left while it waited", { cause }));
    });
    return this.#context.dialer.dial(request.target, this.#ending.signal);
  }

  #relay(request: ClientRequest, remote: Conn): Promise<RelayResult> {
    const [near, far] = request.adapt?.(this.#conn, remote) ?? [this.#conn, remote];
    const { onBytes } = this.#context.counters;
    return relay(near, far, { signal: this.#ending.signal, onBytes });
  }

  #record(request: ClientRequest, dialed: Dialed, result: RelayResult): void {
    const { error } = result;
    if (isAwsocksError(error) && error.code !== "aborted") this.#report(error);
    if (!log.isEnabledFor("debug")) return;
    log.debug("Connection ended", {
      id: this.#client.id,
      client: this.#client.address,
      protocol: request.protocol,
      target: formatTarget(request.target),
      route: dialed.route,
      instead: dialed.instead?.because,
      up: result.aToB,
      down: result.bToA,
      ms: this.#elapsed(),
      end: error === undefined ? "both sides finished" : describeError(error),
    });
  }

  async #fail(error: unknown): Promise<void> {
    this.#context.counters.failed++;
    const failure = isDisconnect(error)
      ? new AwsocksError("aborted", "Client left", { cause: error })
      : toAwsocksError(error);
    const quiet = failure.code === "aborted" ||
      // Browsers open connections ahead of need and leave them idle.
      (failure.code === "proxy-handshake-timeout" && !this.#spoke);
    if (!quiet) this.#report(failure);
    log.debug("Connection failed", {
      id: this.#client.id,
      client: this.#client.address,
      code: failure.code,
      cause: failure,
      ms: this.#elapsed(),
    });
    if (!this.#ending.signal.aborted) await this.#linger();
  }

  #report(failure: AwsocksError): void {
    const { address: client } = this.#client;
    this.#context.failures.report(failure, { client, target: this.#request?.target });
  }

  /**
   * Lets the client read its answer: closing a socket with unread input resets the connection, and a
   * reset can overtake what was written.
   */
  async #linger(): Promise<void> {
    using _timer = this.#context.clock.after(LINGER_MS, () => this.#conn.close());
    try {
      await this.#conn.closeWrite();
      const buffer = new Uint8Array(4096);
      for (let left = LINGER_BYTES; left > 0;) {
        const n = await this.#conn.read(buffer);
        if (n === null) break;
        left -= n;
      }
    } catch {
      // Gone, or cut off by the timer: either way it had its time.
    }
  }

  #elapsed(): number {
    return Math.round(this.#context.clock.monotonic() - this.#since);
  }
}

function handshakeTimedOut(milliseconds: number): AwsocksError {
  return new AwsocksError(
    "proxy-handshake-timeout",
    `Client made no complete request within ${milliseconds / 1000} s`,
  );
}
