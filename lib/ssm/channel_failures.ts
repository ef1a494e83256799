/**
 * What can go wrong with a data channel, in words.
 *
 * @module
 */

import { AwsocksError } from "../core/errors.ts";

/** The agent does not know the handshake. */
export function dataBeforeHandshake(sessionId: string): AwsocksError {
  return new AwsocksError(
    "session-handshake-failed",
    "The agent sent data without a handshake: it is too old for port sessions",
    { facts: { sessionId }, hint: "update the SSM agent to 3.0.222.0 or later" },
  );
}

/**
 * The handshake took too long: at the agent, unless the way there was not even open.
 * @param limit in milliseconds
 * @param cause why there is no WebSocket now; undefined when there is one
 */
export function overdue(sessionId: string, limit: number, cause: unknown): AwsocksError {
  const time = `within ${limit / 1000} s`;
  return new AwsocksError(
    "session-handshake-failed",
    cause === undefined
      ? `The agent did not complete the handshake ${time}`
      : `The data channel could not be opened ${time}`,
    { facts: { sessionId }, ...(cause !== undefined && { cause }) },
  );
}

/** Nothing was heard for too long. @param limit in milliseconds */
export function silent(sessionId: string, limit: number): AwsocksError {
  return new AwsocksError(
    "session-lost",
    `The agent has been silent for ${limit / 1000} s`,
    { facts: { sessionId } },
  );
}
