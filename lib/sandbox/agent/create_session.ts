/**
 * Which kind of session an agent runs, and what it connects to.
 *
 * @module
 */

import type { Clock, Conn } from "../../core/mod.ts";
import type { EventHub } from "../events.ts";
import type { Machine } from "../instance/machine.ts";
import type { Switches } from "../options.ts";
import { featuresOf } from "./features.ts";
import { checkForwardTarget } from "./forward_target.ts";
import { MuxPortSession } from "./mux_session.ts";
import { BasicPortSession } from "./port_session.ts";
import { reasonOf, type SessionKind } from "./session_kind.ts";

/** Options of {@linkcode createSessionKind}. */
export interface SessionKindOptions {
  readonly sessionId: string;
  readonly instanceId: string;
  readonly clock: Clock;
  readonly events: EventHub;
  readonly switches: Switches;
  readonly machine: Machine;
  /** Resolved properties of the session document. */
  readonly properties: Readonly<Record<string, string>>;
  /** Four parts. */
  readonly agentVersion: string;
  /** As the client said it in the handshake. */
  readonly clientVersion: string;
}

/** The session that an agent of a version runs for a client of a version. */
export function createSessionKind(options: SessionKindOptions): SessionKind {
  const { clock, switches, machine, properties } = options;
  const features = featuresOf(options.agentVersion, options.clientVersion);
  const port = Number(properties.portNumber);
  const host = features.forwardsToHosts ? properties.host : undefined;
  const check = () => {
    if (host !== undefined) checkForwardTarget(host, (name) => machine.lookup(name), features);
  };
  const connect = (signal: AbortSignal) =>
    host === undefined ? machine.connect(port, signal) : machine.connectTo(host, port, signal);
  const dial = async (signal: AbortSignal): Promise<Conn> => {
    const tell = (result: string) => {
      if (properties.type === undefined) return;
      const { sessionId, instanceId, events } = options;
      const to = { host: host ?? "localhost", port };
      events.emit({ type: "port-connection", sessionId, instanceId, ...to, result });
    };
    try {
      const conn = await connect(signal);
      tell("open");
      return conn;
    } catch (error) {
      tell(reasonOf(error));
      throw error;
    }
  };
  return properties.type !== undefined && features.multiplexes
    ? new MuxPortSession({ clock, switches, keepAlive: features.keepAlive, check, dial })
    : new BasicPortSession({
      clock,
      switches,
      properties,
      check,
      dial: (_port, signal) => dial(signal),
    });
}
