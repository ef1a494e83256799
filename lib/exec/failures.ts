/**
 * What goes wrong between the two ends of the command protocol.
 *
 * @module
 */

import { AwsocksError, isAwsocksError, toAwsocksError } from "../core/mod.ts";

/** A byte where a frame should begin that is no TYPE. */
export function unknownType(type: number): AwsocksError {
  return protocolError(`There is no frame of type ${type}`);
}

/** A connection that ended within a frame. */
export function truncated(bytes: number): AwsocksError {
  return protocolError(`The connection ended ${bytes} bytes into a frame`);
}

/** A peer that does not keep to the protocol; the connection is of no use any more. */
export function protocolError(what: string): AwsocksError {
  return new AwsocksError("exec-protocol-error", what);
}

/** A connection that is over before its time. What says so already stays as it is. */
export function closedError(what: string, cause?: unknown): AwsocksError {
  if (isAwsocksError(cause, "exec-protocol-error", "exec-closed")) return cause;
  return new AwsocksError("exec-closed", what, cause === undefined ? {} : { cause });
}

/** Failures that mean what they say wherever they come from: nothing was tried, or it was stopped. */
const PLAIN = ["usage", "unsupported-platform", "aborted"] as const;

/**
 * A failure at the end of a program whose exit code is otherwise that of somebody's command: its exit
 * code is one that commands hardly use, as with env(1) and timeout(1).
 */
export function withoutStatus(error: unknown): AwsocksError {
  const cause = toAwsocksError(error);
  if (isAwsocksError(cause, ...PLAIN)) return cause;
  return new AwsocksError("exec-failed", "No command was run to its end", { cause });
}
