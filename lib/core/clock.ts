/**
 * Time as a value: everything that waits or reads the time takes a {@linkcode Clock}, so that tests
 * can move it by hand (`tests/support/fake_clock.ts`).
 *
 * @module
 */

/** A timer that can be stopped. */
export interface Timer extends Disposable {
  /** Stops the timer; no-op once it has fired. */
  cancel(): void;
}

/** Options of {@linkcode Clock.sleep}. */
export interface SleepOptions {
  /** Rejects the sleep with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Where time comes from. */
export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds that only go forward, from an arbitrary origin. */
  monotonic(): number;
  /** Calls `callback` once after `ms` milliseconds. */
  after(ms: number, callback: () => void): Timer;
  /** Calls `callback` every `ms` milliseconds. */
  every(ms: number, callback: () => void): Timer;
  /** Resolves after `ms` milliseconds. */
  sleep(ms: number, options?: SleepOptions): Promise<void>;
}

function timer(cancel: () => void): Timer {
  return { cancel, [Symbol.dispose]: cancel };
}

/** `sleep` in terms of `after`, for implementations of {@linkcode Clock}. */
export function sleepWith(
  clock: Pick<Clock, "after">,
  ms: number,
  options: SleepOptions = {},
): Promise<void> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      pending.cancel();
      reject(signal?.reason);
    };
    const pending = clock.after(ms, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** The real time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const id = setTimeout(callback, ms);
    return timer(() => clearTimeout(id));
  },
  every(ms, callback) {
    const id = setInterval(callback, ms);
    return timer(() => clearInterval(id));
  },
  sleep(ms, options) {
    return sleepWith(this, ms, options);
  },
};

/**
 * Runs `work` with a signal that aborts after `ms` milliseconds (and with `signal`, if given), and
 * rejects with `onTimeout()` if the time runs out first, even if `work` ignores its signal.
 */
export function withDeadline<T>(
  clock: Clock,
  ms: number,
  onTimeout: () => unknown,
  work: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  // Every connection passes here: one promise, without a race that would make more.
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const controller = new AbortController();
    const giveUp = (error: unknown) => {
      fail(error);
      controller.abort(error);
    };
    const onAbort = () => giveUp(signal?.reason);
    const pending = clock.after(ms, () => giveUp(onTimeout()));
    signal?.addEventListener("abort", onAbort, { once: true });
    const settle = () => {
      pending.cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    const fail = (error: unknown) => {
      settle();
      reject(error);
    };
    try {
      work(controller.signal).then((value) => {
        settle();
        resolve(value);
      }, fail);
    } catch (error) {
      fail(error);
    }
  });
}

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
