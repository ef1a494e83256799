/**
 * What failures mean to a backend: which ones last, and which ones say that a carrier is gone.
 *
 * @module
 */

import { type AwsocksError, type ErrorCode, isAwsocksError } from "../core/mod.ts";

/** Failures that waiting does not mend: a request gets them at once instead of at its deadline. */
const LASTING: readonly ErrorCode[] = [
  "config-invalid",
  "credentials-missing",
  "credentials-expired",
  "credentials-invalid",
  "aws-access-denied",
  "aws-region-invalid",
  "instance-not-found",
  "instance-ambiguous",
  "instance-stopped",
  "instance-start-failed",
  "agent-offline",
  "session-handshake-failed",
  "tunnel-incompatible",
  "ssh-key-missing",
  "ssh-key-invalid",
  "ssh-key-passphrase",
  "ssh-auth-failed",
  "ssh-host-key-changed",
  "ssh-handshake-failed",
  "unsupported-platform",
  "usage",
  "internal",
];

/** Failures that say the carrier died under a dial, so that another may still serve it. */
export const CARRIER_GONE: readonly ErrorCode[] = [
  "ssh-closed",
  "session-closed",
  "session-lost",
  "tunnel-closed",
  "tunnel-protocol-error",
];

/** True for a failure that waiting does not mend. */
export function isLasting(error: unknown): boolean {
  return isAwsocksError(error, ...LASTING);
}

/** True for a failure of the destination, which says nothing against the way to it. */
export function isAboutDestination(error: unknown): error is AwsocksError {
  return isAwsocksError(error) && error.code.startsWith("destination-");
}
