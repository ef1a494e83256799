/**
 * The interface between the proxy and whatever reaches destinations. `proxy` knows nothing else of AWS.
 *
 * @module
 */

import type { Conn, Credentials, Target } from "../core/mod.ts";

/**
 * Where a backend is: `idle → initializing → active ⇄ transitioning → closed`.
 *
 * - `idle`: nothing was tried yet
 * - `initializing`: on the way to its first connection, for as long as that takes
 * - `active`: dials go through
 * - `transitioning`: it was active and is connecting again
 * - `closed`: the end; there is no error state
 */
export type BackendState = "idle" | "initializing" | "active" | "transitioning" | "closed";

/** Options of {@linkcode Backend.dial} and {@linkcode Backend.start}. */
export interface DialOptions {
  /** Gives up waiting; what was opened meanwhile is closed. */
  readonly signal?: AbortSignal | undefined;
}

/** A way to reach destinations. */
export interface Backend {
  /** Short name for logs: `ssh`, `direct`. */
  readonly name: string;
  /** Where it is now. */
  readonly state: BackendState;
  /** Failure of the latest attempt to get up; undefined while all is well. */
  readonly lastError?: Error | undefined;
  /**
   * Gets it up; resolves when active. Idempotent: calls meanwhile join the one under way. Rejects when
   * the first attempt fails, while attempts go on in the background for as long as it is not closed.
   */
  start(options?: DialOptions): Promise<void>;
  /**
   * Connects to a destination, starting the backend if it is idle and waiting a bounded time while
   * it is not active.
   * @throws AwsocksError `destination-…`, or `backend-unavailable` with the reason as cause
   */
  dial(target: Target, options?: DialOptions): Promise<Conn>;
  /** New credentials; the next session uses them. */
  onCredentialUpdate(credentials: Credentials): void;
  /** Ends every session it started; bounded in time. Idempotent. */
  close(): Promise<void>;
}
