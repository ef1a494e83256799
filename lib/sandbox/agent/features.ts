/**
 * What an agent of one version does for a client of another.
 *
 * Source: Session Manager protocol, version thresholds.
 *
 * @module
 */

import { compareVersions } from "../../ssm/version.ts";

/** What differs between versions in a port session. */
export interface AgentFeatures {
  /** Carries many connections in one session. */
  readonly multiplexes: boolean;
  /** Ends a multiplexed session that is silent, and sends something itself now and then. */
  readonly keepAlive: boolean;
  /** Obeys the property `host`; an older agent connects to the instance itself. */
  readonly forwardsToHosts: boolean;
  /** Refuses addresses of the instance's surroundings. */
  readonly deniesAddresses: boolean;
}

/**
 * Compares versions as the agent does a client's: SemVer when both have three parts, else part by
 * part, and the longer one is greater when all that both have is equal. Parts that are no numbers
 * compare as text.
 */
export function compareClientVersions(a: string, b: string): number {
  const left = a.split(".");
  const right = b.split(".");
  const number = (part: string) => /^\d+$/.test(part) ? Number(part) : undefined;
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [x, y] = [number(left[i]!), number(right[i]!)];
    if (x !== undefined && y !== undefined) {
      if (x !== y) return x - y;
    } else if (left[i] !== right[i]) {
      return left[i]! < right[i]! ? -1 : 1;
    }
  }
  return left.length - right.length;
}

/** The features of an agent, four-part version, that talks to a client. */
export function featuresOf(agentVersion: string, clientVersion: string): AgentFeatures {
  const since = (version: string) => compareVersions(agentVersion, version) >= 0;
  const knowsSwitch = compareClientVersions(clientVersion, "1.2.331.0") > 0;
  return {
    multiplexes: since("3.0.222.0") && compareClientVersions(clientVersion, "1.1.70") >= 0,
    keepAlive: agentVersion !== "3.1.1446.0" && !(since("3.1.1575.0") && knowsSwitch),
    forwardsToHosts: since("3.1.1188.0"),
    deniesAddresses: since("3.1.1374.0"),
  };
}
