/**
 * Opens sessions on instances. What AWS says of an instance may be a minute old, so one that cannot take
 * a session, or takes long to, is not waited for where there is another.
 *
 * @module
 */

import { AwsocksError, type Clock, describeError, getLog, isAwsocksError } from "../core/mod.ts";
import type { ReadyInstance } from "./instance.ts";
import type { InstanceLease, Instances, TakeOptions } from "./instances.ts";

const log = getLog("backend");

/** Milliseconds until another instance is looked for. A session comes up in one or two seconds. */
const PATIENCE = 3000;

/** Failures of an instance, which another one need not share. */
const OF_INSTANCE = [
  "agent-offline",
  "aws-access-denied", // a policy may go by tags
  "instance-not-found",
  "instance-stopped",
  "session-closed",
  "session-handshake-failed",
  "session-lost",
  "session-protocol-error",
  "ssh-closed",
  "ssh-handshake-failed",
] as const;

/** What is opened. */
export interface Opened {
  /** Resolves when it has ended, with the reason if it was a failure; never rejects. */
  readonly closed: Promise<Error | undefined>;
  /** Bounded in time, idempotent, never rejects. */
  close(): Promise<void>;
}

/** How something is opened. */
export interface Opener<T extends Opened> {
  /** Opens it on an instance; aborting the signal leaves nothing behind. */
  open(instance: ReadyInstance, options: { signal: AbortSignal }): Promise<T>;
  /** Milliseconds for which the instance has owed an answer. */
  silence(opened: T): number;
}

/** Options of {@linkcode Openings}. */
export interface OpeningsOptions {
  readonly instances: Instances;
  readonly clock: Clock;
}

/** Opens sessions on the instances there are. */
export class Openings {
  readonly #options: OpeningsOptions;
  /** Attempts that came too late and are being ended. */
  readonly #late = new Set<Promise<void>>();

  constructor(options: OpeningsOptions) {
    this.#options = options;
  }

  /**
   * Opens something on the best instance; on another one too when the first fails, or does not come up
   * within three seconds; after six seconds on any that AWS calls online, be it the same. The first to
   * come up is the result, the other is ended.
   * @throws AwsocksError what finding an instance, or the latest attempt, has thrown
   */
  async open<T extends Opened>(opener: Opener<T>, options: TakeOptions): Promise<T> {
    const { instances } = this.#options;
    const late = new AbortController();
    const signal = AbortSignal.any([options.signal, late.signal]);
    const lease = await instances.take(options);
    const first = attempt(lease, opener, signal);
    const spare = await this.#spare(lease, first, signal);
    if (!spare) return await first;
    log.debug("Instance {spare} is tried beside {instance}", {
      spare: spare.instance.id,
      instance: lease.instance.id,
    });
    const second = attempt(spare, opener, signal);
    try {
      const [winner, opened] = await Promise.any([
        first.then((opened) => [first, opened] as const),
        second.then((opened) => [second, opened] as const),
      ]);
      if (winner === first) spare.end();
      else lease.end(spare.instance.id === lease.instance.id ? undefined : tookLong(lease));
      late.abort(new AwsocksError("aborted", "Another instance was faster"));
      this.#discard(winner === first ? second : first);
      return opened;
    } catch (error) {
      throw error instanceof AggregateError ? error.errors.at(-1) : error;
    }
  }

  /** Resolves when nothing is left of attempts that came too late. */
  async settled(): Promise<void> {
    await Promise.all(this.#late);
  }

  /** Another instance once one is needed; undefined when the attempt has settled without. */
  async #spare(
    lease: InstanceLease,
    attempt: Promise<unknown>,
    signal: AbortSignal,
  ): Promise<InstanceLease | undefined> {
    const outcome = attempt.then(
      () => "settled",
      (error) => isAwsocksError(error, ...OF_INSTANCE) ? "failed" : "settled",
    );
    for (let look = 1;; look++) {
      const state = await this.#orSlow(outcome, signal);
      if (state === "settled" || signal.aborted) return undefined;
      // Who cannot be asked for another one has told already.
      const again = state === "slow" && look > 1;
      const spare = await this.#options.instances.beside(lease, { signal, again })
        .catch(() => undefined);
      if (spare || state === "failed") return spare;
    }
  }

  async #orSlow(outcome: Promise<string>, signal: AbortSignal): Promise<string> {
    const abort = new AbortController();
    const patience = this.#options.clock.sleep(PATIENCE, {
      signal: AbortSignal.any([signal, abort.signal]),
    });
    try {
      return await Promise.race([outcome, patience.then(() => "slow", () => "settled")]);
    } finally {
      abort.abort();
    }
  }

  #discard(attempt: Promise<Opened>): void {
    const ended = attempt.then((opened) => opened.close(), () => {})
      .finally(() => this.#late.delete(ended));
    this.#late.add(ended);
  }
}

async function attempt<T extends Opened>(
  lease: InstanceLease,
  opener: Opener<T>,
  signal: AbortSignal,
): Promise<T> {
  try {
    const opened = await opener.open(lease.instance, { signal });
    lease.serve({
      get silence() {
        return opener.silence(opened);
      },
    });
    void opened.closed.then((reason) => lease.end(reason));
    return opened;
  } catch (error) {
    lease.end(error);
    log.debug("Instance {instance}: {reason}", {
      instance: lease.instance.id,
      reason: describeError(error),
    });
    throw error;
  }
}

function tookLong({ instance }: InstanceLease): AwsocksError {
  const message = `No session to ${instance.id} within ${PATIENCE / 1000} s`;
  return new AwsocksError("session-handshake-failed", message);
}
