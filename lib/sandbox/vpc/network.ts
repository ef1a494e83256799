/**
 * The sandbox's VPC: a private DNS zone and the hosts in it, reached by in-memory connections.
 *
 * Nothing here listens on a real port: the only way in is {@linkcode PrivateNetwork.dial}, which the
 * instance's SSH server and its agent call.
 *
 * @module
 */

import { isIP } from "node:net";
import { type Clock, type Conn, connPair } from "../../core/mod.ts";

/** Why a connection inside the VPC failed. */
export type DialFailureReason =
  | "name-unknown"
  | "refused"
  | "host-unreachable"
  | "network-unreachable"
  | "timed-out"
  | "prohibited";

/** A failed connection inside the VPC. */
export class DialFailure extends Error {
  override readonly name = "DialFailure";

  constructor(readonly reason: DialFailureReason, host: string, port: number) {
    super(`No connection to ${host}:${port}: ${reason}`);
  }
}

/** Serves one accepted connection; `host` is the name or address that was dialled. */
export type TcpService = (conn: Conn, host: string) => void;

/** Names that lead to a failure of their own, for tests and for the curious. */
export const FAILING_HOSTS: ReadonlyMap<string, DialFailureReason> = new Map([
  ["refused.sandbox.internal", "refused"],
  ["unreachable.sandbox.internal", "host-unreachable"],
  ["no-network.sandbox.internal", "network-unreachable"],
  ["blackhole.sandbox.internal", "timed-out"],
  ["prohibited.sandbox.internal", "prohibited"],
  ["nowhere.sandbox.internal", "name-unknown"],
]);

/** The zone. A leading `*.` stands for any name below. */
const ZONE: ReadonlyMap<string, readonly string[]> = new Map([
  ["hello.sandbox.internal", ["10.0.1.10", "fd00:5a:b0c5::10"]],
  ["*.sandbox.internal", ["10.0.1.20", "fd00:5a:b0c5::20"]],
  // A staging copy under its production name: what split-horizon DNS is for.
  ["www.example.com", ["10.0.1.30"]],
]);

const SELF: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "::1"]);

/** Options of {@linkcode PrivateNetwork}. */
export interface PrivateNetworkOptions {
  readonly clock: Clock;
  /** TCP services by port; every host of the zone has all of them. */
  readonly services: ReadonlyMap<number, TcpService>;
  /** Milliseconds until a connection to a silent host fails. */
  readonly connectTimeout: number;
}

/** The private network as the instance sees it. */
export class PrivateNetwork {
  readonly #options: PrivateNetworkOptions;

  constructor(options: PrivateNetworkOptions) {
    this.#options = options;
  }

  /** Addresses of a host: its own if it is one; empty for a name that nobody knows. */
  lookup(host: string): readonly string[] {
    const name = normalized(host);
    if (isIP(name) !== 0) return [name];
    if (name === "localhost") return ["127.0.0.1", "::1"];
    return FAILING_HOSTS.get(name) === "name-unknown" ? [] : resolvePrivate(name);
  }

  /**
   * Connects to a host of the zone.
   * @throws DialFailure
   */
  async dial(host: string, port: number, options: { signal?: AbortSignal } = {}): Promise<Conn> {
    const name = normalized(host);
    const failure = failureOf(name);
    if (failure === "timed-out") {
      const { clock, connectTimeout } = this.#options;
      await clock.sleep(connectTimeout, { signal: options.signal });
    }
    if (failure) throw new DialFailure(failure, host, port);
    const service = this.#options.services.get(port);
    if (!service) throw new DialFailure("refused", host, port);
    const [ours, theirs] = connPair();
    service(theirs, name);
    return ours;
  }
}

function normalized(host: string): string {
  return host.toLowerCase().replace(/\.$/, "");
}

/** True for the names and addresses of the machine itself. */
export function isSelf(host: string): boolean {
  return SELF.has(normalized(host));
}

/** Addresses of a name in the private zone; empty when it has none. */
export function resolvePrivate(name: string): readonly string[] {
  const exact = ZONE.get(name);
  if (exact) return exact;
  const parent = name.slice(name.indexOf(".") + 1);
  for (let at = parent; at.includes("."); at = at.slice(at.indexOf(".") + 1)) {
    const wild = ZONE.get(`*.${at}`);
    if (wild) return wild;
  }
  return [];
}

const ADDRESSES: ReadonlySet<string> = new Set([...ZONE.values()].flat());

function failureOf(name: string): DialFailureReason | undefined {
  const failure = FAILING_HOSTS.get(name);
  if (failure) return failure;
  if (SELF.has(name) || ADDRESSES.has(name)) return undefined;
  if (isIP(name) === 0) return resolvePrivate(name).length > 0 ? undefined : "name-unknown";
  // The VPC is 10.0.0.0/16 and fd00:5a:b0c5::/64; there is no way out of it.
  const inside = name.startsWith("10.0.") || name.startsWith("fd00:5a:b0c5:");
  return inside ? "host-unreachable" : "network-unreachable";
}
