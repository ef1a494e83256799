/**
 * One signed HTTP client for every AWS service: signs, sends, repeats what a repetition can mend, and
 * turns what is left into an AwsocksError.
 *
 * @module
 */

import {
  type Clock,
  type Credentials,
  type CredentialSource,
  getLog,
  isAwsocksError,
  retry,
  systemClock,
} from "../core/mod.ts";
import { type AwsServiceError, type HttpAnswer, parseServiceError, requestIdOf } from "./answer.ts";
import {
  type AwsService,
  endpointFor,
  type EndpointOptions,
  overrideStreamUrl,
} from "./endpoints.ts";
import { codeFor, mayBeSkew, serviceFailure } from "./errors.ts";
import { exchange, isLasting } from "./exchange.ts";
import type { AwsNetwork } from "./network.ts";
import { signRequest } from "./sign.ts";
import { USER_AGENT } from "./user_agent.ts";

/** A call of a service. */
export interface AwsRequest {
  readonly service: AwsService;
  /** Name of the operation, `StartSession`. */
  readonly operation: string;
  /** What the call is about, for messages: an instance id. */
  readonly subject?: string | undefined;
  /** Default `POST`. */
  readonly method?: string;
  /** Absolute path, with query if any; default `/`. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Fetches new credentials and tries once more when access is denied, not only when they expired. */
  readonly renewOnDenied?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Calls AWS in one region. Owns nothing: the network belongs to whoever made it. */
export interface AwsClient {
  readonly region: string;
  /**
   * Sends a call and returns its successful answer.
   * @throws AwsocksError `aws-…`, `credentials-…`, `agent-offline`, `instance-not-found`; for what a
   *   service said with `code`, `message`, `requestId` and `status` in its facts
   */
  readonly send: (request: AwsRequest) => Promise<HttpAnswer>;
  /** Headers that sign the WebSocket upgrade of a data channel. */
  readonly signUpgrade: (url: string, credentials: Credentials) => Promise<Headers>;
  /** The URL to dial for a StreamUrl; see {@linkcode overrideStreamUrl}. */
  readonly rewriteStreamUrl: (streamUrl: string) => string;
}

/** Options of {@linkcode createAwsClient}. */
export interface AwsClientOptions extends EndpointOptions {
  readonly credentials: CredentialSource;
  /** Makes `credentials` forget what it holds; called when AWS says that they have expired. */
  readonly refreshCredentials?: (options: { signal?: AbortSignal }) => Promise<unknown>;
  readonly region: string;
  readonly network: AwsNetwork;
  /** Default the system's. */
  readonly clock?: Clock;
  /** Limit of one attempt in milliseconds; default 15,000. */
  readonly timeout?: number;
  /** Attempts in all; default 4. */
  readonly attempts?: number;
  /** Source of random numbers for the back-off, for tests. */
  readonly random?: () => number;
}

const DEFAULT_TIMEOUT_MS = 15_000;
const DEFAULT_ATTEMPTS = 4;
/** Delays between attempts, and how long new ones start. */
const BACKOFF = { initial: 250, max: 5_000, budget: 45_000 };
/** AWS allows five minutes; a clock within four is not what a signature failed for. */
const SKEW_TOLERANCE_MS = 4 * 60_000;

/** A client for one region. Nothing is loaded, checked or sent before the first call. */
export function createAwsClient(options: AwsClientOptions): AwsClient {
  return new Client(options);
}

/** What was already mended in one call; each mending is tried once. */
interface Mended {
  clock: boolean;
  credentials: boolean;
}

const log = getLog("aws");

class Client implements AwsClient {
  readonly region: string;
  readonly #options: AwsClientOptions;
  readonly #clock: Clock;
  /** Milliseconds by which AWS's clock is ahead of ours. */
  #skew = 0;

