/**
 * Which session carries connections to a destination.
 *
 * Source: AWS Systems Manager documents AWS-StartPortForwardingSession and
 * AWS-StartPortForwardingSessionToRemoteHost.
 *
 * @module
 */

import { isIP } from "node:net";
import type { Target } from "../core/mod.ts";
import { compareVersions, type StartSessionRequest } from "../ssm/mod.ts";
import { BEARS_SILENCE, FORWARDS_TO_HOSTS, MULTIPLEXES } from "../ssm/mod.ts";

const OWN_HOSTS: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "::1"]);

/** True for a port of the instance itself: older agents know no other. */
export function isOwnPort({ host }: Target): boolean {
  return OWN_HOSTS.has(host.toLowerCase().replace(/\.$/, ""));
}

/** True for a destination that is a name, which the agent looks up when a session starts. */
export function isNamed({ host }: Target): boolean {
  return isIP(host) === 0;
}

/** The session for connections to a destination. @param instanceId where they start */
export function portSessionRequest(instanceId: string, target: Target): StartSessionRequest {
  const own = isOwnPort(target);
  return {
    target: instanceId,
    documentName: own
      ? "AWS-StartPortForwardingSession"
      : "AWS-StartPortForwardingSessionToRemoteHost",
    parameters: {
      ...(own ? {} : { host: [target.host] }),
      portNumber: [String(target.port)],
      // Told to the client only; the agent never looks at it.
      localPortNumber: ["0"],
    },
    reason: "awsocks",
  };
}

/** What an agent of a version can do, as far as port sessions go. */
export interface PortFeatures {
  /** Many connections in one session. */
  readonly multiplexes: boolean;
  /** Connections to other hosts than the instance. */
  readonly forwardsToHosts: boolean;
  /** Does not end a multiplexed session that is silent for 30 s. */
  readonly bearsSilence: boolean;
}

/** The features of an agent by its version; a version that is no number has none. */
export function portFeatures(agentVersion: string): PortFeatures {
  return {
    multiplexes: compareVersions(agentVersion, MULTIPLEXES) > 0,
    forwardsToHosts: compareVersions(agentVersion, FORWARDS_TO_HOSTS) >= 0,
    bearsSilence: compareVersions(agentVersion, BEARS_SILENCE) >= 0,
  };
}
