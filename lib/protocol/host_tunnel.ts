/**
 * The host's end of a tunnel.
 *
 * @module
 */

import { VERSION } from "../core/build_info.ts";
import {
  AwsocksError,
  type Clock,
  type Conn,
  type Credentials,
  formatTarget,
  getLog,
  isAwsocksError,
  systemClock,
  type Timer,
  toAwsocksError,
  withDeadline,
  writeAll,
} from "../core/mod.ts";
import { createSmuxSession, type SmuxSession } from "../smux/mod.ts";
import {
  DISRUPTION,
  GUEST_CALLS,
  HOST_CALLS,
  type HostServices,
  LOG,
  PROGRESS,
  STATE,
  TIME,
} from "./calls.ts";
import type { GuestConfig } from "./config.ts";
import { type CallOptions, ControlChannel } from "./control.ts";
import { endOfTunnel } from "./ending.ts";
import { greet } from "./greeting.ts";
import { decodeState, type GuestLogLine, type GuestState, printableLine } from "./guest_state.ts";
import { encodeHeader, readAnswer, type StreamHeader } from "./header.ts";
import type { GuestHello } from "./hello.ts";
import { serveAll } from "./serve.ts";
import { keepTime } from "./time_keeper.ts";
import { printable } from "./wire_error.ts";

const log = getLog("protocol");

/** Milliseconds between two looks at whether the guest still answers. */
const WATCH_MS = 15_000;

/** Milliseconds for the guest to answer after the host has slept. */
const CHECK_LIMIT_MS = 8000;

/** Milliseconds for the guest to answer where to a connection leads, when not said otherwise. */
const DIAL_LIMIT_MS = 180_000;

/** Options of {@linkcode createHostTunnel}. Callbacks must not throw. */
export interface HostTunnelOptions {
  /** What the guest may ask for. */
  readonly services: HostServices;
  readonly onState?: (state: GuestState) => void;
  readonly onLog?: (line: GuestLogLine) => void;
  readonly onProgress?: (text: string) => void;
  /** Milliseconds for the guest to open a connection, its waits included; default three minutes. */
  readonly dialLimit?: number;
  /** Name and version for the greeting; default those of `awsocks`. */
  readonly program?: string;
  readonly clock?: Clock;
  /** Gives up the greeting. */
  readonly signal?: AbortSignal | undefined;
}

/** The host's end. */
export interface HostTunnel extends Disposable {
  /** Who the guest is. */
  readonly hello: GuestHello;
  /** How its backend is, as far as it has told. */
  readonly state: GuestState;
  /** Resolves when the tunnel has ended: with the reason, or undefined if it was closed from here. */
  readonly closed: Promise<Error | undefined>;
  /** Sends the configuration; resolves when the guest has taken it. */
  configure(config: GuestConfig, options?: CallOptions): Promise<void>;
  /** Sends credentials; resolves when the guest has them. */
  updateCredentials(credentials: Credentials, options?: CallOptions): Promise<void>;
  /** Brings the guest's backend up; rejects as its first attempt does. */
  start(options?: CallOptions): Promise<void>;
  /**
   * Opens a connection through the guest.
   * @throws AwsocksError what the guest says, `destination-timeout`, `tunnel-…`; the reason of the signal
   */
  dial(
    header: StreamHeader,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<Conn>;
  /**
   * Says that this machine has slept, or that its network has changed: the guest gets the time and looks
   * after its connections, and has to answer soon.
   */
  disrupted(cause: string): void;
  /** Milliseconds that the guest takes to answer. */
  ping(options?: CallOptions): Promise<number>;
  /**
   * Has the guest end its backend and go down, then closes. Bounded in time: what the guest does not
   * answer within the limit of the call is logged, not thrown.
   */
  shutdown(options?: CallOptions): Promise<void>;
  /** Ends the tunnel and its connections at once. Idempotent. */
  close(): void;
}

/**
 * Opens the host's end over a connection from the guest, which belongs to the tunnel from now on.
 * @throws AwsocksError `tunnel-incompatible`, `tunnel-protocol-error`, `tunnel-closed`; the reason of
 * the signal. The connection is closed then
 */
export async function createHostTunnel(
  conn: Conn,
  options: HostTunnelOptions,
): Promise<HostTunnel> {
  const { clock = systemClock, program = `awsocks ${VERSION}`, signal } = options;
  // A guest has nothing to open streams for.
  const session = createSmuxSession(conn, { role: "client", version: 2, maxStreams: 0, clock });
  const { stream, hello } = await greet(session, {
    peer: "guest",
    own: { program, capabilities: [] },
    control: (signal) => session.open({ signal }),
    clock,
    signal,
  });
  log.debug("Tunnel to {guest}", { guest: hello.program, ...hello.protocol });
  return new HostEnd(session, stream, hello, options);
}

class HostEnd implements HostTunnel {
  readonly hello: GuestHello;
  readonly #session: SmuxSession;
  readonly #control: ControlChannel;
  readonly #clock: Clock;
  readonly #dialLimit: number;
  readonly #closed = Promise.withResolvers<Error | undefined>();
  readonly #timers: readonly Timer[];
  #state: GuestState = { state: "idle" };
  #ended: AwsocksError | undefined;
  #watching = false;

