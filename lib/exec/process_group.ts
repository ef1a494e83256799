/**
 * Ending a process together with everything that it has started.
 *
 * @module
 */

import type { Clock } from "../core/mod.ts";

/** Milliseconds between two looks at whether a group is gone. */
const LOOK_INTERVAL_MS = 25;

/** Options of {@linkcode endProcessGroup}. */
export interface EndProcessGroupOptions {
  readonly clock: Clock;
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly grace: number;
}

/**
 * Ends a process group: SIGTERM, and SIGKILL for what is left of it after the grace. Resolves when it
 * is gone, or was killed. A process that has made a session or group of its own is not in it.
 *
 * @param group id of the group, which must not have ended before: ids are used again
 */
export async function endProcessGroup(
  group: number,
  { clock, grace }: EndProcessGroupOptions,
): Promise<void> {
  if (!signalGroup(group, "SIGTERM")) return;
  signalGroup(group, "SIGCONT"); // a stopped process takes no notice before
  const deadline = clock.monotonic() + grace;
  while (clock.monotonic() < deadline) {
    await clock.sleep(LOOK_INTERVAL_MS);
    if (!signalGroup(group, 0)) return;
  }
  signalGroup(group, "SIGKILL");
}

/**
 * Signals every process of a group; signal 0 only looks, see kill(2).
 * @returns false when there is none that may be signalled
 */
function signalGroup(group: number, signal: Deno.Signal | 0): boolean {
  try {
    Deno.kill(-group, signal);
    return true;
  } catch (error) {
    // Gone (ESRCH), or all of it in the hands of another user (EPERM), where nothing can be done.
    if (error instanceof Deno.errors.NotFound) return false;
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}
