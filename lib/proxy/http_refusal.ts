/**
 * How an HTTP client is told why it gets no connection.
 *
 * @module
 */

import { explainError, toAwsocksError } from "../core/mod.ts";
import { encodeHead } from "./http_head.ts";

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  405: "Method Not Allowed",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** The answer to a request that came to nothing: status, message and hint; the connection ends with it. */
export function encodeRefusal(error: unknown, method = ""): Uint8Array {
  const failure = toAwsocksError(error);
  const status = failure.outcome.http;
  const text = `${explainError(failure)}\n${failure.hint && `Hint: ${failure.hint}\n`}`;
  const body = new TextEncoder().encode(text);
  const head = encodeHead({
    start: ["HTTP/1.1", String(status), REASONS[status] ?? "Error"],
    headers: [
      ["Content-Type", "text/plain; charset=utf-8"],
      ["Content-Length", String(body.length)],
      ...(status === 407 ? [["Proxy-Authenticate", 'Basic realm="awsocks"'] as const] : []),
      ["Connection", "close"],
    ],
  });
  if (method === "HEAD") return head;
  const response = new Uint8Array(head.length + body.length);
  response.set(head);
  response.set(body, head.length);
  return response;
}
