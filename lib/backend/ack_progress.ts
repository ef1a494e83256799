/**
 * Whether the agent at the other end of a session still takes anything.
 *
 * @module
 */

import type { Clock } from "../core/mod.ts";
import type { Session } from "../ssm/mod.ts";

/** Watches acknowledgements. It knows what it sees: to be asked about every second. */
export class AckProgress {
  readonly #session: Pick<Session, "stats" | "connected">;
  readonly #clock: Clock;
  #acknowledged = 0;
  #movedAt: number;

  constructor(session: Pick<Session, "stats" | "connected">, clock: Clock) {
    this.#session = session;
    this.#clock = clock;
    this.#movedAt = clock.monotonic();
  }

  /**
   * Milliseconds for which something was under way and nothing was acknowledged; 0 while there is
   * progress, nothing is under way, or the session is on its way back.
   */
  get stalledFor(): number {
    const { sentBytes, unacknowledged } = this.#session.stats;
    const acknowledged = sentBytes - unacknowledged;
    const now = this.#clock.monotonic();
    const moves = unacknowledged === 0 || acknowledged !== this.#acknowledged;
    if (moves || !this.#session.connected) {
      this.#acknowledged = acknowledged;
      this.#movedAt = now;
    }
    return now - this.#movedAt;
  }
}
