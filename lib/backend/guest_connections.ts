/**
 * The guest's connections to this host: greeted, configured, and the latest one used. A guest that comes
 * again, because it or its machine has started anew, takes the place of its former self.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  type Conn,
  describeError,
  getLog,
  isAwsocksError,
  withDeadline,
} from "../core/mod.ts";
import type { HostTunnel } from "../protocol/mod.ts";

const log = getLog("backend");

/** Connections that may be greeted at a time; a guest has one. */
const MAX_GREETED = 4;

/** Options of {@linkcode GuestConnections}. */
export interface GuestConnectionsOptions {
  /**
   * The guest's next connection. May start the machine first; a failure is that of whoever waits.
   * Called again after each connection, and after a failure when somebody waits again.
   */
  readonly accept: (options: { signal: AbortSignal }) => Promise<Conn>;
  /** Makes a tunnel of a connection, ready to be used. */
  readonly open: (conn: Conn, options: { signal: AbortSignal }) => Promise<HostTunnel>;
  /** Milliseconds that {@linkcode GuestConnections.next} waits for a guest. */
  readonly readyLimit: number;
  readonly clock: Clock;
}

/** Hands out tunnels, the latest one in place of all others. */
export class GuestConnections {
  readonly #options: GuestConnectionsOptions;
  readonly #abort = new AbortController();
  #accepting: Promise<void> | undefined;
  #greeted = 0;
  /** Came after the latest that was handed out. */
  #fresh: HostTunnel | undefined;
  #current: HostTunnel | undefined;
  #waiting: PromiseWithResolvers<HostTunnel> | undefined;

  constructor(options: GuestConnectionsOptions) {
    this.#options = options;
  }

  /**
   * The next tunnel, which the one before makes room for. One call at a time.
   * @throws AwsocksError `vsock-connect-failed` when no guest comes in time, what accepting or opening
   * it throws; the reason of the signal
   */
  async next({ signal }: { signal: AbortSignal }): Promise<HostTunnel> {
    this.#abort.signal.throwIfAborted();
    const { clock, readyLimit } = this.#options;
    try {
      const take = () => this.#take();
      return await withDeadline(clock, readyLimit, () => this.#absent(), take, signal);
    } finally {
      this.#waiting = undefined;
    }
  }

  /** Ends accepting, and the tunnels that nobody has taken. Idempotent. */
  async close(): Promise<void> {
    if (this.#abort.signal.aborted) return;
    const reason = new AwsocksError("backend-closed", "The proxy is stopping");
    this.#abort.abort(reason);
    this.#waiting?.reject(reason);
    this.#fresh?.close();
    await this.#accepting;
  }

  #take(): Promise<HostTunnel> {
    this.#accepting ??= this.#accept();
    if (this.#fresh) {
      this.#current = this.#fresh;
      this.#fresh = undefined;
      return Promise.resolve(this.#current);
    }
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  /** Accepts until that fails. Never rejects. */
  async #accept(): Promise<void> {
    const { signal } = this.#abort;
    try {
      while (!signal.aborted) {
        const conn = await this.#options.accept({ signal });
        if (signal.aborted || this.#greeted >= MAX_GREETED) conn.close();
        else void this.#greet(conn);
      }
    } catch (error) {
      this.#failed(error);
    }
    this.#accepting = undefined;
  }

  async #greet(conn: Conn): Promise<void> {
    const { signal } = this.#abort;
    this.#greeted++;
    try {
      const tunnel = await this.#options.open(conn, { signal });
      if (signal.aborted) return tunnel.close();
      this.#arrived(tunnel);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#greeted--;
    }
  }

  #arrived(tunnel: HostTunnel): void {
    // The guest has come again: the connections of its former self end.
    this.#current?.close();
    this.#fresh?.close();
    this.#current = this.#fresh = undefined;
    if (this.#waiting) {
      this.#current = tunnel;
      this.#waiting.resolve(tunnel);
      this.#waiting = undefined;
      return;
    }
    this.#fresh = tunnel;
    void tunnel.closed.then(() => {
      if (this.#fresh === tunnel) this.#fresh = undefined;
    });
  }

  /** Tells whoever waits; else it is worth a line. */
  #failed(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    if (this.#waiting) {
      this.#waiting.reject(error);
      this.#waiting = undefined;
    } else {
      const level = isAwsocksError(error, "aborted") ? "debug" : "warn";
      log[level]("No connection from the guest: {reason}", { reason: describeError(error) });
    }
  }

  #absent(): AwsocksError {
    const seconds = this.#options.readyLimit / 1000;
    return new AwsocksError(
      "vsock-connect-failed",
      `The guest has not connected within ${seconds} s`,
      { hint: "does it run? its console may say more" },
    );
  }
}
