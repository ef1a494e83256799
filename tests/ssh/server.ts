/**
 * An SSH server in this process, made of ssh2's server half, for what a real sshd cannot be made to do
 * on demand.
 *
 * @module
 */

import type {
  AuthContext,
  Connection as ServerConnection,
  ServerChannel,
  TcpipRequestInfo,
} from "ssh2";
import { type Conn, connPair } from "../../lib/core/mod.ts";
import { duplexFromConn } from "../../lib/core/node_stream.ts";
import {
  type HostKeyVerifier,
  type Identity,
  identityFromText,
  loadSsh2,
} from "../../lib/ssh/mod.ts";
import { newEd25519 } from "./new_key.ts";

/** What the server does with a channel that the client wants. */
export type OnDial = (
  request: TcpipRequestInfo,
  accept: () => ServerChannel,
  reject: () => void,
) => void;

/** Options of {@linkcode serveSsh}. */
export interface ServeOptions {
  readonly onDial?: OnDial;
  /** Default: every signature is accepted. */
  readonly onAuth?: (context: AuthContext) => void;
  readonly compress?: ("none" | "zlib@openssh.com")[];
  /** Key types of the host keys; default `ed25519`. */
  readonly hostKeys?: readonly string[];
  readonly highWater?: number;
}

/** A server at the other end of a Conn. */
export interface SshServer {
  /** The client's end. */
  readonly conn: Conn;
  /** Bytes that went over the wire, both ways. */
  readonly wire: { toServer: number; toClient: number };
  /** Resolves with the server's side of the connection, once it is authenticated. */
  readonly ready: Promise<ServerConnection>;
  close(): void;
}

/** One key pair for all tests: making them is slow. */
const keys = new Map<string, string>();

export async function privateKeyText(type: string): Promise<string> {
  const { ssh2 } = await loadSsh2();
  let text = keys.get(type);
  if (!text) {
    const options: Record<string, unknown> = type === "rsa"
      ? { bits: 2048 }
      : type === "ecdsa"
      ? { bits: 256 }
      : {};
    text = type === "ed25519"
      ? newEd25519(ssh2).private
      : ssh2.utils.generateKeyPairSync(type as "ecdsa", options as never).private;
    keys.set(type, text);
  }
  return text;
}

/** An identity that the server takes. */
export async function anyIdentity(label = "test-key"): Promise<Identity> {
  return await identityFromText(await privateKeyText("ed25519"), label);
}

/** Takes every host key. */
export const trustAll: HostKeyVerifier = {
  knownTypes: () => Promise.resolve([]),
  verify: () => Promise.resolve(),
  remember: () => Promise.resolve(),
};

/** Starts a server; the handshake begins when the client speaks. */
export async function serveSsh(options: ServeOptions = {}): Promise<SshServer> {
  const { ssh2 } = await loadSsh2();
  const hostKeys = await Promise.all((options.hostKeys ?? ["ed25519"]).map(privateKeyText));
  const [conn, far] = connPair(options.highWater);
  const wire = { toServer: 0, toClient: 0 };
  const counted: Conn = {
    async read(into) {
      const n = await far.read(into);
      wire.toServer += n ?? 0;
      return n;
    },
    async write(data) {
      const n = await far.write(data);
      wire.toClient += n;
      return n;
    },
    closeWrite: () => far.closeWrite(),
    close: () => far.close(),
  };
  const stream = duplexFromConn(counted);
  const { promise: ready, resolve, reject } = Promise.withResolvers<ServerConnection>();
  ready.catch(() => {});
  const server = new ssh2.Server({
    hostKeys,
    ...(options.compress ? { algorithms: { compress: options.compress } } : {}),
  }, (client) => {
    client.on("authentication", options.onAuth ?? ((context) => context.accept()));
    client.on("ready", () => resolve(client));
    client.on("error", reject);
    client.on("tcpip", (accept, refuse, info) => {
      if (options.onDial) options.onDial(info, accept, refuse);
      else refuse();
    });
  });
  stream.on("end", () => stream.destroy());
  stream.on("error", () => {});
  // Undocumented in the types, but public: it takes a stream instead of listening.
  (server as unknown as { injectSocket(stream: unknown): void }).injectSocket(stream);
  return {
    conn,
    wire,
    ready,
    close() {
      far.close();
      stream.destroy();
    },
  };
}
