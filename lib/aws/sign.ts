/**
 * Signature Version 4 over a request's method, URL, headers and body, through `aws4fetch`.
 * Source: AWS documentation, "Create a signed AWS API request".
 *
 * @module
 */

import type { Credentials } from "../core/mod.ts";

/** A request to sign. */
export interface SignableRequest {
  readonly method: string;
  /** Absolute `http:`, `https:`, `ws:` or `wss:` URL. A WebSocket URL is signed as its HTTP twin. */
  readonly url: string;
  readonly headers?: HeadersInit;
  readonly body?: string;
  /** Name in the credential scope: `ssm`, `ec2`, `ssmmessages`. */
  readonly service: string;
  /** Region in the credential scope. */
  readonly region: string;
  readonly credentials: Credentials;
  /** Time of the signature in milliseconds since the Unix epoch; AWS allows five minutes of error. */
  readonly now: number;
}

/** Headers that a proxy or the HTTP library may change on the way; sent, but not signed. */
const UNSIGNED_HEADERS: ReadonlySet<string> = new Set([
  "authorization",
  "connection",
  "content-length",
  "expect",
  "te",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "x-amzn-trace-id",
]);

/**
 * The request's headers with `authorization`, `x-amz-date` and, for temporary credentials,
 * `x-amz-security-token`. `host` is signed but left to the HTTP library to send.
 *
 * The query is canonicalised as Go's signer does it, which the service is known to accept: a raw `+`
 * reads as a space. The URL itself is not touched, so it can be sent byte for byte.
 */
export async function signRequest(request: SignableRequest): Promise<Headers> {
  const { AwsV4Signer } = await import("aws4fetch");
  const signable = new Headers();
  const unsigned: [string, string][] = [];
  for (const [name, value] of new Headers(request.headers)) {
    if (UNSIGNED_HEADERS.has(name)) unsigned.push([name, value]);
    else signable.set(name, value);
  }
  const { accessKeyId, secretAccessKey, sessionToken } = request.credentials;
  const signer = new AwsV4Signer({
    method: request.method,
    url: request.url.replace(/^ws(?=s?:)/i, "http"),
    headers: signable,
    accessKeyId,
    secretAccessKey,
    service: request.service,
    region: request.region,
    datetime: basicIsoDate(request.now),
    allHeaders: true,
    ...(request.body !== undefined && { body: request.body }),
    ...(sessionToken !== undefined && { sessionToken }),
  });
  const { headers } = await signer.sign();
  for (const [name, value] of unsigned) headers.set(name, value);
  return headers;
}

/** ISO 8601 basic format in seconds, `20250101T000000Z`. */
function basicIsoDate(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[:-]|\.\d{3}/g, "");
}
