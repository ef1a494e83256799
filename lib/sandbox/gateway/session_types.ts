/**
 * What a session is, seen from its sides: the API, the client's WebSocket, whoever watches.
 *
 * @module
 */

import type { AgentCounters } from "../agent/worker.ts";
import type { UpgradeSignature } from "../events.ts";

/** Session states of the API. */
export type SessionStatus = "Connecting" | "Connected" | "Disconnected" | "Terminated";

/** A client's WebSocket as the session uses it. */
export interface ClientSocket {
  readonly signature: UpgradeSignature;
  send(bytes: Uint8Array): void;
  close(code: number, reason: string): void;
  terminate(): void;
  /** Stops and continues reading. */
  pause(): void;
  resume(): void;
}

/** What a session is about. */
export interface SessionFacts {
  readonly sessionId: string;
  readonly instanceId: string;
  readonly document: string;
  readonly reason: string;
  /** ARN of the caller. */
  readonly owner: string;
}

/** What passed through a session. */
export interface SessionCounters extends AgentCounters {
  /** WebSockets that a client has opened with a good token. */
  readonly webSockets: number;
  /** Of those, the ones whose upgrade request was signed. */
  readonly signedWebSockets: number;
  /** Times that the gateway cut the client off. */
  readonly cuts: number;
  readonly messagesFromClient: number;
  readonly messagesToClient: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  /** Messages from the client that were none; always 0 with a correct client. */
  readonly malformed: number;
  /** Messages lost because one side was not connected. */
  readonly lost: number;
  readonly dropped: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly delayed: number;
}
