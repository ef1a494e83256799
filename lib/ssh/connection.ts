/**
 * An SSH connection as the backend sees it. `client.ts` makes one with ssh2.
 *
 * @module
 */

import type { Conn, Target } from "../core/mod.ts";

/** An authenticated SSH connection. */
export interface SshConnection {
  /** Open `direct-tcpip` channels. */
  readonly channels: number;
  /** Resolves when the connection has ended, with the failure if it was not a plain close. */
  readonly closed: Promise<Error | undefined>;
  /**
   * Opens a `direct-tcpip` channel (RFC 4254 section 7.2); the name is resolved by the server.
   * @throws AwsocksError `destination-…` for what the server says, `ssh-closed`
   */
  dial(target: Target, options?: { signal?: AbortSignal | undefined }): Promise<Conn>;
  /** Ends it. Idempotent. */
  close(): void;
}
