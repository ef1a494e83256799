/**
 * How a pool of carriers is used: which one a connection goes to, and when there should be another.
 *
 * The agent paces each session at about 0.75 MB/s, whatever the machine, so that only more sessions go
 * faster, and a connection stays on the session that it was opened on. Pure.
 *
 * @module
 */

/** Bytes per second at which one session is at its limit. */
export const SESSION_CEILING = 750_000;
/** Connections as many as which a session at its limit counts. */
const SATURATION_WEIGHT = 2;

/** A member of a pool as the policy sees it. */
export interface Member {
  /** Connections, promised ones included. */
  readonly load: number;
  /** Bytes per second, both ways. */
  readonly pace: number;
  /** Its newest connection is so young that its pace does not show yet. */
  readonly fresh: boolean;
  readonly healthy: boolean;
}

/**
 * How burdened a member is; 0 is idle. A fresh one counts as being at its limit: in a burst, those that
 * came first would otherwise look busier than those that are about to be.
 */
export function burden({ load, pace, fresh }: Omit<Member, "healthy">): number {
  return load + SATURATION_WEIGHT * (fresh ? 1 : Math.min(1, pace / SESSION_CEILING));
}

/** The member for the next connection: a healthy one before others, then the least burdened. */
export function leastBurdened<T extends Member>(members: readonly T[]): T | undefined {
  let best: T | undefined;
  for (const member of members) {
    if (
      best === undefined ||
      Number(member.healthy) > Number(best.healthy) ||
      (member.healthy === best.healthy && burden(member) < burden(best))
    ) best = member;
  }
  return best;
}

/**
 * How many members to open now.
 * @param waiting connections that want a member of their own
 * @param opening members on their way up
 * @param size members in all, those on their way up included
 * @param max bound of the pool
 */
export function growth(
  { waiting, opening, size, max }: {
    waiting: number;
    opening: number;
    size: number;
    max: number;
  },
): number {
  return Math.max(0, Math.min(waiting - opening, max - size));
}
