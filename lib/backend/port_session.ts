/**
 * A session that carries connections to one destination, and how it is opened.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  type Conn,
  formatTarget,
  isAwsocksError,
  type Target,
} from "../core/mod.ts";
import {
  Flag,
  type OpenSessionOptions,
  type Session,
  sshSessionRequest,
  type StartSessionRequest,
} from "../ssm/mod.ts";
import type { DialOptions } from "./backend.ts";
import { DialLedger } from "./dial_ledger.ts";
import type { ReadyInstance } from "./instance.ts";
import { MuxSession } from "./mux_session.ts";
import { sessionFailure } from "./port_failure.ts";
import { isOwnPort, portFeatures, portSessionRequest } from "./port_request.ts";
import { SingleSession } from "./single_session.ts";
import { startSession } from "./start_session.ts";

/** A session to one destination. */
export interface PortSession {
  /** Session id. */
  readonly name: string;
  /** Connections that need it, promised ones included. */
  readonly load: number;
  /** Milliseconds since a connection last needed it; 0 while one does. */
  readonly idleFor: number;
  /** False once it takes no more connections, for the moment or for good. */
  readonly open: boolean;
  /** True when another connection can be expected to get through; implies `open`. */
  readonly healthy: boolean;
  /** Milliseconds for which the agent has taken nothing of what is under way; 0 while it does. */
  readonly stalledFor: number;
  /** Milliseconds for which the agent seems to have gone; 0 if a destination may be why it stands still. */
  readonly silence: number;
  /** Resolves when it has ended, with the reason if it was a failure; never rejects. */
  readonly closed: Promise<AwsocksError | undefined>;
  /** Counts a connection before it is dialled, so that others see it. */
  reserve(): void;
  /** Takes a reservation back. */
  release(): void;
  /** Connects. @throws AwsocksError `destination-…`, `session-…` */
  dial(options?: DialOptions): Promise<Conn>;
  /** To be called about every second: ends what has had its time. */
  check(): void;
  /** Terminates it. Bounded in time, idempotent, never rejects. */
  close(): Promise<void>;
}

/** Options of {@linkcode openPortSession}. */
export interface OpenPortSessionOptions {
  readonly session: Omit<OpenSessionOptions, "signal" | "onFlag">;
  readonly instance: ReadyInstance;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Starts a session for connections to a destination.
 * @throws AwsocksError `destination-…`, `agent-offline`, `session-…`, `aws-…`; the session is terminated
 */
export async function openPortSession(
  target: Target,
  options: OpenPortSessionOptions,
): Promise<PortSession> {
  const { clock, instance } = options;
  const ledger = new DialLedger();
  const session = await start(target, portSessionRequest(instance.id, target), options, (flag) => {
    if (flag === Flag.ConnectToPortError) ledger.flagged(clock.monotonic());
  });
  const features = portFeatures(session.info.agentVersion);
  if (features.multiplexes && (features.forwardsToHosts || isOwnPort(target))) {
    return new MuxSession({ target, session, ledger, clock, bearsSilence: features.bearsSilence });
  }
  await session.close();
  if (!isOwnPort(target)) throw tooOld(target, session);
  return await openSingle(target, options);
}

/**
 * Without multiplexing a port forwarding session is no use: it does not tell when the destination has
 * closed. The document for SSH leads to any port of the instance and does.
 */
async function openSingle(target: Target, options: OpenPortSessionOptions): Promise<PortSession> {
  const { clock, instance } = options;
  const session = await start(target, sshSessionRequest(instance.id, target.port), options);
  return new SingleSession({ target, session, clock });
}

async function start(
  target: Target,
  request: StartSessionRequest,
  { instance, session, signal }: OpenPortSessionOptions,
  onFlag: (flag: number) => void = () => {},
): Promise<Session> {
  try {
    return await startSession(instance, request, { ...session, signal, onFlag });
  } catch (error) {
    if (isAwsocksError(error, "aws-access-denied")) throw denied(error, request);
    throw sessionFailure(target, error);
  }
}

/** Whoever may start one kind of session need not be allowed another. */
function denied(error: AwsocksError, { documentName }: StartSessionRequest): AwsocksError {
  return new AwsocksError(error.code, error.message, {
    cause: error,
    facts: error.facts,
    hint: `the caller's IAM policy needs ssm:StartSession on the document ${documentName}`,
  });
}

/** Such an agent would ignore the host and connect to the instance itself. */
function tooOld(target: Target, session: Session): AwsocksError {
  return new AwsocksError(
    "destination-failed",
    `Cannot connect to ${
      formatTarget(target)
    }: the SSM agent ${session.info.agentVersion} is too old`,
    {
      facts: { sessionId: session.sessionId },
      hint: 'update the SSM agent to 3.1.1374.0 or later, or set `backend = "ssh"`',
    },
  );
}
