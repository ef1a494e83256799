/**
 * The guest's end of a tunnel.
 *
 * @module
 */

import { VERSION } from "../core/build_info.ts";
import {
  AwsocksError,
  type Clock,
  type Conn,
  type Credentials,
  describeError,
  formatTarget,
  getLog,
  relay,
  systemClock,
  withDeadline,
  writeAll,
} from "../core/mod.ts";
import { createSmuxSession, type SmuxSession } from "../smux/mod.ts";
import {
  DISRUPTION,
  GUEST_CALLS,
  type GuestLogRecord,
  HOST_CALLS,
  type HostServices,
  LOG,
  PROGRESS,
  STATE,
  TIME,
} from "./calls.ts";
import type { GuestConfig } from "./config.ts";
import { ControlChannel } from "./control.ts";
import { endOfTunnel } from "./ending.ts";
import { greet } from "./greeting.ts";
import { encodeState, type GuestState } from "./guest_state.ts";
import { encodeAnswer, readHeader, type StreamHeader, TUNNEL_ROUTES } from "./header.ts";
import type { HostHello } from "./hello.ts";
import { LogBuffer } from "./log_buffer.ts";
import { ReadAhead } from "./read_ahead.ts";
import { callAll, serveAll } from "./serve.ts";

const log = getLog("protocol");

/** Milliseconds for a stream to say where to. */
const HEADER_LIMIT_MS = 10_000;

/** Options of {@linkcode createGuestTunnel}: what the host can have the guest do. */
export interface GuestTunnelOptions {
  readonly onConfigure: (config: GuestConfig, options: { signal: AbortSignal }) => Promise<void>;
  readonly onCredentials: (credentials: Credentials) => Promise<void>;
  /** Brings the backend up. */
  readonly onStart: (options: { signal: AbortSignal }) => Promise<void>;
  /** Ends the backend; the host knows that it is done when this resolves. */
  readonly onShutdown: () => Promise<void>;
  /** The host's time in milliseconds since the Unix epoch. Must not throw. */
  readonly onTime?: (now: number) => void;
  /** The host has slept or its network has changed. Must not throw. */
  readonly onDisruption?: (cause: string) => void;
  /** Opens a connection; the signal aborts when the host has given up. */
  readonly dial: (header: StreamHeader, options: { signal: AbortSignal }) => Promise<Conn>;
  /** Name and version for the greeting; default those of `awsocks-agent`. */
  readonly program?: string;
  readonly clock?: Clock;
  /** Gives up the greeting. */
  readonly signal?: AbortSignal | undefined;
}

/** The guest's end. */
export interface GuestTunnel extends Disposable {
  /** Who the host is. */
  readonly hello: HostHello;
  /** What the host does when asked. */
  readonly host: HostServices;
  /** Connections that are carried now. */
  readonly connections: number;
  /** Resolves when the tunnel has ended: with the reason, or undefined if it was closed from here. */
  readonly closed: Promise<Error | undefined>;
  /** Sends a line of the log; never waits, drops the oldest lines where the host does not take them. */
  log(record: GuestLogRecord): void;
  /** Tells how the backend is. */
  report(state: GuestState): void;
  /** Tells what takes long. */
  progress(text: string): void;
  /** Ends the tunnel and its connections at once. Idempotent. */
  close(): void;
}

/**
 * Opens the guest's end over a connection to the host, which belongs to the tunnel from now on.
 * @throws AwsocksError `tunnel-incompatible`, `tunnel-protocol-error`, `tunnel-closed`; the reason of
 * the signal. The connection is closed then
 */
export async function createGuestTunnel(
  conn: Conn,
  options: GuestTunnelOptions,
): Promise<GuestTunnel> {
  const { clock = systemClock, program = `awsocks-agent ${VERSION}`, signal } = options;
  const session = createSmuxSession(conn, { role: "server", version: 2, clock });
  const streams = session.accept()[Symbol.asyncIterator]();
  const { stream, hello } = await greet(session, {
    peer: "host",
    own: { program, capabilities: TUNNEL_ROUTES },
    control: async () => {
      const { value } = await streams.next();
      if (value) return value;
      throw await session.closed ?? endOfTunnel("host", undefined);
    },
    clock,
    signal,
  });
  log.debug("Tunnel to {host}", { host: hello.program, ...hello.protocol });
  return new GuestEnd(session, streams, stream, hello, options);
}

