/**
 * Versions of the SSM agent.
 *
 * @module
 */

/**
 * Compares dotted versions by their numeric parts; missing parts count as 0.
 * @returns negative, 0 or positive; NaN if either is not numeric
 */
export function compareVersions(a: string, b: string): number {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Agents from this version on acknowledge a duplicate again; older ones drop it silently. */
export const REACKNOWLEDGES_DUPLICATES = "3.2.1041.0";

/** Agents above this version obey the TerminateSession flag. */
export const OBEYS_TERMINATE_FLAG = "2.3.722.0";

/** Agents above this version carry many connections in one port forwarding session. */
export const MULTIPLEXES = "3.0.196.0";

/** Agents from this version on obey the parameter `host`; older ones connect to the instance itself. */
export const FORWARDS_TO_HOSTS = "3.1.1188.0";

/** Agents from this version on do not end a multiplexed session that is silent. */
export const BEARS_SILENCE = "3.1.1575.0";
