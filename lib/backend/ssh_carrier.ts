/**
 * SSH inside a session: the carrier of the `ssh` backend.
 *
 * @module
 */

import { AwsocksError, type Clock, isAwsocksError } from "../core/mod.ts";
import { connectSsh, type HostKeyVerifier, type Identity } from "../ssh/mod.ts";
import {
  type ChannelEnd,
  type OpenSessionOptions,
  type Session,
  sshSessionRequest,
} from "../ssm/mod.ts";
import type { Carrier } from "./carrier.ts";
import type { ReadyInstance } from "./instance.ts";
import { sessionEnd } from "./session_end.ts";
import { startSession } from "./start_session.ts";

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
      closed: connection.closed.then(async (error) =>
        error && reasonOf(error, await sessionEnd(session, clock))
      ),
      dial: (target, dialOptions) => connection.dial(target, dialOptions),
      close,
    };
  } catch (error) {
    const end = await sessionEnd(session, clock);
    await session.close();
    throw portFailure(end?.error ?? error, session, options);
  }
}

/** What ended a connection that was up: the session's own end, if that is what it was. */
function reasonOf(error: Error, end: ChannelEnd | undefined): Error {
  if (end?.error) return end.error;
  if (end?.by !== "remote" || error.cause !== undefined) return error;
  // Session Manager gives no reason when the session's time is up, nor the agent when sshd is gone.
  return new AwsocksError(
    "session-closed",
    "Session Manager has ended the session, or the SSH server the connection",
  );
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