class GuestEnd implements GuestTunnel {
  readonly hello: HostHello;
  readonly host: HostServices;
  readonly #session: SmuxSession;
  readonly #control: ControlChannel;
  readonly #options: GuestTunnelOptions;
  readonly #clock: Clock;
  readonly #lines = new LogBuffer();
  readonly #closed = Promise.withResolvers<Error | undefined>();
  readonly #abort = new AbortController();
  #connections = 0;

  constructor(
    session: SmuxSession,
    streams: AsyncIterator<Conn, undefined>,
    stream: Conn,
    hello: HostHello,
    options: GuestTunnelOptions,
  ) {
    const { clock = systemClock } = options;
    this.hello = hello;
    this.#session = session;
    this.#options = options;
    this.#clock = clock;
    const control = new ControlChannel(stream, {
      clock,
      peer: "host",
      spare: () => {
        const params = this.#lines.take();
        return params && { notice: LOG, params };
      },
      onEnd: (reason) => this.#fail(reason),
    });
    this.#control = control;
    this.host = callAll(control, HOST_CALLS);
    serveAll(control, GUEST_CALLS, {
      configure: (config, { signal = this.#abort.signal }) =>
        options.onConfigure(config, { signal }),
      credentials: (credentials) => options.onCredentials(credentials),
      start: (_, { signal = this.#abort.signal }) => options.onStart({ signal }),
      ping: () => Promise.resolve(),
      shutdown: () => options.onShutdown(),
    });
    control.on(TIME, ({ now }) => options.onTime?.(now));
    control.on(DISRUPTION, ({ cause }) => options.onDisruption?.(cause));
    control.start();
    void session.closed.then((reason) => this.#fail(reason));
    void this.#accept(streams);
  }

  get connections(): number {
    return this.#connections;
  }

  get closed(): Promise<Error | undefined> {
    return this.#closed.promise;
  }

  log(record: GuestLogRecord): void {
    this.#lines.push(record);
    this.#control.spareReady();
  }

  report(state: GuestState): void {
    this.#control.notify(STATE, encodeState(state));
  }

  progress(text: string): void {
    this.#control.notify(PROGRESS, { text });
  }

  close(): void {
    this.#end(new AwsocksError("tunnel-closed", "The tunnel to the host was closed"), undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #accept(streams: AsyncIterator<Conn, undefined>): Promise<void> {
    for (;;) {
      const { value } = await streams.next();
      if (!value) return;
      void this.#serve(value);
    }
  }

  /** Carries one connection to its end. Never rejects. */
  async #serve(stream: Conn): Promise<void> {
    this.#connections++;
    try {
      const header = await this.#header(stream);
      await this.#carry(header, new ReadAhead(stream));
    } catch (error) {
      log.debug("A stream came to nothing: {reason}", { reason: describeError(error) });
    } finally {
      stream.close();
      this.#connections--;
    }
  }

  async #header(stream: Conn): Promise<StreamHeader> {
    const late = new AwsocksError("tunnel-protocol-error", "The host opened a stream to nowhere");
    try {
      const read = () => readHeader(stream);
      return await withDeadline(this.#clock, HEADER_LIMIT_MS, () => late, read);
    } catch (error) {
      await answer(stream, error);
      throw error;
    }
  }

  async #carry(header: StreamHeader, stream: ReadAhead): Promise<void> {
    const signal = AbortSignal.any([this.#abort.signal, stream.broken]);
    let conn: Conn;
    try {
      conn = await this.#options.dial(header, { signal });
    } catch (error) {
      if (!signal.aborted) await answer(stream, error);
      throw error;
    }
    try {
      signal.throwIfAborted();
      await writeAll(stream, encodeAnswer());
    } catch (error) {
      conn.close();
      throw error;
    }
    const { error, ...bytes } = await relay(stream, conn);
    if (error !== undefined) {
      const facts = { target: formatTarget(header), reason: describeError(error), ...bytes };
      log.debug("Connection to {target} broke off: {reason}", facts);
    }
  }

  #fail(cause: unknown): void {
    const reason = endOfTunnel("host", cause);
    this.#end(reason, reason);
  }

  /** The first reason wins. */
  #end(error: AwsocksError, reason: AwsocksError | undefined): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(error);
    this.#control.end(error);
    this.#session.close();
    this.#closed.resolve(reason);
  }
}

/** Tells the host why there is no connection; a host that has gone does not need to know. */
async function answer(stream: Conn, failure: unknown): Promise<void> {
  try {
    await writeAll(stream, encodeAnswer(failure));
    await stream.closeWrite();
  } catch {
    // It has given up, or the tunnel has ended, which is told elsewhere.
  }
}
