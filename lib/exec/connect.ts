/**
 * A connection to the other side that may not be there yet.
 *
 * @module
 */

import { type Clock, type Conn, getLog, isAwsocksError, retry, systemClock } from "../core/mod.ts";
import { connectVsock, formatVsockAddress, type VsockAddress } from "../vsock/mod.ts";

const log = getLog("exec");

/** Delays between attempts, in milliseconds. */
const ATTEMPTS = { initial: 100, max: 2000 };

/** Options of {@linkcode connectPatiently}. */
export interface ConnectPatientlyOptions {
  /** Milliseconds for which to try again; default 0: one attempt. */
  readonly wait?: number;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
  /** How to connect; default `connectVsock` of lib/vsock. */
  readonly connect?: typeof connectVsock;
}

/**
 * Connects, again and again with growing delays while nobody is there: a guest is often up before the
 * host listens, and the other way round.
 *
 * @throws AwsocksError of the last attempt; the reason of the signal
 */
export async function connectPatiently(
  address: VsockAddress,
  options: ConnectPatientlyOptions = {},
): Promise<Conn> {
  const { wait = 0, signal, clock = systemClock, connect = connectVsock } = options;
  return await retry(
    {
      ...ATTEMPTS,
      clock,
      signal,
      budget: wait,
      retryable: (error) => isAwsocksError(error, "vsock-connect-failed", "timeout"),
      onRetry: (error, delay, attempt) => {
        const where = formatVsockAddress(address);
        log.debug("Trying again", { address: where, attempt, delay: Math.round(delay), error });
      },
    },
    () => connect(address, { signal, clock }),
  );
}
