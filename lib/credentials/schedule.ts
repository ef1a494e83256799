/**
 * When to load again. All times in milliseconds.
 *
 * @module
 */

/** Share of the remaining time that is kept as a buffer before the expiry. */
const BUFFER_SHARE = 0.2;

/** Bounds of the buffer. */
const BUFFER_MIN_MS = 30_000;
const BUFFER_MAX_MS = 5 * 60_000;

/** Credentials that are about to expire, and a source that repeats them, are asked no faster. */
const DELAY_MIN_MS = 10_000;

/** A timer takes no more than 2³¹ − 1 ms; a load a day does no harm. */
const DELAY_MAX_MS = 24 * 3_600_000;

/** Time between a failed load and the next. */
export const RETRY_DELAY_MS = 10_000;

/** Credentials with less than this left are not handed out: the request has to reach AWS before. */
export const EXPIRY_MARGIN_MS = 5_000;

/**
 * Time until credentials that expire in `remaining` are refreshed: at 80 % of it, at least 30 s and
 * at most 5 min before they expire.
 */
export function refreshDelay(remaining: number): number {
  const buffer = Math.min(BUFFER_MAX_MS, Math.max(BUFFER_MIN_MS, remaining * BUFFER_SHARE));
  return Math.min(DELAY_MAX_MS, Math.max(DELAY_MIN_MS, remaining - buffer));
}