  constructor(options: AwsClientOptions) {
    this.region = options.region;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  readonly signUpgrade = (url: string, credentials: Credentials): Promise<Headers> =>
    signRequest({
      method: "GET",
      url,
      service: "ssmmessages",
      region: this.region,
      credentials,
      now: this.#now(),
    });

  readonly rewriteStreamUrl = (streamUrl: string): string =>
    overrideStreamUrl(streamUrl, this.#options);

  async send(request: AwsRequest): Promise<HttpAnswer> {
    const action = actionOf(request);
    const clock = this.#clock;
    const start = clock.monotonic();
    const mended: Mended = { clock: false, credentials: false };
    let attempts = 0;
    try {
      const answer = await retry({
        ...BACKOFF,
        ...(this.#options.random && { random: this.#options.random }),
        clock,
        attempts: this.#options.attempts ?? DEFAULT_ATTEMPTS,
        signal: request.signal,
        retryable: isRetryable,
        onRetry: (error, delay, attempt) => {
          log.debug("{action} failed; trying again", { action, attempt, delay, error });
        },
      }, (attempt) => {
        attempts = attempt;
        return this.#attempt(request, mended);
      });
      const ms = Math.round(clock.monotonic() - start);
      log.debug("{action} answered", { action, ms, requestId: requestIdOf(answer.headers) });
      return answer;
    } catch (error) {
      // Whoever asked tells of the failure, and what comes of it.
      if (attempts > 1) log.debug("Giving up on {action}", { action, attempts, error });
      throw error;
    }
  }

  /** One attempt; repeated at once after something was mended that the answer complained of. */
  async #attempt(request: AwsRequest, mended: Mended): Promise<HttpAnswer> {
    for (;;) {
      const credentials = await this.#options.credentials(signalOf(request));
      const answer = await this.#exchange(request, credentials);
      if (answer.status < 300) return answer;
      const error = await parseServiceError(answer);
      if (!mended.clock && this.#mendClock(error, answer)) {
        mended.clock = true;
        continue;
      }
      if (!mended.credentials && isRenewable(error, request)) {
        mended.credentials = true;
        if (await this.#mendCredentials(error, request, credentials)) continue;
      }
      const { region } = this;
      throw serviceFailure(error, { action: actionOf(request), subject: request.subject, region });
    }
  }

  async #exchange(request: AwsRequest, credentials: Credentials): Promise<HttpAnswer> {
    const { service, method = "POST", path = "/", body, signal } = request;
    const { region } = this;
    const url = await endpointFor(service, region, this.#options) + path;
    const headers = await signRequest({
      method,
      url,
      headers: { ...request.headers, "user-agent": USER_AGENT },
      ...(body !== undefined && { body }),
      service,
      region,
      credentials,
      now: this.#now(),
    });
    return await exchange(
      { action: actionOf(request), region, method, url, headers, body, signal },
      {
        network: this.#options.network,
        clock: this.#clock,
        timeout: this.#options.timeout ?? DEFAULT_TIMEOUT_MS,
      },
    );
  }

  #now(): number {
    return this.#clock.now() + this.#skew;
  }

  /** Takes over AWS's time if the answer shows that ours is too far off for a signature. */
  #mendClock(error: AwsServiceError, answer: HttpAnswer): boolean {
    if (!mayBeSkew(error)) return false;
    const ahead = Date.parse(answer.headers.get("date") ?? "") - this.#clock.now();
    if (Number.isNaN(ahead) || Math.abs(ahead - this.#skew) < SKEW_TOLERANCE_MS) return false;
    this.#skew = ahead;
    log.warn("The clock of this machine is wrong; requests are signed with the time of AWS", {
      secondsBehind: Math.round(ahead / 1000),
    });
    return true;
  }

  /** Fetches credentials anew. @returns whether there are others than those that AWS refused */
  async #mendCredentials(
    error: AwsServiceError,
    request: AwsRequest,
    used: Credentials,
  ): Promise<boolean> {
    const action = actionOf(request);
    log.debug("{action} needs new credentials", { action, reason: error.code });
    try {
      await this.#options.refreshCredentials?.(signalOf(request));
    } catch (failure) {
      // Why there are none says more than that the old ones expired, but not than a denial.
      if (codeFor(error) === "credentials-expired") throw failure;
      log.debug("There are no new credentials", { error: failure });
    }
    const fresh = await this.#options.credentials(signalOf(request));
    return fresh.accessKeyId !== used.accessKeyId || fresh.sessionToken !== used.sessionToken;
  }
}

function actionOf({ service, operation }: AwsRequest): string {
  return `${service}:${operation}`;
}

function signalOf({ signal }: AwsRequest): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

function isRenewable(error: AwsServiceError, request: AwsRequest): boolean {
  const code = codeFor(error);
  return code === "credentials-expired" ||
    (code === "aws-access-denied" && request.renewOnDenied === true);
}

function isRetryable(error: unknown): boolean {
  return isAwsocksError(error, "aws-throttled", "aws-unavailable", "aws-unreachable") &&
    !isLasting(error);
}
