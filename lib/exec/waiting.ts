/**
 * Waiting for one thing, but not for ever.
 *
 * @module
 */

import type { Clock } from "../core/mod.ts";

/**
 * Waits for `promise`, at most `ms` milliseconds.
 * @returns false when the time ran out
 */
export async function settledWithin(
  clock: Clock,
  ms: number,
  promise: Promise<unknown>,
): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = clock.after(ms, () => resolve(false));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    timer.cancel();
  }
}
