/**
 * An instance from the inside: what stands behind the ports of its localhost, where the agent
 * connects to.
 *
 * @module
 */

import { type Clock, type Conn, connPair, DenoConn } from "../../core/mod.ts";
import type { EventHub } from "../events.ts";
import {
  DialFailure,
  type DialFailureReason,
  isSelf,
  type PrivateNetwork,
} from "../vpc/network.ts";
import { fingerprintOfLine, generateKeyPair, type KeyPair } from "./keys.ts";
import { SshServer } from "./sshd.ts";

const SSH_PORT = 22;
/** Milliseconds for which a pushed key is taken, as EC2 Instance Connect documents it. */
const PUSHED_KEY_LIFETIME = 60_000;

interface PushedKey {
  readonly user: string;
  readonly publicKey: string;
  readonly until: number;
}

/** Options of {@linkcode Machine}. */
export interface MachineOptions {
  readonly clock: Clock;
  readonly instanceId: string;
  readonly user: string;
  readonly authorizedKeys: readonly string[];
  readonly network: PrivateNetwork;
  readonly events: EventHub;
  /** A real sshd that stands behind port 22. */
  readonly sshd?: { readonly hostname: string; readonly port: number } | undefined;
}

/** An instance. */
export class Machine {
  readonly #options: MachineOptions;
  #server: SshServer | undefined;
  #hostKey: KeyPair;
  #pushed: readonly PushedKey[] = [];

  constructor(options: MachineOptions) {
    this.#options = options;
    this.#hostKey = generateKeyPair(options.instanceId);
  }

  /** Fingerprint of the SSH server's host key. */
  get fingerprint(): string {
    return fingerprintOfLine(this.#hostKey.publicKey);
  }

  /** Gives the SSH server a new host key, as a rebuilt instance has; its connections end. */
  rebuild(): void {
    this.#server?.close();
    this.#server = undefined;
    this.#hostKey = generateKeyPair(this.#options.instanceId);
  }

  /**
   * Connects to a port of localhost, as the agent does.
   * @throws Error in the words of Go's net package
   */
  async connect(port: number, signal: AbortSignal): Promise<Conn> {
    const { network, sshd } = this.#options;
    if (port === SSH_PORT && sshd) {
      try {
        return new DenoConn(await Deno.connect(sshd));
      } catch {
        throw new Error(refusedText(port));
      }
    }
    if (port === SSH_PORT) return this.#connectSsh();
    try {
      return await network.dial("localhost", port, { signal });
    } catch (error) {
      throw error instanceof DialFailure ? new Error(refusedText(port)) : error;
    }
  }

  /** Lets a key log in as a user for a minute, as EC2 Instance Connect does. */
  pushKey(user: string, publicKey: string): void {
    const until = this.#options.clock.monotonic() + PUSHED_KEY_LIFETIME;
    this.#pushed = [...this.#alive(), { user, publicKey, until }];
  }

  #alive(): readonly PushedKey[] {
    const now = this.#options.clock.monotonic();
    return this.#pushed.filter(({ until }) => now < until);
  }

  /** Addresses of a name as the instance's resolver knows them; empty when it has none. */
  lookup(host: string): readonly string[] {
    return this.#options.network.lookup(host);
  }

  /**
   * Connects to another host.
   * @throws Error in the words of Go's net package
   */
  async connectTo(host: string, port: number, signal: AbortSignal): Promise<Conn> {
    if (isSelf(host)) return await this.connect(port, signal);
    try {
      return await this.#options.network.dial(host, port, { signal });
    } catch (error) {
      throw error instanceof DialFailure
        ? new Error(`dial tcp ${host}:${port}: ${FAILURE_TEXTS[error.reason]}`)
        : error;
    }
  }

  /** Ends every connection. Idempotent. */
  close(): void {
    this.#server?.close();
  }

  #connectSsh(): Conn {
    const [ours, theirs] = connPair();
    this.#server ??= new SshServer({
      ...this.#options,
      hostKey: this.#hostKey.privateKey,
      pushedKeys: (user) =>
        this.#alive().filter((key) => key.user === user).map(({ publicKey }) => publicKey),
    });
    this.#server.serve(theirs);
    return ours;
  }
}

const FAILURE_TEXTS: Readonly<Record<DialFailureReason, string>> = {
  "name-unknown": "lookup: no such host",
  "refused": "connect: connection refused",
  "host-unreachable": "connect: no route to host",
  "network-unreachable": "connect: network is unreachable",
  "timed-out": "connect: connection timed out",
  "prohibited": "connect: permission denied",
};

function refusedText(port: number): string {
  return `dial tcp 127.0.0.1:${port}: connect: connection refused`;
}
