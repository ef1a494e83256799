/**
 * One line in the log for each connection that failed, but not one for each time the same one fails.
 *
 * @module
 */

import { type AwsocksError, type Clock, describeError, getLog, type Target } from "../core/mod.ts";
import { RateLimit } from "./rate_limit.ts";

const log = getLog("proxy");

/** How long the same failure of the same host stays quiet, in milliseconds. */
const QUIET_MS = 10_000;

/** Hosts and codes remembered. */
const MAX_KEYS = 1024;

/** Writes failures to the log, each host and code at most once in ten seconds. */
export class FailureLog {
  readonly #limit: RateLimit;

  constructor(clock: Clock) {
    this.#limit = new RateLimit({ clock, interval: QUIET_MS, limit: MAX_KEYS });
  }

  /** A request, or a connection that stood, failed. */
  report(failure: AwsocksError, facts: { client: string; target: Target | undefined }): void {
    const { rootCode: code, hint } = failure;
    const held = this.#limit.pass(`${facts.target?.host ?? ""} ${code}`);
    if (held === undefined) return;
    const fields = {
      cause: describeError(failure),
      code,
      client: facts.client,
      hint: hint || undefined,
      // How often this happened since it was last told.
      repeated: held || undefined,
    };
    // A blocked host is what the rules want.
    if (code === "route-blocked") log.info("{cause}", fields);
    else log.warn("{cause}", fields);
  }
}
