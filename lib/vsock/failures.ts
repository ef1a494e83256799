/**
 * What the operating system says of connections to the far side, in the words of the project.
 *
 * @module
 */

import { AwsocksError } from "../core/mod.ts";
import { formatVsockAddress, type VsockAddress } from "./address.ts";

/** By errno name; see connect(2), bind(2), unix(7) and vsock(7). */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the other side hung up",
  ENOENT: "there is no such socket",
  ENOTDIR: "there is no such socket",
  EACCES: "not allowed",
  EPERM: "not allowed",
  ENODEV: "no virtual machine has that context id",
  ENETUNREACH: "the network is unreachable",
  EHOSTUNREACH: "there is no route to it",
  ETIMEDOUT: "no answer",
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "this machine has no such address",
  EAFNOSUPPORT: "this system has no AF_VSOCK; on Linux, load the module vsock",
};

/** Name of the error of the system, such as `ECONNREFUSED`. */
export function errnoOf(cause: unknown): string | undefined {
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

function reasonOf(cause: unknown): string {
  const known = REASONS[errnoOf(cause) ?? ""];
  return known ?? (cause instanceof Error ? cause.message : String(cause));
}

function facts(address: VsockAddress, cause: unknown) {
  return { address: formatVsockAddress(address), errno: errnoOf(cause) };
}

/** A failed connection, `vsock-connect-failed`; what is an {@linkcode AwsocksError} already stays. */
export function connectError(address: VsockAddress, cause: unknown): AwsocksError {
  if (cause instanceof AwsocksError) return cause;
  if (errnoOf(cause) === "unsupported-platform") return platformError(cause);
  const where = formatVsockAddress(address);
  return new AwsocksError(
    "vsock-connect-failed",
    `Could not connect to ${where}: ${reasonOf(cause)}`,
    { cause, facts: facts(address, cause) },
  );
}

/** A handshake that the device in between did not answer as it should. */
export function handshakeError(address: VsockAddress, why: string): AwsocksError {
  const where = formatVsockAddress(address);
  return new AwsocksError("vsock-connect-failed", `Could not connect to ${where}: ${why}`, {
    facts: { address: where },
  });
}

/** A connection that took too long. */
export function connectTimeout(address: VsockAddress, milliseconds: number): AwsocksError {
  const where = formatVsockAddress(address);
  return new AwsocksError(
    "timeout",
    `Could not connect to ${where}: no answer within ${milliseconds / 1000} s`,
    { facts: { address: where } },
  );
}

/** An address on which one cannot listen, `listen-failed`. */
export function listenError(address: VsockAddress, cause: unknown): AwsocksError {
  if (cause instanceof AwsocksError) return cause;
  if (errnoOf(cause) === "unsupported-platform") return platformError(cause);
  const where = formatVsockAddress(address);
  const inUse = errnoOf(cause) === "EADDRINUSE";
  return new AwsocksError("listen-failed", `Could not listen on ${where}: ${reasonOf(cause)}`, {
    cause,
    facts: facts(address, cause),
    ...(inUse ? {} : { hint: "" }),
  });
}

function platformError(cause: unknown): AwsocksError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AwsocksError("unsupported-platform", why, {
    cause,
    hint: "use a unix: or tcp: address on this system",
  });
}