  constructor(session: SmuxSession, stream: Conn, hello: GuestHello, options: HostTunnelOptions) {
    const { clock = systemClock, dialLimit = DIAL_LIMIT_MS, services } = options;
    this.hello = hello;
    this.#session = session;
    this.#clock = clock;
    this.#dialLimit = dialLimit;
    const control = new ControlChannel(stream, {
      clock,
      peer: "guest",
      onEnd: (reason) => this.#fail(reason),
    });
    this.#control = control;
    serveAll(control, HOST_CALLS, services);
    this.#listen(options);
    control.start();
    this.#timers = [
      keepTime(clock, (now) => control.notify(TIME, { now })),
      clock.every(WATCH_MS, () => void this.#watch()),
    ];
    void session.closed.then((reason) => this.#fail(reason));
  }

  get state(): GuestState {
    return this.#state;
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  configure(config: GuestConfig, options?: CallOptions): Promise<void> {
    return this.#control.call(GUEST_CALLS.configure, config, options);
  }

  updateCredentials(credentials: Credentials, options?: CallOptions): Promise<void> {
    return this.#control.call(GUEST_CALLS.credentials, credentials, options);
  }

  start(options?: CallOptions): Promise<void> {
    return this.#control.call(GUEST_CALLS.start, undefined, options);
  }

  async dial(
    header: StreamHeader,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Conn> {
    if (this.#ended) throw this.#ended;
    const { route } = header;
    if (!this.hello.capabilities.includes(route)) {
      throw new AwsocksError("backend-unavailable", `The guest has no way out by route ${route}`);
    }
    const seconds = this.#dialLimit / 1000;
    return await withDeadline(
      this.#clock,
      this.#dialLimit,
      () =>
        new AwsocksError(
          "destination-timeout",
          `${formatTarget(header)} did not answer within ${seconds} s`,
        ),
      (signal) => this.#dial(header, signal),
      options.signal,
    );
  }

  disrupted(cause: string): void {
    this.#control.notify(TIME, { now: this.#clock.now() });
    this.#control.notify(DISRUPTION, { cause });
    void this.#watch(CHECK_LIMIT_MS);
  }

  async ping(options?: CallOptions): Promise<number> {
    const since = this.#clock.monotonic();
    await this.#control.call(GUEST_CALLS.ping, undefined, options);
    return this.#clock.monotonic() - since;
  }

  async shutdown(options?: CallOptions): Promise<void> {
    if (this.#ended) return;
    try {
      await this.#control.call(GUEST_CALLS.shutdown, undefined, options);
    } catch (cause) {
      log.warn("The guest did not go down in order", { cause });
    }
    this.close();
  }

  close(): void {
    this.#end(new AwsocksError("tunnel-closed", "The tunnel to the guest was closed"), undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #listen({ onState, onLog, onProgress }: HostTunnelOptions): void {
    this.#control.on(STATE, (notice) => {
      this.#state = decodeState(notice);
      onState?.(this.#state);
    });
    this.#control.on(LOG, (line) => onLog?.(printableLine(line)));
    this.#control.on(PROGRESS, ({ text }) => onProgress?.(printable(text, 200)));
  }

  async #dial(header: StreamHeader, signal: AbortSignal): Promise<Conn> {
    const stream = await this.#open(signal);
    // The guest learns of it, and gives up as well.
    const onAbort = () => stream.close();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await writeAll(stream, encodeHeader(header));
      await readAnswer(stream);
      signal.throwIfAborted();
      return stream;
    } catch (error) {
      stream.close();
      throw signal.aborted ? signal.reason : this.#dialError(header, error);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #open(signal: AbortSignal): Promise<Conn> {
    try {
      return await this.#session.open({ signal });
    } catch (error) {
      throw signal.aborted ? signal.reason : endOfTunnel("guest", error);
    }
  }

  #dialError(header: StreamHeader, error: unknown): AwsocksError {
    if (isAwsocksError(error, "smux-closed", "smux-protocol-error")) {
      return endOfTunnel("guest", error);
    }
    if (error instanceof Deno.errors.ConnectionReset) {
      const text = `The guest broke off the connection to ${formatTarget(header)}`;
      return new AwsocksError("destination-failed", text, { cause: error });
    }
    return toAwsocksError(error);
  }

  /** A guest whose program hangs may still have a living connection. */
  async #watch(limit?: number): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    try {
      await this.ping({ limit });
    } catch (cause) {
      this.#fail(
        new AwsocksError("tunnel-closed", "The guest does not answer any more", { cause }),
      );
    }
    this.#watching = false;
  }

  #fail(cause: unknown): void {
    const reason = endOfTunnel("guest", cause);
    this.#end(reason, reason);
  }

  /** The first reason wins. */
  #end(error: AwsocksError, reason: AwsocksError | undefined): void {
    if (this.#ended) return;
    this.#ended = error;
    for (const timer of this.#timers) timer.cancel();
    this.#control.end(error);
    this.#session.close();
    this.#closed.resolve(reason);
  }
}
