/**
 * When the guest is told the time: at once, every minute, and soon after the machine has slept.
 *
 * @module
 */

import type { Clock, Timer } from "../core/mod.ts";

/** Milliseconds between two looks at the clock. */
const LOOK_MS = 5000;

/** Milliseconds after which it is told again. */
const TELL_MS = 60_000;

/** More milliseconds than this between two looks, or fewer, are a sleep or a clock that was set. */
const JUMP_MS = 2000;

/** Tells the time until the timer is cancelled. */
export function keepTime(clock: Clock, tell: (now: number) => void): Timer {
  let last = clock.now();
  let sinceTold = 0;
  tell(last);
  return clock.every(LOOK_MS, () => {
    const now = clock.now();
    const jumped = Math.abs(now - last - LOOK_MS) > JUMP_MS;
    last = now;
    sinceTold += LOOK_MS;
    if (!jumped && sinceTold < TELL_MS) return;
    sinceTold = 0;
    tell(now);
  });
}
