/**
 * Makes sure that an instance runs.
 *
 * @module
 */

import { AwsocksError, type Clock, describeError, getLog, isAwsocksError } from "../core/mod.ts";
import type { Ec2Client, Instance } from "./client.ts";

const log = getLog("ec2");

const POLL_MS = 3000;
const LIMIT_MS = 600_000;

/** Options of {@linkcode ensureRunning}. */
export interface EnsureRunningOptions {
  readonly ec2: Ec2Client;
  readonly instance: Instance;
  /** Start it if it is stopped. */
  readonly autoStart: boolean;
  readonly clock: Clock;
  /** Takes a line for each step. */
  readonly onProgress?: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** An instance that runs. */
export interface RunningInstance {
  readonly instance: Instance;
  /** This call has started it. */
  readonly started: boolean;
}

/**
 * Waits for an instance to run, starting it if it is stopped and that is wanted.
 * @throws AwsocksError `instance-stopped`, `instance-start-failed`, `instance-not-found`, `aws-…`
 */
export async function ensureRunning(options: EnsureRunningOptions): Promise<RunningInstance> {
  const { ec2, clock, autoStart, onProgress, signal } = options;
  let { instance } = options;
  let started = false;
  let said = "";
  const deadline = clock.monotonic() + LIMIT_MS;
  for (;;) {
    switch (instance.state) {
      case "running":
      case "unknown":
        return { instance, started };
      case "stopped":
        if (!autoStart) throw stopped(instance);
        if (!started) {
          onProgress?.(`Starting ${describe(instance)}`);
          await ec2.startInstances([instance.id], { signal });
          started = true;
        }
        break;
      case "stopping":
        if (!autoStart) throw stopped(instance);
        break;
      case "pending":
        break;
      default:
        throw new AwsocksError("instance-not-found", `${describe(instance)} is ${instance.state}`);
    }
    if (clock.monotonic() >= deadline) {
      throw new AwsocksError(
        "instance-start-failed",
        `${describe(instance)} is still ${instance.state} after ${LIMIT_MS / 60_000} min`,
      );
    }
    const text = `Waiting for ${describe(instance)}: ${instance.state}`;
    if (text !== said) onProgress?.(said = text);
    await clock.sleep(POLL_MS, { signal });
    instance = await look(options, instance);
  }
}

/** One failed look does not end the wait. */
async function look({ ec2, signal }: EnsureRunningOptions, known: Instance): Promise<Instance> {
  try {
    const [instance] = await ec2.describeInstances({ instanceIds: [known.id] }, { signal });
    return instance ?? known;
  } catch (error) {
    signal?.throwIfAborted();
    if (isAwsocksError(error, "aws-access-denied", "instance-not-found")) throw error;
    log.debug("Could not look at {instance}: {reason}", {
      instance: known.id,
      reason: describeError(error),
    });
    return known;
  }
}

function stopped(instance: Instance): AwsocksError {
  return new AwsocksError("instance-stopped", `${describe(instance)} is ${instance.state}`);
}

function describe({ id, name }: Instance): string {
  return name ? `instance ${id} (${name})` : `instance ${id}`;
}
