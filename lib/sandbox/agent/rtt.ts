/**
 * The agent's estimate of round trips and the retransmission time-out it derives from it.
 *
 * @module
 */

const INITIAL_RTO_MS = 200;
const INITIAL_SRTT_MS = 100;
const MAX_RTO_MS = 1000;
const GRANULARITY_MS = 10;
const SRTT_GAIN = 1 / 8;
const RTTVAR_GAIN = 1 / 4;

/** Jacobson's estimator, fed with every acknowledgement: the agent knows no Karn rule. */
export class RoundTripEstimate {
  #smoothed = INITIAL_SRTT_MS;
  #variation = 0;
  #timeout = INITIAL_RTO_MS;

  /** Milliseconds without acknowledgement after which a message is sent again. */
  get timeout(): number {
    return this.#timeout;
  }

  /** Takes the time in milliseconds from the latest sending of a message to its acknowledgement. */
  sample(ms: number): void {
    this.#variation += RTTVAR_GAIN * (Math.abs(this.#smoothed - ms) - this.#variation);
    this.#smoothed += SRTT_GAIN * (ms - this.#smoothed);
    this.#timeout = Math.min(
      MAX_RTO_MS,
      this.#smoothed + Math.max(GRANULARITY_MS, 4 * this.#variation),
    );
  }
}
