/**
 * Keeps credentials valid: loads them on first use, again before they expire and when the files they
 * come from change, and tells who wants to know.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  type Credentials,
  type CredentialSource,
  describeError,
  getLog,
  isAwsocksError,
  orAborted,
  type Timer,
  withDeadline,
} from "../core/mod.ts";
import type { Attempt, Prepare } from "./loader.ts";
import { EXPIRY_MARGIN_MS, refreshDelay, RETRY_DELAY_MS } from "./schedule.ts";
import { FileWatcher } from "./watcher.ts";
import type { Watched } from "./watch_points.ts";

/** Takes new credentials. */
export type CredentialListener = (credentials: Credentials) => void;

/** Credentials that stay valid. */
export interface CredentialManager extends AsyncDisposable {
  /**
   * Gives credentials that are valid now: those at hand, else loads them. Calls at the same time
   * share one load; the signal ends the caller's wait, not the load.
   *
   * @throws AwsocksError `credentials-missing`, `credentials-expired`, `credentials-invalid`,
   * `aws-unreachable`, `aws-unavailable`, `aws-throttled`, `timeout`; `aborted` after `close`
   */
  readonly source: CredentialSource;
  /**
   * Calls `listener` each time the credentials have become others, the first ones included.
   * @returns ends the subscription when disposed
   */
  onUpdate(listener: CredentialListener): Disposable;
  /** Loads now, whatever is at hand; fails as {@linkcode source} does. */
  refresh(options?: { signal?: AbortSignal | undefined }): Promise<Credentials>;
  /**
   * Begins to watch the files and to refresh in time; loads nothing. The first load begins it too.
   * Resolves when changes of the files are noticed. Idempotent.
   */
  start(): Promise<void>;
  /** Ends loads, timers and watching. Idempotent. */
  close(): Promise<void>;
}

/** Options of {@linkcode RefreshingCredentials}. */
export interface RefreshingCredentialsOptions {
  readonly prepare: Prepare;
  readonly clock: Clock;
  /** Files and directories whose change may mean new credentials. */
  readonly watch: readonly Watched[];
}

/** What the latest load went by. */
interface Seen {
  readonly settings: string;
  readonly token: string;
}

/** The {@linkcode CredentialManager} over a loader. */
export class RefreshingCredentials implements CredentialManager {
  readonly #prepare: Prepare;
  readonly #clock: Clock;
  readonly #watcher: FileWatcher;
  readonly #log = getLog("credentials");
  readonly #listeners = new Set<CredentialListener>();
  readonly #closing = new AbortController();
  #current: Credentials | undefined;
  #loading: Promise<Credentials> | undefined;
  #next: Promise<Credentials> | undefined;
  #seen: Seen | undefined;
  #timer: Timer | undefined;
  #started: Promise<void> | undefined;
  #lastFailure: string | undefined;
  #checking: Promise<void> = Promise.resolve();

