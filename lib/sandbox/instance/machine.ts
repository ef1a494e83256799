/**
 * An instance from the inside: what stands behind the ports of its localhost, where the agent
 * connects to.
 *
 * @module
 */

import { type Conn, connPair, fromDenoConn } from "../../core/mod.ts";
import type { EventHub } from "../events.ts";
import { DialFailure, type PrivateNetwork } from "../vpc/network.ts";
import { fingerprintOfLine, generateKeyPair, type KeyPair } from "./keys.ts";
import { SshServer } from "./sshd.ts";

const SSH_PORT = 22;

/** Options of {@linkcode Machine}. */
export interface MachineOptions {
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
  #hostKey: Promise<KeyPair> | undefined;

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  /** Fingerprint of the SSH server's host key. */
  async fingerprint(): Promise<string> {
    return fingerprintOfLine((await this.#keys()).publicKey);
  }

  /** Gives the SSH server a new host key, as a rebuilt instance has; its connections end. */
  rebuild(): void {
    this.#server?.close();
    this.#server = undefined;
    this.#hostKey = undefined;
  }

  /**
   * Connects to a port of localhost, as the agent does.
   * @throws Error in the words of Go's net package
   */
  async connect(port: number, signal: AbortSignal): Promise<Conn> {
    const { network, sshd } = this.#options;
    if (port === SSH_PORT && sshd) {
      try {
        return fromDenoConn(await Deno.connect(sshd));
      } catch {
        throw new Error(refusedText(port));
      }
    }
    if (port === SSH_PORT) return await this.#connectSsh();
    try {
      return await network.dial("localhost", port, { signal });
    } catch (error) {
      throw error instanceof DialFailure ? new Error(refusedText(port)) : error;
    }
  }

  /** Ends every connection. Idempotent. */
  close(): void {
    this.#server?.close();
  }

  async #connectSsh(): Promise<Conn> {
    const { privateKey } = await this.#keys();
    const [ours, theirs] = connPair();
    this.#server ??= new SshServer({ ...this.#options, hostKey: privateKey });
    this.#server.serve(theirs);
    return ours;
  }

  #keys(): Promise<KeyPair> {
    return this.#hostKey ??= generateKeyPair(this.#options.instanceId);
  }
}

function refusedText(port: number): string {
  return `dial tcp 127.0.0.1:${port}: connect: connection refused`;
}
