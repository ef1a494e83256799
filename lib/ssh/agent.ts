/**
 * A client of ssh-agent (draft-ietf-sshm-ssh-agent): lists the keys and has it sign.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  type Conn,
  readFull,
  systemClock,
  withDeadline,
  writeAll,
} from "../core/mod.ts";
import { connFromDuplex } from "../core/node_stream.ts";
import type { Identity } from "./identity.ts";
import { concat, fingerprint, keyTypeOf, string, uint32, WireReader } from "./wire.ts";

/** Message numbers, section 6.1 of the draft. */
export const AgentMessage = {
  Failure: 5,
  RequestIdentities: 11,
  IdentitiesAnswer: 12,
  SignRequest: 13,
  SignResponse: 14,
} as const;

/** Flags of a sign request, section 6.3 of the draft: the hash of an RSA signature. */
const RSA_FLAGS: Readonly<Record<string, number>> = { sha256: 2, sha512: 4 };

/** Larger than any answer: OpenSSH's own limit for agent messages. */
const MAX_MESSAGE_BYTES = 256 * 1024;

/** Milliseconds for an agent to list its keys: it asks nobody for that. */
const LIST_TIMEOUT_MS = 5_000;

/** Key types that can be used; agents also hold certificates and security keys. */
const KEY_TYPES = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521))$/;

/** A key that an agent holds. */
export interface AgentKey {
  readonly publicKey: Uint8Array;
  readonly comment: string;
}

/** Options of {@linkcode agentIdentities}. */
export interface AgentOptions {
  readonly clock?: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** @throws RangeError or TypeError for a malformed answer */
export function parseIdentities(body: Uint8Array): AgentKey[] {
  const reader = new WireReader(body);
  const count = reader.uint32();
  const keys: AgentKey[] = [];
  for (let i = 0; i < count; i++) {
    const publicKey = reader.string().slice();
    keys.push({ publicKey, comment: new TextDecoder().decode(reader.string()) });
  }
  return keys;
}

/**
 * The keys of the agent at `socketPath` (a Unix socket; a named pipe on Windows).
 * @param onUnusable called with the type of each key that this client cannot use
 * @throws AwsocksError `ssh-key-missing` when there is no agent or it does not answer
 */
export async function agentIdentities(
  socketPath: string,
  options: AgentOptions = {},
  onUnusable: (keyType: string) => void = () => {},
): Promise<Identity[]> {
  const { clock = systemClock, signal } = options;
  const failed = (why: string, cause?: unknown) =>
    new AwsocksError("ssh-key-missing", `Cannot ask the ssh-agent at ${socketPath}: ${why}`, {
      cause,
      facts: { socket: socketPath },
    });
  let keys: AgentKey[];
  try {
    const body = await withDeadline(
      clock,
      LIST_TIMEOUT_MS,
      () => failed(`no answer within ${LIST_TIMEOUT_MS / 1000} s`),
      (limit) =>
        ask(socketPath, AgentMessage.RequestIdentities, [], AgentMessage.IdentitiesAnswer, limit),
      signal,
    );
    keys = parseIdentities(body);
  } catch (error) {
    if (error instanceof AwsocksError || signal?.aborted) throw error;
    throw failed(error instanceof Error ? error.message : String(error), error);
  }
  return keys.flatMap((key) => {
    const keyType = typeOf(key.publicKey);
    if (KEY_TYPES.test(keyType)) return [agentIdentity(socketPath, keyType, key)];
    onUnusable(keyType);
    return [];
  });
}

function typeOf(publicKey: Uint8Array): string {
  try {
    return keyTypeOf(publicKey);
  } catch {
    return "unreadable";
  }
}

function agentIdentity(socketPath: string, keyType: string, key: AgentKey): Identity {
  return {
    source: "agent",
    label: key.comment || keyType,
    keyType,
    publicKey: key.publicKey,
    fingerprint: fingerprint(key.publicKey),
    async sign(data, { hash, signal } = {}) {
      const flags = keyType === "ssh-rsa" ? RSA_FLAGS[hash ?? ""] ?? 0 : 0;
      const request = [string(key.publicKey), string(data), uint32(flags)];
      try {
        const body = await ask(
          socketPath,
          AgentMessage.SignRequest,
          request,
          AgentMessage.SignResponse,
          signal,
        );
        const signature = new WireReader(new WireReader(body).string());
        signature.string(); // name of the algorithm
        return signature.string().slice();
      } catch (cause) {
        if (signal?.aborted) throw cause;
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new AwsocksError(
          "ssh-key-invalid",
          `The ssh-agent does not sign with ${key.comment || "its key"}: ${why}`,
          { cause, hint: "has it asked for a confirmation or a touch?" },
        );
      }
    },
  };
}

/** Sends one request on a connection of its own; resolves with the body of the answer. */
async function ask(
  socketPath: string,
  type: number,
  body: readonly Uint8Array[],
  expected: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  signal?.throwIfAborted();
  const conn = await connectSocket(socketPath, signal);
  const onAbort = () => conn.close();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await writeAll(conn, string(concat([type], ...body)));
    const head = new Uint8Array(4);
    if (!await readFull(conn, head)) throw new Error("it closed the connection");
    const length = new WireReader(head).uint32();
    if (length < 1 || length > MAX_MESSAGE_BYTES) throw new Error("its answer is malformed");
    const message = new Uint8Array(length);
    if (!await readFull(conn, message)) throw new Error("its answer is cut short");
    if (message[0] === AgentMessage.Failure) throw new Error("it refuses");
    if (message[0] !== expected) throw new Error(`it answers with message ${message[0]}`);
    return message.subarray(1);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    conn.close();
  }
}

/** `node:net` knows Unix sockets and the named pipes of Windows by one name. */
async function connectSocket(path: string, signal: AbortSignal | undefined): Promise<Conn> {
  const { connect } = await import("node:net");
  const socket = connect(path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = () => reject(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  socket.once("connect", resolve);
  socket.once("error", reject);
  try {
    await promise;
    socket.off("error", reject);
    return connFromDuplex(socket);
  } catch (error) {
    socket.on("error", () => {});
    socket.destroy();
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}
