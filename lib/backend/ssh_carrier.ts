/**
 * SSH inside a session: the carrier of the `ssh` backend.
 *
 * @module
 */

import { AwsocksError, type Clock, isAwsocksError } from "../core/mod.ts";
import { connectSsh, type HostKeyVerifier, type Identity } from "../ssh/mod.ts";
import { type OpenSessionOptions, type Session, sshSessionRequest } from "../ssm/mod.ts";
import type { Carrier } from "./carrier.ts";
import type { ReadyInstance } from "./instance.ts";
import { startSession } from "./start_session.ts";

/** Milliseconds for the end of a session to become known after the SSH connection on it failed. */
const END_GRACE = 250;

/** Options of {@linkcode openSshCarrier}. */
export interface SshCarrierOptions {
  readonly session: Omit<OpenSessionOptions, "signal" | "onStateChange">;
  readonly instance: ReadyInstance;
  /** Port of sshd on the instance. */
  readonly port: number;
  readonly user: string;
  /** Keys to offer; called when the session is up, right before they are offered. */
  readonly identities: () => Promise<readonly Identity[]>;
  readonly hostKeys: HostKeyVerifier;
  readonly compression: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Starts a session, connects SSH over it and authenticates.
 * @throws AwsocksError `agent-offline`, `session-…`, `ssh-…`, `aws-…`; the session is terminated
 */
export async function openSshCarrier(options: SshCarrierOptions): Promise<Carrier> {
  const { clock, signal } = options;
  const session = await startSession(
    options.instance,
    sshSessionRequest(options.instance.id, options.port),
    { ...options.session, signal },
  );
  try {
    const connection = await connectSsh(session.conn, {
      user: options.user,
      identities: await options.identities(),
      hostKeys: options.hostKeys,
      compression: options.compression,
      isUp: () => session.connected,
      clock,
      signal,
    });
    let closing: Promise<void> | undefined;
    const close = () =>
      closing ??= (() => {
        connection.close();
        return session.close();
      })();
    return {
      name: session.sessionId,
      get channels() {
        return connection.channels;
      },
      get connected() {
        return session.connected;
      },
      get silence() {
        return session.stats.silence;
      },
      get bytes() {
        const { sentBytes, receivedBytes } = session.stats;
        return sentBytes + receivedBytes;
      },
      closed: connection.closed.then((error) => reasonOf(session, error, clock)),
      dial: (target, dialOptions) => connection.dial(target, dialOptions),
      close,
    };
  } catch (error) {
    const reason = await reasonOf(session, error, clock);
    await session.close();
    throw portFailure(reason, session, options);
  }
}

/** What ended the SSH connection: the session's own end, if that is what it was. */
async function reasonOf<E>(session: Session, error: E, clock: Clock): Promise<E | AwsocksError> {
  const abort = new AbortController();
  const end = await Promise.race([
    session.closed,
    clock.sleep(END_GRACE, { signal: abort.signal }).catch(() => undefined),
  ]);
  abort.abort();
  return end?.error ?? error;
}

/**
 * What failed, with the port where that is the likely reason: nothing at all came from it, because the
 * agent could not connect and ended the session or fell silent; or it was not what an SSH server says.
 */
function portFailure(reason: unknown, session: Session, options: SshCarrierOptions): unknown {
  if (!isAwsocksError(reason, "ssh-handshake-failed", "session-closed")) return reason;
  const { instance, port } = options;
  const silent = session.stats.receivedBytes === 0;
  if (!silent && reason.facts.phase !== "banner") return reason;
  return new AwsocksError(
    "ssh-handshake-failed",
    `${silent ? "Nothing answered" : "There is no SSH server"} on port ${port} of ${instance.id}`,
    { cause: reason, hint: "check that sshd runs there, or set `remote-port` (--remote-port)" },
  );
}
