/**
 * Starting a session, and ending it on every way out.
 *
 * @module
 */

import { type Clock, type Conn, getLog, type Timer } from "../core/mod.ts";
import type { ChannelEnd, ChannelStats, DataChannelOptions } from "./channel_types.ts";
import { DataChannel } from "./data_channel.ts";
import type { SessionInfo } from "./handshake.ts";
import type { SessionGrant, SessionService, StartSessionRequest } from "./service.ts";
import type { SocketConnector } from "./socket.ts";

const log = getLog("ssm");

/** A started session whose handshake is complete. */
export interface Session extends AsyncDisposable {
  readonly sessionId: string;
  /** The agent's version and the document's properties. */
  readonly info: SessionInfo;
  /** The byte stream to the port on the instance. */
  readonly conn: Conn;
  /** True while its WebSocket is up; false while it resumes and after the end. */
  readonly connected: boolean;
  /** Resolves when the session has ended; never rejects. */
  readonly closed: Promise<ChannelEnd>;
  readonly stats: ChannelStats;
  /** Resolves when the agent has everything that was written to `conn` so far, or the session has ended. */
  acknowledged(): Promise<void>;
  /** Terminates it. Bounded in time, idempotent, never rejects. */
  close(): Promise<void>;
}

/** Options of {@linkcode openSession}. */
export interface OpenSessionOptions extends
  Pick<
    DataChannelOptions,
    | "payloadBytes"
    | "window"
    | "clientVersion"
    | "onStateChange"
    | "onFlag"
    | "disruptions"
    | "timing"
  > {
  readonly service: SessionService;
  readonly connect: SocketConnector;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Starts a session and completes its handshake. A session that was started but did not come up is
 * terminated before this rejects.
 */
export async function openSession(
  request: StartSessionRequest,
  options: OpenSessionOptions,
): Promise<Session> {
  const { signal } = options;
  const grant = await startSession(request, options);
  const channel = new DataChannel(grant, options);
  let info: SessionInfo;
  try {
    info = await channel.open({ signal });
  } catch (error) {
    await channel.shutdown();
    throw error;
  }
  void channel.closed.then((end) => tellEnd(channel, end));
  return {
    sessionId: grant.sessionId,
    info,
    conn: channel,
    get connected() {
      return channel.state === "open";
    },
    closed: channel.closed,
    get stats() {
      return channel.stats;
    },
    acknowledged: () => channel.acknowledged(),
    close: () => channel.shutdown(),
    [Symbol.asyncDispose]: () => channel.shutdown(),
  };
}

/** What a session has moved and lost, for those who wonder how fast it was. */
function tellEnd(channel: DataChannel, { by }: ChannelEnd): void {
  const { sessionId, stats } = channel;
  log.debug("Session {sessionId} is over: {sentBytes} bytes sent, {receivedBytes} received", {
    sessionId,
    by,
    ...stats,
  });
}

/** Time in milliseconds that an aborted StartSession may still take to tell its session's id. */
const ABORT_GRACE = 3000;

/**
 * StartSession with an abort that leaves no session behind: the call may have reached the service,
 * so its answer is awaited for a moment and the session terminated.
 */
async function startSession(
  request: StartSessionRequest,
  { service, clock, signal }: OpenSessionOptions,
): Promise<SessionGrant> {
  signal?.throwIfAborted();
  const abort = new AbortController();
  let grace: Timer | undefined;
  const onAbort = () => grace = clock.after(ABORT_GRACE, () => abort.abort(signal?.reason));
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const grant = await service.startSession(request, { signal: abort.signal });
    if (signal?.aborted) {
      await service.terminateSession(grant.sessionId, { signal: abort.signal });
      throw signal.reason;
    }
    return grant;
  } finally {
    grace?.cancel();
    signal?.removeEventListener("abort", onAbort);
  }
}

/** The document that opens a raw TCP pipe to a port on the instance itself. */
export function sshSessionRequest(target: string, port: number): StartSessionRequest {
  return {
    target,
    documentName: "AWS-StartSSHSession",
    parameters: { portNumber: [String(port)] },
    reason: "awsocks",
  };
}
