/**
 * The SSH server of an instance: one user, public keys only, `direct-tcpip` only, names resolved in
 * the private zone. Refusals are worded as OpenSSH words them.
 *
 * @module
 */

import type { Duplex } from "node:stream";
// @ts-types="@types/ssh2"
import type { AuthContext, CipherAlgorithm, Connection, ParsedKey, TcpipRequestInfo } from "ssh2";
import { type Conn, getLog, relay } from "../../core/mod.ts";
import { duplexFromConn } from "../../core/node_stream.ts";
import { chooseAlgorithms } from "../../ssh/algorithms.ts";
import { loadSsh2, releaseCiphers } from "../../ssh/mod.ts";
import type { EventHub } from "../events.ts";
import { DialFailure, type DialFailureReason, type PrivateNetwork } from "../vpc/network.ts";
import { fingerprint } from "./keys.ts";
import { connFromChannel, createRejecter, transportOf } from "./ssh_channel.ts";

/** Reasons of SSH_MSG_CHANNEL_OPEN_FAILURE, RFC 4254 section 5.1. */
const OpenFailure = { AdministrativelyProhibited: 1, ConnectFailed: 2 } as const;

/** What OpenSSH's sshd says: strerror(3) or gai_strerror(3) of the failure. */
const REFUSALS: Readonly<Record<DialFailureReason, readonly [reason: number, text: string]>> = {
  "name-unknown": [OpenFailure.ConnectFailed, "Name or service not known"],
  refused: [OpenFailure.ConnectFailed, "Connection refused"],
  "host-unreachable": [OpenFailure.ConnectFailed, "No route to host"],
  "network-unreachable": [OpenFailure.ConnectFailed, "Network is unreachable"],
  "timed-out": [OpenFailure.ConnectFailed, "Connection timed out"],
  prohibited: [OpenFailure.AdministrativelyProhibited, "open failed"],
};

/**
 * Ciphers that work on this runtime, without ChaCha20: for each packet `ssh2` makes three cipher objects
 * that it never ends, and Deno keeps each of them for ever.
 */
function ciphers() {
  const { cipher } = chooseAlgorithms({ compression: false });
  return (cipher as CipherAlgorithm[]).filter((name) => !name.startsWith("chacha20"));
}

/** Options of {@linkcode SshServer}. */
export interface SshServerOptions {
  readonly instanceId: string;
  readonly user: string;
  /** Private key of the host, OpenSSH format. */
  readonly hostKey: string;
  /** Public keys that are let in, as lines of `authorized_keys`. */
  readonly authorizedKeys: readonly string[];
  /** More of them, asked for with each login: those that were pushed for a moment. */
  readonly pushedKeys?: (user: string) => readonly string[];
  readonly network: PrivateNetwork;
  readonly events: EventHub;
}

/** An SSH server that serves connections handed to it and listens nowhere. */
export class SshServer {
  readonly #options: SshServerOptions;
  readonly #transports = new Set<Duplex>();
  readonly #stopped = new AbortController();
  #accept: Promise<(transport: Duplex) => void> | undefined;

  constructor(options: SshServerOptions) {
    this.#options = options;
  }

  /** Serves one connection until it ends. */
  serve(conn: Conn): void {
    const transport = duplexFromConn(conn);
    this.#transports.add(transport);
    transport.once("close", () => this.#transports.delete(transport));
    this.#accept ??= this.#start();
    this.#accept.then((accept) => {
      if (!transport.destroyed) accept(transport);
    }, (error) => {
      getLog("sandbox").error("SSH server does not start", { error });
      transport.destroy();
    });
  }

  /** Ends every connection. Idempotent. */
  close(): void {
    this.#stopped.abort();
    for (const transport of this.#transports) transport.destroy();
  }

  async #start(): Promise<(transport: Duplex) => void> {
    const { ssh2, compression } = await loadSsh2();
    const { hostKey, authorizedKeys } = this.#options;
    const parse = (line: string) => {
      const key = ssh2.utils.parseKey(line);
      if (key instanceof Error) throw key;
      return key;
    };
    const keys = authorizedKeys.map(parse);
    const keysOf = (user: string) => [...keys, ...this.#pushed(user).map(parse)];
    const server = new ssh2.Server({
      hostKeys: [hostKey],
      ident: "OpenSSH_9.2p1",
      algorithms: {
        cipher: ciphers(),
        compress: compression ? ["none", "zlib@openssh.com"] : ["none"],
      },
    }, (connection) => this.#connected(connection, keysOf));
    return (transport) => {
      // Cast: the library takes any duplex stream; its types want a socket.
      server.injectSocket(transport as unknown as Parameters<typeof server.injectSocket>[0]);
    };
  }

  #pushed(user: string): readonly string[] {
    return this.#options.pushedKeys?.(user) ?? [];
  }

  #connected(connection: Connection, keysOf: (user: string) => readonly ParsedKey[]): void {
    const rejectAs = createRejecter(connection);
    const transport = transportOf(connection);
    transport.once("close", () => releaseCiphers(connection));
    connection.on("error", (error) => {
      getLog("sandbox").debug("SSH connection failed", { error });
    });
    connection.on("authentication", (context) => this.#authenticate(context, keysOf));
    connection.on("tcpip", (accept, reject, info) => {
      this.#forward(info, {
        accept: () => connFromChannel(accept(), transport),
        reject: (refusal) => rejectAs(reject, ...refusal),
      });
    });
  }

  #authenticate(context: AuthContext, keysOf: (user: string) => readonly ParsedKey[]): void {
    const { events, instanceId, user } = this.#options;
    const { username } = context;
    if (context.method !== "publickey") return context.reject(["publickey"]);
    const { blob, hashAlgo, key, signature } = context;
    const known = keysOf(username).find((each) => key.data.equals(each.getPublicSSH()));
    if (!known || username !== user) {
      events.emit({ type: "ssh-refused", instanceId, user: username });
      return context.reject(["publickey"]);
    }
    // Without a signature the client only asks whether the key would do, RFC 4252 section 7.
    if (!signature || !blob) return context.accept();
    if (known.verify(blob, signature, hashAlgo) !== true) return context.reject(["publickey"]);
    events.emit({
      type: "ssh-authenticated",
      instanceId,
      user: username,
      fingerprint: fingerprint(key.data),
    });
    context.accept();
  }

  async #forward(
    { destIP: host, destPort: port }: TcpipRequestInfo,
    channel: { accept(): Conn; reject(refusal: readonly [number, string]): void },
  ): Promise<void> {
    const { events, instanceId, network } = this.#options;
    const tell = (result: string) =>
      events.emit({ type: "direct-tcpip", instanceId, host, port, result });
    let conn: Conn;
    try {
      conn = await network.dial(host, port, { signal: this.#stopped.signal });
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      const refusal = REFUSALS[error instanceof DialFailure ? error.reason : "network-unreachable"];
      tell(refusal[1]);
      return channel.reject(refusal);
    }
    tell("open");
    await relay(channel.accept(), conn);
    events.emit({ type: "channel-closed", instanceId, host, port });
  }
}
