/**
 * An SSH connection over a {@linkcode Conn}, with `direct-tcpip` channels on it.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  type Conn,
  formatTarget,
  getLog,
  systemClock,
  type Target,
  type Timer,
} from "../core/mod.ts";
import { type ChannelConn, channelConn } from "./channel.ts";
import type { SshConnection } from "./connection.ts";
import { closedError } from "./failures.ts";
import { type Handshake, shakeHands } from "./handshake.ts";
import type { HostKeyVerifier } from "./host_key.ts";
import type { Identity } from "./identity.ts";
import { openFailureError } from "./open_failure.ts";
import { ChannelWindow, ReceiveBudget } from "./receive_window.ts";
import { ping, sendClose, setInitialWindow, takeWindow } from "./ssh2_internals.ts";
import { WriteGate } from "./write_gate.ts";

/** Options of {@linkcode connectSsh}. */
export interface ConnectSshOptions {
  /** User name on the server. */
  readonly user: string;
  /** Keys to try, in this order; the first five count. */
  readonly identities: readonly Identity[];
  readonly hostKeys: HostKeyVerifier;
  /** Compress with `zlib@openssh.com` if the server can. */
  readonly compression: boolean;
  /** Milliseconds between keep-alives; default 15,000. */
  readonly keepAliveInterval?: number;
  /** Intervals without any byte from the server after which it is given up; default 3. */
  readonly keepAliveCountMax?: number;
  /**
   * False while the stream below is known to be down and may come back: silence then says nothing of
   * the server. Default: always up.
   */
  readonly isUp?: () => boolean;
  /** Milliseconds for the handshake, without the time that the user takes; default 30,000. */
  readonly handshakeTimeout?: number;
  /** Milliseconds that the server has to open a channel; default 30,000. */
  readonly dialTimeout?: number;
  /** Software version in the identification string, no spaces; default `awsocks`. */
  readonly ident?: string;
  readonly clock?: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Address that a channel claims to come from (RFC 4254 section 7.2). The real one is the business of
 * nobody on the instance; this is what OpenSSH's `ssh -W` says.
 */
const ORIGINATOR = { host: "127.0.0.1", port: 65535 } as const;

/** Milliseconds that the farewell may take before the stream is cut. */
const CLOSE_GRACE_MS = 1000;

/**
 * Connects over a byte stream that leads to an SSH server, and authenticates.
 *
 * @param conn owned by the connection from now on, also when this rejects
 * @throws AwsocksError `ssh-auth-failed`, `ssh-handshake-failed`, `ssh-host-key-changed`,
 *   `ssh-host-key-unknown`, `ssh-key-missing`, `ssh-key-passphrase`; the signal's reason
 */
export async function connectSsh(conn: Conn, options: ConnectSshOptions): Promise<SshConnection> {
  if (options.identities.length === 0) {
    conn.close();
    throw new AwsocksError("ssh-key-missing", "There is no SSH key to authenticate with");
  }
  const settings = {
    keepAliveInterval: 15_000,
    keepAliveCountMax: 3,
    isUp: () => true,
    handshakeTimeout: 30_000,
    dialTimeout: 30_000,
    ident: "awsocks",
    clock: systemClock,
    ...options,
  };
  const log = getLog("ssh");
  return await shakeHands(conn, settings, (handshake) => {
    log.debug("SSH connection is up", { server: handshake.server, user: settings.user });
    return new Connection(handshake, settings);
  });
}

type Settings = Required<
  Pick<
    ConnectSshOptions,
    "keepAliveInterval" | "keepAliveCountMax" | "isUp" | "dialTimeout" | "clock"
  >
>;

class Connection implements SshConnection {
  readonly closed: Promise<Error | undefined>;
  readonly #client: Handshake["client"];
  readonly #stream: Handshake["stream"];
  readonly #settings: Settings;
  readonly #gate: WriteGate;
  readonly #budget: ReceiveBudget;
  readonly #keepAlive: Timer;
  readonly #channels = new Set<ChannelConn>();
  #opening = 0;
  /** Why it ends; set once it is known that it does. */
  #end: { error?: AwsocksError } | undefined;
  #grace: Timer | undefined;

