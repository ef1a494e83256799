/**
 * Round-trip estimate and retransmission time-out, after RFC 6298.
 *
 * @module
 */

/** Bounds of the time-out in milliseconds. */
const INITIAL_RTO = 500;
const MIN_RTO = 200;
const MAX_RTO = 2000;
/** Least variance term: acknowledgements ride behind bulk data on the same socket. */
const MIN_VARIANCE_TERM = 50;

/** Smoothed round-trip time of one connection. */
export class RttEstimator {
  #smoothed: number | undefined;
  #variance = 0;
  #least = Infinity;

  /** Smoothed round-trip time in milliseconds; undefined before the first sample. */
  get smoothed(): number | undefined {
    return this.#smoothed;
  }

  /** Shortest sample in milliseconds; Infinity before the first. */
  get least(): number {
    return this.#least;
  }

  /** Retransmission time-out in milliseconds. */
  get timeout(): number {
    if (this.#smoothed === undefined) return INITIAL_RTO;
    const timeout = this.#smoothed + Math.max(MIN_VARIANCE_TERM, 4 * this.#variance);
    return Math.min(MAX_RTO, Math.max(MIN_RTO, timeout));
  }

  /** Takes a sample. Never from a retransmitted message (Karn's rule). */
  sample(ms: number): void {
    this.#least = Math.min(this.#least, ms);
    if (this.#smoothed === undefined) {
      this.#smoothed = ms;
      this.#variance = ms / 2;
      return;
    }
    this.#variance = 0.75 * this.#variance + 0.25 * Math.abs(this.#smoothed - ms);
    this.#smoothed = 0.875 * this.#smoothed + 0.125 * ms;
  }
}