  constructor(options: RefreshingCredentialsOptions) {
    this.#prepare = options.prepare;
    this.#clock = options.clock;
    this.#watcher = new FileWatcher({
      paths: options.watch,
      clock: options.clock,
      onChange: () => void (this.#checking = this.#checking.then(() => this.#filesChanged())),
    });
  }

  readonly source: CredentialSource = async (options = {}) => {
    const { signal } = options;
    signal?.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    const current = this.#current;
    const margin = this.#clock.now() + EXPIRY_MARGIN_MS;
    if (current && (current.expiration === undefined || current.expiration > margin)) {
      return current;
    }
    return await orAborted(this.#load(), signal);
  };

  onUpdate(listener: CredentialListener): Disposable {
    // Wrapped, so that the same function subscribed twice is called twice.
    const own: CredentialListener = (credentials) => listener(credentials);
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  async refresh(options: { signal?: AbortSignal | undefined } = {}): Promise<Credentials> {
    const { signal } = options;
    signal?.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    return await orAborted(this.#reload(), signal);
  }

  start(): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.resolve();
    return this.#started ??= this.#watcher.start();
  }

  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort(new AwsocksError("aborted", "The credentials were closed"));
    }
    this.#timer?.cancel();
    this.#listeners.clear();
    await this.#watcher.close();
    await Promise.allSettled([this.#loading, this.#next, this.#checking]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Joins the load under way or begins one. */
  #load(): Promise<Credentials> {
    this.#loading ??= this.#run().finally(() => this.#loading = undefined);
    return this.#loading;
  }

  /** A load that begins after now: one under way may have read the old state already. */
  #reload(): Promise<Credentials> {
    if (!this.#loading) return this.#load();
    const begin = () => {
      this.#next = undefined;
      return this.#load();
    };
    return this.#next ??= this.#loading.then(begin, begin);
  }

  /** A load that nobody waits for; {@linkcode #failed} has told what there is to tell. */
  #loadInBackground(): void {
    this.#reload().catch(() => {});
  }

  async #run(): Promise<Credentials> {
    this.#closing.signal.throwIfAborted();
    void this.start();
    this.#timer?.cancel();
    const attempt = await this.#prepare();
    const { settings } = attempt;
    // The token is looked at before a load that fails, so that a login meanwhile counts as a change,
    // and after one that succeeds, because the load may have refreshed the token itself.
    const token = await attempt.token();
    try {
      const credentials = await withDeadline(
        this.#clock,
        attempt.limit,
        () => tooSlow(attempt),
        (signal) => attempt.load(signal),
        this.#closing.signal,
      );
      this.#seen = { settings, token: await attempt.token() };
      this.#accept(credentials, attempt);
      return credentials;
    } catch (error) {
      this.#seen = { settings, token };
      this.#failed(error, attempt);
      throw error;
    }
  }

  #accept(credentials: Credentials, attempt: Attempt): void {
    const before = this.#current;
    this.#current = credentials;
    this.#lastFailure = undefined;
    const changed = before === undefined || !sameKeys(before, credentials);
    const { expiration } = credentials;
    const expires = expiration === undefined ? "never" : new Date(expiration).toISOString();
    const fields = { ...attempt.fields, expires };
    if (!changed) this.#log.debug("AWS credentials are unchanged", fields);
    else if (before) this.#log.info("AWS credentials refreshed", fields);
    else this.#log.info("AWS credentials loaded", fields);
    if (expiration !== undefined) {
      this.#loadAfter(refreshDelay(expiration - this.#clock.now()), attempt);
    }
    if (changed) this.#notify(credentials);
  }

  #failed(error: unknown, attempt: Attempt): void {
    if (this.#closing.signal.aborted) return;
    this.#loadAfter(RETRY_DELAY_MS, attempt);
    const reason = describeError(error);
    const fields = {
      ...attempt.fields,
      code: isAwsocksError(error) ? error.code : "internal",
      reason,
      ...(isAwsocksError(error) && error.hint && { hint: error.hint }),
      ...(this.#timer && { retryIn: `${RETRY_DELAY_MS / 1000} s` }),
    };
    // Told once; the same failure every ten seconds is not news.
    if (reason === this.#lastFailure) this.#log.debug("Loading AWS credentials failed", fields);
    else this.#log.warn("Loading AWS credentials failed", fields);
    this.#lastFailure = reason;
  }

  /** Where a person has to answer, loads happen on demand only: nobody likes to be asked at night. */
  #loadAfter(ms: number, attempt: Attempt): void {
    this.#timer?.cancel();
    this.#timer = attempt.interactive || this.#closing.signal.aborted
      ? undefined
      : this.#clock.after(ms, () => this.#loadInBackground());
  }

  #notify(credentials: Credentials): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(credentials);
      } catch (error) {
        this.#log.error("A receiver of new credentials failed", { reason: describeError(error) });
      }
    }
  }

  /** Loads again if what was written concerns the credentials in use. */
  async #filesChanged(): Promise<void> {
    await this.#loading?.catch(() => {});
    const seen = this.#seen;
    // Nothing was asked for yet: the first request will read what is there.
    if (!seen || this.#closing.signal.aborted) return;
    const attempt = await this.#prepare();
    if (attempt.settings === seen.settings && await attempt.token() === seen.token) return;
    if (this.#closing.signal.aborted) return;
    this.#log.debug("The AWS files have changed", attempt.fields);
    this.#loadInBackground();
  }
}

function sameKeys(a: Credentials, b: Credentials): boolean {
  return a.accessKeyId === b.accessKeyId && a.secretAccessKey === b.secretAccessKey &&
    a.sessionToken === b.sessionToken;
}

function tooSlow({ limit, fields }: Attempt): AwsocksError {
  const text = `Loading AWS credentials took longer than ${limit / 1000} s`;
  return new AwsocksError("timeout", text, { facts: fields });
}
