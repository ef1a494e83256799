/**
 * The HTTP side of the AWS SDK's STS, SSO and sign-in clients, over `fetch`.
 *
 * With it these calls go the same way as all others (HTTPS_PROXY, NO_PROXY, AWS_CA_BUNDLE are the
 * business of the `fetch` given), can be aborted, leave no idle sockets, and what went wrong on the
 * wire can be told from what AWS answered: the SDK wraps both beyond recognition.
 *
 * @module
 */

import { AwsocksError, type Clock, withDeadline } from "../core/mod.ts";

/** The function that sends requests; that of `globalThis` or one bound to a proxy. */
export type Fetch = (input: URL, init: RequestInit) => Promise<Response>;

/** Milliseconds one HTTP request may take. */
const REQUEST_LIMIT_MS = 15_000;

/** The part of the SDK's `HttpRequest` that is used. */
export interface SdkRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: BodyInit;
}

/** The part of the SDK's `HttpResponse` that it needs. */
export interface SdkResponse {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

/** How the latest request ended. */
export interface Exchange {
  readonly host: string;
  readonly path: string;
  /** Status of the answer; absent when there was none. */
  readonly status?: number;
  /** Why there was no answer. */
  readonly error?: unknown;
}

/** Options of {@linkcode FetchHandler}. */
export interface FetchHandlerOptions {
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** Aborts requests under way and refuses new ones. */
  readonly signal: AbortSignal;
}

/** No answer came. `code` is one that the SDK takes for passing trouble, which makes it try again. */
class NoAnswerError extends Error {
  override readonly name = "NoAnswerError";
  readonly code = "ECONNRESET";
}

/** A `requestHandler` for the SDK's clients. One per load: it remembers the latest exchange. */
export class FetchHandler {
  readonly metadata = { handlerProtocol: "http/1.1" };
  readonly #options: FetchHandlerOptions;
  #last: Exchange | undefined;

  constructor(options: FetchHandlerOptions) {
    this.#options = options;
  }

  /** How the latest request ended; undefined when there was none. */
  get last(): Exchange | undefined {
    return this.#last;
  }

  /** Sends a request; called by the SDK. */
  async handle(request: SdkRequest): Promise<{ response: SdkResponse }> {
    const { fetch, clock, signal } = this.#options;
    const url = urlOf(request);
    const place = { host: url.host, path: url.pathname };
    const timeout = () =>
      new AwsocksError("timeout", `No answer of ${url.host} within ${REQUEST_LIMIT_MS / 1000} s`);
    try {
      const response = await withDeadline(clock, REQUEST_LIMIT_MS, timeout, async (signal) => {
        const answer = await fetch(url, {
          method: request.method,
          headers: headersOf(request),
          body: request.body ?? null,
          redirect: "manual",
          signal,
        });
        return {
          statusCode: answer.status,
          headers: Object.fromEntries(answer.headers),
          body: await answer.bytes(),
        };
      }, signal);
      this.#last = { ...place, status: response.statusCode };
      return { response };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      this.#last = { ...place, error };
      throw new NoAnswerError(`No answer of ${url.host}`, { cause: error });
    }
  }

  /** Part of the SDK's interface; there is nothing to set. */
  updateHttpClientConfig(): void {}

  /** Part of the SDK's interface; there is nothing to tell. */
  httpHandlerConfigs(): Record<string, never> {
    return {};
  }
}

function urlOf(request: SdkRequest): URL {
  const port = request.port === undefined ? "" : `:${request.port}`;
  const url = new URL(`${request.protocol}//${request.hostname}${port}${request.path}`);
  for (const [name, value] of Object.entries(request.query ?? {})) {
    for (const item of typeof value === "string" ? [value] : value ?? [""]) {
      url.searchParams.append(name, item);
    }
  }
  return url;
}

/** `fetch` sets these two itself, to what the SDK has signed. */
function headersOf(request: SdkRequest): Headers {
  const headers = new Headers(request.headers);
  headers.delete("host");
  headers.delete("content-length");
  return headers;
}
