/**
 * Waiting for something to change.
 *
 * @module
 */

/** Wakes whoever waits, to look again. */
export class Changes {
  #next = Promise.withResolvers<void>();

  /** Wakes all that wait now. */
  notify(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  /** Resolves at the next change; rejects with the signal's reason. */
  next(signal?: AbortSignal | undefined): Promise<void> {
    return orAborted(this.#next.promise, signal);
  }
}

/** What a promise settles with, or the signal's reason if that comes first. */
export async function orAborted<T>(
  promise: Promise<T>,
  signal?: AbortSignal | undefined,
): Promise<T> {
  if (!signal) return await promise;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
