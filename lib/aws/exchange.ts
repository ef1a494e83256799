/**
 * One request and its answer: the time limit, the body read to its end, and every way in which the
 * network or something on the way stands in for AWS.
 *
 * @module
 */

import { AwsocksError, type Clock, withDeadline } from "../core/mod.ts";
import { type HttpAnswer, webPageTitle } from "./answer.ts";
import type { AwsNetwork } from "./network.ts";
import { type FaultKind, networkFault } from "./network_fault.ts";
import { isKnownRegion, nearestRegion } from "./regions.ts";

/** A signed request. */
export interface ExchangeRequest {
  /** IAM action, for messages. */
  readonly action: string;
  readonly region: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What an exchange needs. */
export interface ExchangeContext {
  readonly network: Pick<AwsNetwork, "fetch" | "proxyFor">;
  readonly clock: Clock;
  /** Limit from the first packet to the last byte of the answer, in milliseconds. */
  readonly timeout: number;
}

/** Longest answer that is read; a full page of DescribeInstances is about 4 MB. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Faults that no repetition mends, as `facts.fault` of the error. */
const LASTING: ReadonlySet<unknown> = new Set(
  ["certificate", "proxy-auth", "web-page", "redirect", "size"] satisfies (FaultKind | Fault)[],
);
type Fault = "web-page" | "redirect" | "size" | "timeout";

/** True if the failure of an exchange will be the same next time. */
export function isLasting(error: AwsocksError): boolean {
  return LASTING.has(error.facts.fault);
}

/**
 * Sends one request and reads the answer, whatever its status.
 * @throws AwsocksError `aws-unreachable` with `facts.fault`, `aws-unavailable` for an error page of a
 *   gateway, `aws-region-invalid` for a host name that does not exist in an unknown region
 */
export async function exchange(
  request: ExchangeRequest,
  context: ExchangeContext,
): Promise<HttpAnswer> {
  const { clock, timeout, network } = context;
  const late = () =>
    unreachable(request, network, "timeout", `there was no answer within ${timeout / 1000} s`);
  const answer = await withDeadline(clock, timeout, late, async (signal) => {
    try {
      const response = await network.fetch(request.url, {
        method: request.method,
        headers: request.headers,
        redirect: "manual",
        signal,
        ...(request.body !== undefined && { body: request.body }),
      });
      const body = await readBody(response);
      if (body === undefined) {
        throw unreachable(request, network, "size", "the answer is longer than any of AWS's");
      }
      return { status: response.status, headers: response.headers, body };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof AwsocksError) throw error;
      throw await networkFailure(error, request, network);
    }
  }, request.signal);
  throwIfNotAws(answer, request, network);
  return answer;
}

/** The body as text; undefined beyond the limit. */
async function readBody(response: Response): Promise<string | undefined> {
  if (!response.body) return "";
  const decoder = new TextDecoder();
  let text = "";
  let total = 0;
  for await (const chunk of response.body) {
    total += chunk.byteLength;
    if (total > MAX_BODY_BYTES) return undefined; // leaving the loop cancels the body
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

async function networkFailure(
  error: unknown,
  request: ExchangeRequest,
  network: Pick<AwsNetwork, "proxyFor">,
): Promise<AwsocksError> {
  const { kind, reason } = networkFault(error);
  const { region, url } = request;
  const direct = network.proxyFor(url) === undefined;
  if (kind === "dns" && direct && url.includes(`.${region}.`) && !isKnownRegion(region)) {
    const nearest = await nearestRegion(region);
    return new AwsocksError(
      "aws-region-invalid",
      `${new URL(url).host} does not exist: "${region}" is not a known AWS region${nearest}`,
      { cause: error, facts: { region, fault: kind } },
    );
  }
  return unreachable(request, network, kind, reason, error);
}

const INTERPOSED =
  "something between this machine and AWS answered: log in to the network, or check HTTPS_PROXY";

const HINTS: Readonly<Partial<Record<FaultKind | Fault, string>>> = {
  "certificate": "if something on the way inspects TLS, give its certificate with AWS_CA_BUNDLE",
  "proxy-auth": "put user and password into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT",
  "web-page": INTERPOSED,
  "redirect": INTERPOSED,
};

function unreachable(
  { action, url }: ExchangeRequest,
  network: Pick<AwsNetwork, "proxyFor">,
  fault: FaultKind | Fault,
  reason: string,
  cause?: unknown,
): AwsocksError {
  const proxy = network.proxyFor(url);
  const through = proxy === undefined ? "" : ` through the proxy ${new URL(proxy).host}`;
  const host = new URL(url).host;
  const hint = HINTS[fault];
  return new AwsocksError(
    "aws-unreachable",
    `Could not reach ${host}${through} for ${action}: ${reason}`,
    {
      facts: { action, host, fault },
      ...(hint !== undefined && { hint }),
      ...(cause !== undefined && { cause }),
    },
  );
}

/** Catches answers that cannot be AWS's: redirects, a proxy's demands, web pages. */
function throwIfNotAws(
  answer: HttpAnswer,
  request: ExchangeRequest,
  network: Pick<AwsNetwork, "proxyFor">,
): void {
  const { status } = answer;
  if (status === 407) {
    throw unreachable(request, network, "proxy-auth", "the proxy wants a user name and password");
  }
  if (status >= 300 && status < 400) {
    const location = answer.headers.get("location") ?? "";
    const to = URL.canParse(location) ? ` to ${new URL(location).host}` : "";
    throw unreachable(request, network, "redirect", `the answer is a redirect${to}`);
  }
  const title = webPageTitle(answer);
  if (title === undefined) return;
  const page = title ? `the web page "${title}"` : "a web page";
  const reason = `the answer is ${page} with HTTP status ${status}`;
  if (status < 500) throw unreachable(request, network, "web-page", reason);
  throw new AwsocksError("aws-unavailable", `${request.action} failed: ${reason}`, {
    facts: { action: request.action, status },
  });
}
