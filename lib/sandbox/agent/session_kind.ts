/**
 * What an agent does inside a session once the handshake is done, as its worker sees it.
 *
 * @module
 */

import type { ClientMessage } from "../../ssm/message.ts";

/** How a session ended. */
export interface SessionResult {
  readonly succeeded: boolean;
  /** Text for `channel_closed`; often empty. */
  readonly output: string;
  /** The worker has died of it and tells nobody. */
  readonly crashed?: true;
}

/** The output stream as a session kind sees it. */
export interface SessionOutput {
  send(payloadType: number, payload: Uint8Array): void;
  /** True while `pause_publication` holds. */
  readonly paused: boolean;
  /** Resolves when not paused and fewer than `limit` messages wait for acknowledgement. */
  ready(limit: number): Promise<void>;
}

/** A kind of session. */
export interface SessionKind {
  /** Runs until the session is over. */
  run(output: SessionOutput): Promise<SessionResult>;
  /**
   * Takes a message from the client in its turn. False while it cannot be taken yet, or not any more:
   * the agent then does not acknowledge it. A promise holds back everything behind it.
   */
  handle(message: ClientMessage): boolean | Promise<boolean>;
  /** Ends {@linkcode run}. Idempotent. */
  stop(): void;
}

/** A flag message's number; undefined for a payload that is too short. */
export function flagOf({ payload }: ClientMessage): number | undefined {
  if (payload.byteLength < 4) return undefined;
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0);
}

/** An error's message. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
