/**
 * The three calls of the `ssm` service that a session needs, as the data channel sees them.
 * Protocol reference: control-plane calls `StartSession`, `ResumeSession`, `TerminateSession`.
 *
 * @module
 */

/** What `StartSession` and `ResumeSession` hand out. */
export interface SessionGrant {
  readonly sessionId: string;
  /** WebSocket URL of the data channel; used verbatim, never re-encoded. */
  readonly streamUrl: string;
  /** Short-lived token for `OpenDataChannel`. Secret. */
  readonly tokenValue: string;
}

/** A session to start. */
export interface StartSessionRequest {
  /** Instance id (`i-…`, `mi-…`). */
  readonly target: string;
  /** Session document, for example `AWS-StartSSHSession`. */
  readonly documentName: string;
  /** Parameters of the document; each value is a list. */
  readonly parameters: Readonly<Record<string, readonly string[]>>;
  /** Shown in the account's session history, 1 to 256 characters. */
  readonly reason?: string;
}

/** Options of each call. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** The calls. `SsmClient` is the real one. */
export interface SessionService {
  /** @throws AwsocksError `agent-offline` for TargetNotConnected, `aws-…`, `credentials-…` */
  startSession(request: StartSessionRequest, options?: CallOptions): Promise<SessionGrant>;
  /** @returns null when the session has ended (no token in the answer, or DoesNotExistException) */
  resumeSession(sessionId: string, options?: CallOptions): Promise<SessionGrant | null>;
  terminateSession(sessionId: string, options?: CallOptions): Promise<void>;
}
