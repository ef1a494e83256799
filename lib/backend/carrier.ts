/**
 * What a backend keeps up: one way into the network, such as an SSH connection inside a session.
 *
 * @module
 */

import type { Conn, Target } from "../core/mod.ts";
import type { DialOptions } from "./backend.ts";

/** Milliseconds of silence after which the far side may be gone. A living agent acknowledges at once. */
export const SILENCE_LIMIT = 2000;

/** A living way into the network. */
export interface Carrier {
  /** For the log: the session id, for example. */
  readonly name: string;
  /** Connections on it, those being opened included. */
  readonly channels: number;
  /** False while what it stands on is down and may come back. */
  readonly connected: boolean;
  /** Milliseconds for which the far side has owed an answer and said nothing at all; 0: it owes none. */
  readonly silence: number;
  /** Bytes carried so far, both ways: its pace. */
  readonly bytes: number;
  /** Resolves when it has ended, with the reason if it was a failure; never rejects. */
  readonly closed: Promise<Error | undefined>;
  dial(target: Target, options?: DialOptions): Promise<Conn>;
  /** Ends it and whatever it holds at AWS. Bounded in time, idempotent, never rejects. */
  close(): Promise<void>;
}

/** Makes a carrier; aborting the signal leaves nothing behind. */
export type OpenCarrier<C extends Carrier = Carrier> = (
  options: { signal: AbortSignal },
) => Promise<C>;
