/**
 * Starting a session on an instance whose agent may still be on its way.
 *
 * @module
 */

import { describeError, getLog, isAwsocksError, retry } from "../core/mod.ts";
import {
  openSession,
  type OpenSessionOptions,
  type Session,
  type StartSessionRequest,
} from "../ssm/mod.ts";
import type { ReadyInstance } from "./instance.ts";

const log = getLog("backend");

/** Milliseconds in which StartSession may go on saying that a fresh instance is not connected. */
const FRESH_BUDGET = 180_000;

/** Starts a session; an instance that this run has started gets time for its agent to come online. */
export async function startSession(
  instance: Pick<ReadyInstance, "started">,
  request: StartSessionRequest,
  options: OpenSessionOptions,
): Promise<Session> {
  return await retry({
    clock: options.clock,
    initial: 2000,
    max: 10_000,
    budget: instance.started ? FRESH_BUDGET : 0,
    signal: options.signal,
    retryable: (error) => instance.started && isAwsocksError(error, "agent-offline"),
    onRetry: (error) => log.info("{reason}; trying again", { reason: describeError(error) }),
  }, () => openSession(request, options));
}
