/**
 * The backend that is none: connections straight from this machine, names resolved by its resolver.
 *
 * @module
 */

import type { Backend, BackendState, DialOptions } from "./backend.ts";
import {
  AwsocksError,
  type Clock,
  type Conn,
  DenoConn,
  isAwsocksError,
  systemClock,
  type Target,
  withDeadline,
} from "../core/mod.ts";
import { connectError, lookupError, timeoutError } from "./direct_errors.ts";
import { connectFirst, interleave } from "./happy_eyeballs.ts";

/** A connection that knows its local end, for the reply to the client. */
export interface BoundConn extends Conn {
  /** Address and port of this end. */
  readonly bound: Target;
}

/** A TCP connection of this machine. */
class DirectConn extends DenoConn implements BoundConn {
  readonly bound: Target;

  constructor(tcp: Deno.TcpConn) {
    super(tcp);
    const { hostname: host, port } = tcp.localAddr;
    this.bound = { host, port };
  }
}

/** Options of {@linkcode DirectBackend}. */
export interface DirectBackendOptions {
  readonly clock?: Clock;
  /** Milliseconds a dial may take, name lookup included; default {@linkcode DIAL_TIMEOUT_MS}. */
  readonly timeout?: number | undefined;
  /** Resolves a name to addresses, the preferred one first; default the system's resolver. */
  readonly lookup?: (name: string) => Promise<readonly string[]>;
}

/** How long a dial may take by default, in milliseconds. */
export const DIAL_TIMEOUT_MS = 30_000;

/** Dials from this machine. Active until it is closed. */
export class DirectBackend implements Backend {
  readonly name = "direct";
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #lookup: (name: string) => Promise<readonly string[]>;
  #state: BackendState = "active";

  constructor(options: DirectBackendOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#timeout = options.timeout ?? DIAL_TIMEOUT_MS;
    this.#lookup = options.lookup ?? systemLookup;
  }

  get state(): BackendState {
    return this.#state;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  /**
   * Connects.
   * @throws AwsocksError `destination-…`, `backend-closed`; the reason of the signal
   */
  dial(target: Target, options: DialOptions = {}): Promise<BoundConn> {
    if (this.#state === "closed") {
      return Promise.reject(new AwsocksError("backend-closed", "The proxy is shutting down"));
    }
    return withDeadline(
      this.#clock,
      this.#timeout,
      () => timeoutError(target, this.#timeout),
      (signal) => this.#connect(target, signal),
      options.signal,
    );
  }

  async #connect(target: Target, signal: AbortSignal): Promise<BoundConn> {
    if (isAddress(target.host)) return await connectTcp(target.host, target, signal);
    const addresses = await this.#addresses(target);
    const connect = (address: string, signal: AbortSignal) => connectTcp(address, target, signal);
    if (addresses.length === 1) return await connect(addresses[0]!, signal);
    const discard = (conn: Conn) => conn.close();
    try {
      return await connectFirst(addresses, { clock: this.#clock, signal, connect, discard });
    } catch (error) {
      throw error instanceof AggregateError ? mostTelling(error.errors) : error;
    }
  }

  async #addresses(target: Target): Promise<readonly string[]> {
    let found: readonly string[];
    try {
      found = await this.#lookup(target.host);
    } catch (cause) {
      throw lookupError(cause, target);
    }
    if (found.length === 0) throw lookupError(undefined, target);
    return interleave(found);
  }

  /** It signs nothing. */
  onCredentialUpdate(): void {}

  /** Refuses further dials; those under way belong to their connections. */
  close(): Promise<void> {
    this.#state = "closed";
    return Promise.resolve();
  }
}

/** True for an address in canonical spelling, the only one that the router lets pass. */
function isAddress(host: string): boolean {
  return host.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(host);
}

/** A machine without IPv6 fails there at once, which says nothing about the destination. */
function mostTelling(errors: readonly unknown[]): unknown {
  return errors.find((error) => !isAwsocksError(error, "destination-network-unreachable")) ??
    errors[0];
}

async function systemLookup(name: string): Promise<readonly string[]> {
  // getaddrinfo(3) through Node's API, because Deno.connect tells an unknown name only in prose.
  const { lookup } = await import("node:dns/promises");
  const found = await lookup(name, { all: true });
  return found.map(({ address }) => address);
}

async function connectTcp(
  address: string,
  target: Target,
  signal: AbortSignal,
): Promise<BoundConn> {
  let tcp: Deno.TcpConn;
  try {
    tcp = await Deno.connect({
      hostname: address,
      port: target.port,
      signal,
      autoSelectFamily: false,
    });
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw connectError(cause, target);
  }
  if (signal.aborted) {
    tcp.close();
    throw signal.reason;
  }
  return new DirectConn(tcp);
}

/** The local end of a connection, if it knows it. */
export function boundOf(conn: Conn): Target | undefined {
  return (conn as Partial<BoundConn>).bound;
}
