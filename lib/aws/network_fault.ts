/**
 * What went wrong between this machine and AWS. `fetch` tells it only in words, and this is the one
 * place that reads them.
 *
 * @module
 */

import { describeError } from "../core/mod.ts";

/** Kinds of fault that the client treats differently. */
export type FaultKind = "dns" | "certificate" | "proxy-auth" | "proxy" | "connection";

/** A fault and its reason in words. */
export interface NetworkFault {
  readonly kind: FaultKind;
  /** For the end of a message, for example `the connection was refused`. */
  readonly reason: string;
}

/** Words of Deno's HTTP client (hyper, rustls) that mark a fault; first match wins. */
const FAULTS: readonly (readonly [RegExp, FaultKind, string | undefined])[] = [
  [/proxy authentication required/i, "proxy-auth", "the proxy wants a user name and password"],
  [/tunnel/i, "proxy", "the proxy refused the connection"],
  [/dns error|failed to lookup address/i, "dns", "the name cannot be resolved"],
  [/invalid peer certificate: UnknownIssuer/i, "certificate", "the certificate is not trusted"],
  [/invalid peer certificate: (Expired|NotValidYet)/i, "certificate", "the certificate is expired"],
  [/invalid peer certificate/i, "certificate", "the certificate is not valid for this name"],
  [/InvalidContentType|corrupt message/i, "certificate", "the answer is not TLS"],
  [/connection refused/i, "connection", "the connection was refused"],
  [/reset by peer|closed before|unexpected eof|broken pipe/i, "connection", "the connection broke"],
  [/network is unreachable|no route to host/i, "connection", "there is no route to it"],
  [/timed out/i, "connection", "the connection timed out"],
];

/** Reads what `fetch` threw. */
export function networkFault(error: unknown): NetworkFault {
  const words = describeError(error);
  for (const [pattern, kind, reason] of FAULTS) {
    if (reason !== undefined && pattern.test(words)) return { kind, reason };
  }
  return { kind: "connection", reason: lastPart(words) };
}

/** Of a chain joined with colons, the innermost part says most. */
function lastPart(words: string): string {
  return words.split(": ").at(-1) ?? words;
}
