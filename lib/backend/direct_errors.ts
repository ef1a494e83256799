/**
 * What the operating system and its resolver say of a failed connection, in the words of the project.
 *
 * @module
 */

import { AwsocksError, type ErrorCode, formatTarget, type Target } from "../core/mod.ts";

interface Meaning {
  readonly code: ErrorCode;
  readonly why: string;
}

/** By errno name; see connect(2) and tcp(7). */
const CONNECT_MEANINGS: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: { code: "destination-refused", why: "connection refused" },
  EHOSTUNREACH: { code: "destination-unreachable", why: "no route to host" },
  EHOSTDOWN: { code: "destination-unreachable", why: "host is down" },
  ENETUNREACH: { code: "destination-network-unreachable", why: "network is unreachable" },
  ENETDOWN: { code: "destination-network-unreachable", why: "network is down" },
  EADDRNOTAVAIL: {
    code: "destination-network-unreachable",
    why: "this machine has no address for that network",
  },
  ETIMEDOUT: { code: "destination-timeout", why: "no answer" },
  EACCES: { code: "destination-prohibited", why: "a firewall of this machine forbids it" },
  EPERM: { code: "destination-prohibited", why: "a firewall of this machine forbids it" },
};

/** By the names of getaddrinfo(3) failures. */
const LOOKUP_MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOTFOUND: { code: "destination-name-unknown", why: "the name is unknown" },
  ENODATA: { code: "destination-name-unknown", why: "the name has no address" },
  EAI_AGAIN: { code: "destination-unreachable", why: "the name server does not answer" },
};

/** A failed `Deno.connect`. */
export function connectError(cause: unknown, target: Target): AwsocksError {
  return meant(CONNECT_MEANINGS, cause, target);
}

/** A failed lookup; without a cause, one that found nothing. */
export function lookupError(cause: unknown, target: Target): AwsocksError {
  if (cause === undefined) return failure(LOOKUP_MEANINGS.ENODATA!, target);
  return meant(LOOKUP_MEANINGS, cause, target);
}

/** A dial that took too long. */
export function timeoutError(target: Target, milliseconds: number): AwsocksError {
  const why = `no answer within ${milliseconds / 1000} s`;
  return failure({ code: "destination-timeout", why }, target);
}

function meant(
  meanings: Readonly<Record<string, Meaning>>,
  cause: unknown,
  target: Target,
): AwsocksError {
  const errno = (cause as { code?: unknown } | undefined)?.code;
  const known = typeof errno === "string" && Object.hasOwn(meanings, errno)
    ? meanings[errno]
    : undefined;
  const why = cause instanceof Error ? cause.message : String(cause);
  return failure(known ?? { code: "destination-failed", why }, target, cause);
}

function failure({ code, why }: Meaning, target: Target, cause?: unknown): AwsocksError {
  // The hints of the table speak of the instance, which has no part in this.
  const options = { hint: "", facts: { host: target.host, port: target.port } };
  return new AwsocksError(
    code,
    `Could not connect to ${formatTarget(target)} directly: ${why}`,
    cause === undefined ? options : { ...options, cause },
  );
}