  constructor(handshake: Handshake, settings: Settings) {
    const { client, stream } = handshake;
    this.#client = client;
    this.#stream = stream;
    this.#settings = settings;
    this.#gate = new WriteGate(stream);
    this.#budget = new ReceiveBudget(settings.clock);
    setInitialWindow(client, () => this.#budget.initial);
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.closed = promise;

    client.on("error", (error) => this.#lose(closedError(error)));
    client.on("end", () => this.#lose(closedError()));
    client.on("close", () => {
      this.#lose(closedError());
      this.#grace?.cancel();
      resolve(this.#end?.error);
    });
    this.#keepAlive = this.#startKeepAlive(handshake.lastInput);
    this.#ping();
  }

  get channels(): number {
    return this.#channels.size + this.#opening;
  }

  async dial(
    target: Target,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<Conn> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#end) throw this.#gone();
    const { clock, dialTimeout } = this.#settings;
    const { promise, resolve, reject } = Promise.withResolvers<Conn>();
    let settled = false;
    const giveUp = (error: unknown) => {
      settled = true;
      reject(error);
    };
    const onAbort = () => giveUp(signal?.reason);
    const timeout = clock.after(dialTimeout, () => {
      giveUp(
        new AwsocksError(
          "destination-timeout",
          `Cannot connect to ${formatTarget(target)}: no answer within ${dialTimeout / 1000} s`,
          { facts: { host: target.host, port: target.port } },
        ),
      );
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    const initial = this.#budget.initial;
    this.#opening++;
    try {
      // ssh2 throws when its stream has ended and only the event is still to come.
      if (!this.#stream.writable) throw closedError();
      this.#client.forwardOut(
        ORIGINATOR.host,
        ORIGINATOR.port,
        target.host,
        target.port,
        (error, channel) => {
          if (error) return giveUp(this.#dialError(target, error));
          if (settled || this.#end) {
            // Nobody waits for it any more.
            channel.on("error", () => {});
            sendClose(channel);
            channel.resume();
            return;
          }
          const window = new ChannelWindow(
            this.#budget,
            initial,
            takeWindow(this.#client, channel),
          );
          const conn = channelConn(
            channel,
            this.#gate,
            window,
            () => this.#channels.delete(conn),
          );
          this.#channels.add(conn);
          resolve(conn);
        },
      );
      return await promise;
    } finally {
      this.#opening--;
      timeout.cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  close(): void {
    if (this.#end) return;
    this.#end = {};
    this.#stop(new AwsocksError("ssh-closed", "The SSH connection is closed"));
    this.#client.end();
    this.#stream.once("finish", () => this.#stream.destroy());
    this.#grace = this.#settings.clock.after(CLOSE_GRACE_MS, () => this.#stream.destroy());
  }

  #gone(): AwsocksError {
    return this.#end?.error ?? new AwsocksError("ssh-closed", "The SSH connection is closed");
  }

  /** The connection is at its end without anybody here having asked for it. */
  #lose(error: AwsocksError): void {
    if (this.#end) return;
    this.#end = { error };
    this.#stop(error);
    this.#stream.destroy();
  }

  #stop(error: AwsocksError): void {
    this.#keepAlive.cancel();
    for (const channel of this.#channels) channel.fail(error);
  }

  #dialError(target: Target, error: Error): Error {
    if (this.#end) return this.#gone();
    const { reason } = error as { reason?: unknown };
    return openFailureError(target, {
      reason: typeof reason === "number" ? reason : undefined,
      // ssh2 puts this before the server's text.
      description: error.message.replace(/^\(SSH\) Channel open failure: /, ""),
    });
  }

  #startKeepAlive(lastInput: () => number): Timer {
    const { clock, keepAliveInterval, keepAliveCountMax, isUp } = this.#settings;
    let upSince = clock.monotonic();
    let lookedAt = upSince;
    return clock.every(keepAliveInterval, () => {
      const late = clock.monotonic() - lookedAt > 2 * keepAliveInterval;
      lookedAt = clock.monotonic();
      // While this machine slept, nobody was there to be answered.
      if (late || !isUp()) upSince = lookedAt;
      if (!isUp()) return;
      const silence = clock.monotonic() - Math.max(lastInput(), upSince);
      if (silence > keepAliveInterval * keepAliveCountMax) {
        const seconds = Math.round(silence / 1000);
        this.#lose(
          new AwsocksError("ssh-closed", `The SSH server has not answered for ${seconds} s`),
        );
        return;
      }
      this.#ping();
    });
  }

  #ping(): void {
    const { clock } = this.#settings;
    const sent = clock.monotonic();
    ping(this.#client, () => this.#budget.sampleRoundTrip(clock.monotonic() - sent));
  }
}
