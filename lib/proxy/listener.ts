/**
 * Accepts clients, as many as allowed, through every failure of `accept`.
 *
 * @module
 */

import {
  AwsocksError,
  Backoff,
  Bag,
  type Clock,
  type Conn,
  DenoConn,
  formatTarget,
  getLog,
  type Place,
  type Target,
} from "../core/mod.ts";
import { isLoopback } from "./listen_address.ts";

const log = getLog("proxy");

/** A client that has connected. */
export interface Client {
  /** Number of the connection, for the log. */
  readonly id: number;
  readonly conn: Conn;
  /** Address and port of the client. */
  readonly address: string;
  /** Why its request will be refused, whatever it is; it still gets its answer. */
  readonly refusal?: AwsocksError | undefined;
}

/** A client connection that is being served. */
export interface LiveConnection {
  /** True once it is connected to its destination. */
  readonly relaying: boolean;
  /** Serves it to the end. Never rejects. */
  run(): Promise<void>;
  /** Ends it, wherever it is; {@linkcode run} resolves soon after. */
  end(reason: AwsocksError): void;
}

/** Options of {@linkcode Listener}. */
export interface ListenerOptions {
  readonly address: Target;
  /** Clients at a time; those beyond are refused in their protocol. */
  readonly maxConnections: number;
  readonly clock: Clock;
  /** Makes what serves a client. */
  readonly serve: (client: Client) => LiveConnection;
  /** Opens the socket; default `Deno.listen`. */
  readonly listen?: (options: Deno.TcpListenOptions) => Deno.TcpListener;
}

/** Clients beyond the limit that are told so at a time; what is beyond these is closed without a word. */
const MAX_REFUSALS = 64;

/** Delays after failures of `accept`, in milliseconds. */
const ACCEPT_BACKOFF = { initial: 20, max: 1000 };

/** A listening socket and the clients that came through it. */
export class Listener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #socket: Deno.TcpListener;
  /** Whether clients come from other machines; those of this one cannot vanish unnoticed. */
  readonly #remote: boolean;
  readonly #live = new Bag<LiveConnection>();
  readonly #accepting: Promise<void>;
  readonly #closing = new AbortController();
  #accepted = 0;
  /** Resolved when the last client has gone, once somebody waits for that. */
  #empty: PromiseWithResolvers<void> | undefined;

  /** @throws AwsocksError `listen-failed` */
  constructor(options: ListenerOptions) {
    this.#options = options;
    const { address: { host: hostname, port }, listen = Deno.listen } = options;
    try {
      this.#socket = listen({ hostname, port });
    } catch (cause) {
      throw listenError(options.address, cause);
    }
    this.#remote = !isLoopback(hostname);
    this.#accepting = this.#accept();
  }

  /** Where it listens, with the real port. */
  get address(): Target {
    const { hostname, port } = this.#socket.addr;
    return { host: hostname, port };
  }

  /** Clients connected now. */
  get active(): number {
    return this.#live.size;
  }

  /** Clients accepted since the start. */
  get accepted(): number {
    return this.#accepted;
  }

  async #accept(): Promise<void> {
    const backoff = new Backoff(ACCEPT_BACKOFF);
    const { clock } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        this.#take(await this.#socket.accept());
        if (backoff.attempt > 0) log.info("Accepting clients again");
        backoff.reset();
      } catch (cause) {
        if (signal.aborted) return;
        // Out of descriptors, or a client that left in the queue: nothing that ends the service.
        if (backoff.attempt === 0) log.warn("Could not accept a client, trying again", { cause });
        await clock.sleep(backoff.next(), { signal }).catch(() => {});
      }
    }
  }

  #take(tcp: Deno.TcpConn): void {
    const id = ++this.#accepted;
    const { maxConnections, serve } = this.#options;
    const beyond = this.#live.size - maxConnections;
    if (beyond >= MAX_REFUSALS) return tcp.close();
    if (this.#remote) keepAlive(tcp);
    const refusal = beyond >= 0 ? tooMany(maxConnections) : undefined;
    const connection = serve(new TcpClient(id, tcp, refusal));
    void this.#serve(this.#live.add(connection));
  }

  async #serve(place: Place<LiveConnection>): Promise<void> {
    await place.item.run();
    this.#live.remove(place);
    if (this.#live.size === 0) this.#empty?.resolve();
  }

  /**
   * Stops accepting, ends the clients that have no destination yet, gives the others `drain`
   * milliseconds to finish and ends them. Idempotent.
   */
  async close(options: { readonly drain?: number } = {}): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      this.#socket.close();
    }
    const reason = new AwsocksError("aborted", "The proxy is shutting down");
    const endAll = (which: (connection: LiveConnection) => boolean) => {
      for (const connection of this.#live.items()) if (which(connection)) connection.end(reason);
    };
    endAll((connection) => !connection.relaying);
    if (this.#live.size > 0) {
      this.#empty ??= Promise.withResolvers<void>();
      using _timer = this.#options.clock.after(options.drain ?? 0, () => endAll(() => true));
      await this.#empty.promise;
    }
    await this.#accepting;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A client as it comes from the socket. */
class TcpClient implements Client {
  readonly #tcp: Deno.TcpConn;
  readonly conn: Conn;

  constructor(readonly id: number, tcp: Deno.TcpConn, readonly refusal: AwsocksError | undefined) {
    this.#tcp = tcp;
    this.conn = new DenoConn(tcp);
  }

  /** Put together when a log asks for it, which is seldom. */
  get address(): string {
    const { hostname: host, port } = this.#tcp.remoteAddr;
    return formatTarget({ host, port });
  }
}

/** Has the system notice a client that vanishes. */
function keepAlive(tcp: Deno.TcpConn): void {
  try {
    tcp.setKeepAlive();
  } catch {
    // The client has left already (some systems refuse options then); reading will tell.
  }
}

function tooMany(limit: number): AwsocksError {
  return new AwsocksError(
    "proxy-too-many-connections",
    `Client refused: ${limit} connections are open, which is the limit`,
    { hint: "raise `max-connections`" },
  );
}

/** By errno name; see bind(2). */
const LISTEN_REASONS: Readonly<Record<string, readonly [why: string, hint: string]>> = {
  EADDRINUSE: [
    "the address is in use",
    "another program listens there; stop it or choose another port with --listen",
  ],
  EADDRNOTAVAIL: ["this machine has no such address", ""],
  EACCES: ["not allowed", "ports below 1024 need privileges; choose a higher one"],
};

function listenError(address: Target, cause: unknown): AwsocksError {
  const errno = (cause as { code?: unknown }).code;
  const message = cause instanceof Error ? cause.message : String(cause);
  const known = typeof errno === "string" ? LISTEN_REASONS[errno] : undefined;
  const [why, hint] = known ?? [message, ""];
  return new AwsocksError(
    "listen-failed",
    `Could not listen on ${formatTarget(address)}: ${why}`,
    { cause, hint, facts: { address: formatTarget(address) } },
  );
}
