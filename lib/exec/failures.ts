/**
 * What goes wrong between the two ends of the command protocol.
 *
 * @module
 */

import { AwsocksError, isAwsocksError } from "../core/mod.ts";

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
