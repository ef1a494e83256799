/**
 * All sessions of the account: what the calls StartSession, ResumeSession and TerminateSession do.
 *
 * @module
 */

import type { Clock } from "../core/mod.ts";
import { createSessionKind } from "./agent/create_session.ts";
import { AgentWorker } from "./agent/worker.ts";
import type { EventHub } from "./events.ts";
import type { Grant } from "./gateway/admission.ts";
import { GatewaySession } from "./gateway/session.ts";
import type { SessionCounters, SessionStatus } from "./gateway/session_types.ts";
import type { Identity } from "./identities.ts";
import type { Machine } from "./instance/machine.ts";
import type { Switches } from "./options.ts";
import type { Random } from "./random.ts";

const SUFFIX_DIGITS = 17;

/** A session to start. */
export interface StartRequest {
  readonly instanceId: string;
  readonly document: string;
  /** Resolved properties of the document. */
  readonly properties: Readonly<Record<string, string>>;
  readonly reason: string;
  readonly caller: Identity;
}

/** A session as it stands, for tests and for whoever watches. */
export interface SessionReport {
  readonly sessionId: string;
  readonly instanceId: string;
  readonly document: string;
  readonly reason: string;
  readonly owner: string;
  readonly status: SessionStatus;
  /** True until the session has ended for good. */
  readonly live: boolean;
  readonly clientConnected: boolean;
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
  readonly endedAt?: number;
  /** Text of `channel_closed`. */
  readonly output?: string;
  readonly counters: SessionCounters;
}

/** Options of {@linkcode Sessions}. */
export interface SessionsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly events: EventHub;
  readonly switches: () => Switches;
  readonly agentVersion: string;
  readonly machine: (instanceId: string) => Machine;
}

/** All sessions, live and ended. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, GatewaySession>();
  readonly #frozen = new Set<string>();
  /** `ws://host:port` of the gateway, once it listens. */
  origin = "";

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** Starts a session and its agent. */
  start(request: StartRequest): Grant {
    const { agentVersion, clock, events, machine, random, switches } = this.#options;
    const { caller, document, instanceId, properties, reason } = request;
    const sessionId = `${caller.sessionPrefix}-${random.hex(SUFFIX_DIGITS)}`;
    const target = machine(instanceId);
    const session = new GatewaySession({
      facts: { sessionId, instanceId, document, reason, owner: caller.arn },
      clock,
      random: random.fork(),
      events,
      switches,
      origin: this.origin,
      createWorker: (hooks) =>
        new AgentWorker({
          ...hooks,
          sessionId,
          clock,
          random: random.fork(),
          switches: switches(),
          agentVersion,
          properties,
          createSession: (clientVersion) =>
            createSessionKind({
              clock,
              events,
              switches: switches(),
              sessionId,
              instanceId,
              machine: target,
              properties,
              agentVersion,
              clientVersion,
            }),
        }),
    });
    this.#sessions.set(sessionId, session);
    events.emit({ type: "session-started", sessionId, instanceId, document });
    if (this.#frozen.has(instanceId)) session.killAgent();
    return session.grant();
  }

  get(sessionId: string): GatewaySession | undefined {
    return this.#sessions.get(sessionId);
  }

  /** Every session, oldest first. */
  list(): readonly GatewaySession[] {
    return [...this.#sessions.values()];
  }

  /** Sessions that have not ended. */
  live(): readonly GatewaySession[] {
    return this.list().filter((session) => !session.ended);
  }

  /** The agent of an instance has gone without a word. */
  agentLost(instanceId: string): void {
    for (const session of this.live()) {
      if (session.facts.instanceId === instanceId) session.killAgent();
    }
  }

  /** From now on no session of an instance hears anything, or only those from before. */
  freeze(instanceId: string, frozen: boolean): void {
    if (!frozen) return void this.#frozen.delete(instanceId);
    this.#frozen.add(instanceId);
    this.agentLost(instanceId);
  }

  /** Frees every session. Idempotent. */
  close(): void {
    for (const session of this.#sessions.values()) session.close();
  }
}

/** What there is to know about a session. */
export function reportOf(session: GatewaySession): SessionReport {
  const { clientConnected, counters, ended, facts, startedAt, status } = session;
  return {
    ...facts,
    status,
    live: ended === undefined,
    clientConnected,
    startedAt,
    ...(ended ? { endedAt: ended.at, output: ended.output } : {}),
    counters,
  };
}
