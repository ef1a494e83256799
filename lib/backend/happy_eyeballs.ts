/**
 * Several addresses of one name, tried as RFC 8305 has it: families in turn, the next one shortly after
 * the one before, the first connection wins.
 *
 * `Deno.connect` does the same since 2.9; here it also works on older runtimes, with our clock and with
 * the failure of every address.
 *
 * @module
 */

import type { Clock, Timer } from "../core/mod.ts";

/** Time between the starts of two attempts, in milliseconds (RFC 8305 section 5). */
export const ATTEMPT_DELAY_MS = 250;

/** Puts the families in turn, the family of the first address first, otherwise in order (section 4). */
export function interleave(addresses: readonly string[]): string[] {
  const isIpv6 = (address: string) => address.includes(":");
  const first = addresses.filter((address) => isIpv6(address) === isIpv6(addresses[0]!));
  const second = addresses.filter((address) => !first.includes(address));
  const longer = Math.max(first.length, second.length);
  return Array.from({ length: longer }, (_, i) => [first[i], second[i]]).flat()
    .filter((address) => address !== undefined);
}

/** Options of {@linkcode connectFirst}. */
export interface ConnectFirstOptions<C> {
  readonly clock: Clock;
  /** Ends every attempt. */
  readonly signal: AbortSignal;
  /** Connects to one address; must end when its signal aborts. */
  readonly connect: (address: string, signal: AbortSignal) => Promise<C>;
  /** Called with a connection that came too late. */
  readonly discard: (connection: C) => void;
}

/**
 * Connects to the first address that answers.
 * @param addresses at least one, in the order in which to try them
 * @throws AggregateError with the failure of each address, in their order; the reason of the signal
 */
export async function connectFirst<C>(
  addresses: readonly string[],
  options: ConnectFirstOptions<C>,
): Promise<C> {
  const { clock, signal, connect, discard } = options;
  signal.throwIfAborted();
  const attempts = new AbortController();
  const outcome = Promise.withResolvers<C>();
  const failures: unknown[] = [];
  let [started, failed, over] = [0, 0, false];
  let timer: Timer | undefined;

  const finish = () => {
    over = true;
    timer?.cancel();
    signal.removeEventListener("abort", onAbort);
    attempts.abort();
  };
  const onAbort = () => {
    finish();
    outcome.reject(signal.reason);
  };
  const attempt = async (index: number): Promise<void> => {
    try {
      const connection = await connect(addresses[index]!, attempts.signal);
      if (over) return discard(connection);
      finish();
      outcome.resolve(connection);
    } catch (error) {
      if (over) return;
      failures[index] = error;
      if (++failed < addresses.length) return next();
      finish();
      outcome.reject(new AggregateError(failures, "Every address failed"));
    }
  };
  const next = () => {
    timer?.cancel();
    if (started === addresses.length) return;
    void attempt(started++);
    if (started < addresses.length) timer = clock.after(ATTEMPT_DELAY_MS, next);
  };

  signal.addEventListener("abort", onAbort, { once: true });
  next();
  return await outcome.promise;
}
