/**
 * Brings an instance to `running`, from whatever state it is in.
 *
 * Whether its SSM agent is connected is another matter: see `describeInstanceInformation` of `ssm`.
 *
 * @module
 */

import { AwsocksError, type Clock, getLog, isAwsocksError } from "../core/mod.ts";
import type { Ec2Client } from "./client.ts";
import { type Instance, label } from "./instance.ts";

/** Options of {@linkcode ensureRunning}. */
export interface EnsureRunningOptions {
  readonly ec2: Ec2Client;
  /** As `resolveInstance` has just found it. */
  readonly instance: Instance;
  /** Whether a stopped instance may be started. */
  readonly autoStart: boolean;
  readonly clock: Clock;
  /** Takes a line for each step. */
  readonly onProgress?: ((text: string) => void) | undefined;
  /** Called as soon as this run has started it, before it runs: it may have to be stopped again. */
  readonly onStarted?: ((instance: Instance) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A running instance. */
export interface RunningInstance {
  /** As last seen; its state is `running`, or `unknown` where EC2 cannot be asked. */
  readonly instance: Instance;
  /** True if this call started it: only then may auto-stop stop it. */
  readonly started: boolean;
}

/** Time in which an instance has to get up, in milliseconds. */
export const START_LIMIT_MS = 10 * 60_000;
/** Time between two looks, in milliseconds. */
const POLL_MS = 3_000;
/** EC2's answers may lag behind StartInstances: until then `stopped` is no surprise. */
const STALE_MS = 30_000;

const log = getLog("ec2");

/**
 * Waits until the instance runs, starting it if it is stopped and `autoStart` allows it.
 *
 * @throws AwsocksError `instance-stopped` without `autoStart`, `instance-start-failed` when it cannot
 *   be started, stops again or takes longer than ten minutes, `aws-access-denied` and others of AWS
 */
export async function ensureRunning(options: EnsureRunningOptions): Promise<RunningInstance> {
  return await new Starter(options).run();
}

class Starter {
  readonly #options: EnsureRunningOptions;
  #instance: Instance;
  /** When StartInstances was accepted. */
  #askedAt: number | undefined;
  /** Seen on its way up after that. */
  #rose = false;
  #started = false;
  #reported = "";

  constructor(options: EnsureRunningOptions) {
    this.#options = options;
    this.#instance = options.instance;
  }

  async run(): Promise<RunningInstance> {
    const { clock, signal } = this.#options;
    const deadline = clock.monotonic() + START_LIMIT_MS;
    while (!await this.#step()) {
      if (clock.monotonic() >= deadline) {
        throw this.#failed(
          `it is ${this.#instance.state} after ${START_LIMIT_MS / 60_000} minutes`,
        );
      }
      this.#report(`Waiting for ${label(this.#instance)} to run: it is ${this.#instance.state}`);
      await clock.sleep(POLL_MS, { signal });
      await this.#look();
    }
    return { instance: this.#instance, started: this.#started };
  }

  /** Does what the state asks for. @returns true when there is nothing left to wait for */
  async #step(): Promise<boolean> {
    const { state } = this.#instance;
    switch (state) {
      case "running":
        return true;
      case "unknown":
        if (this.#options.autoStart) {
          log.info("The state of {instance} is not known, so it is not started", {
            instance: label(this.#instance),
          });
        }
        return true;
      case "pending":
        this.#rose = this.#askedAt !== undefined;
        return false;
      case "stopping":
        if (this.#rose) throw this.#stopped();
        this.#requireAutoStart();
        return false;
      case "stopped":
        this.#requireAutoStart();
        await this.#startOnce();
        return false;
      default:
        throw this.#failed(`it is ${state}`);
    }
  }

  #requireAutoStart(): void {
    if (this.#options.autoStart) return;
    const { region } = this.#options.ec2;
    const { id, state } = this.#instance;
    throw new AwsocksError(
      "instance-stopped",
      `Instance ${label(this.#instance)} in ${region} is ${state}`,
      { facts: { instanceId: id, region, state } },
    );
  }

  async #startOnce(): Promise<void> {
    const { ec2, clock, signal } = this.#options;
    if (this.#askedAt !== undefined) {
      if (!this.#rose && clock.monotonic() - this.#askedAt < STALE_MS) return;
      throw this.#stopped();
    }
    const instance = label(this.#instance);
    this.#report(`Starting ${instance}`);
    try {
      const [change] = await ec2.startInstances([this.#instance.id], { signal });
      this.#askedAt = clock.monotonic();
      if (change) this.#instance = { ...this.#instance, state: change.current };
      // Somebody else may have been faster; then it is theirs to stop.
      this.#started = change?.previous === "stopped";
    } catch (error) {
      // It has changed its state since the last look; the next one tells to what.
      if (isAwsocksError(error) && error.facts.code === "IncorrectInstanceState") return;
      if (!isAwsocksError(error, "aws-request-failed", "aws-unavailable")) throw error;
      throw this.#failed(error.message, error);
    }
    log.info("Starting {instance}", { instance, byUs: this.#started });
    if (this.#started) this.#options.onStarted?.(this.#instance);
  }

  /** One look that fails says nothing: the next one may not. */
  async #look(): Promise<void> {
    const { ec2, signal } = this.#options;
    try {
      const [instance] = await ec2.describeInstances({ instanceIds: [this.#instance.id] }, {
        signal,
      });
      this.#instance = instance ?? this.#instance;
    } catch (error) {
      signal?.throwIfAborted();
      if (!isAwsocksError(error, "aws-throttled", "aws-unavailable", "aws-unreachable")) {
        throw error;
      }
      log.debug("Could not look at {instance}", { instance: label(this.#instance), error });
    }
  }

  #report(text: string): void {
    if (text !== this.#reported) this.#options.onProgress?.(text);
    this.#reported = text;
  }

  #stopped(): AwsocksError {
    const what = this.#rose ? "stopped again" : "stays stopped";
    return this.#failed(`it ${what}: ${this.#instance.stateReason ?? "EC2 gives no reason"}`);
  }

  #failed(why: string, cause?: unknown): AwsocksError {
    const { region } = this.#options.ec2;
    const { id, state } = this.#instance;
    return new AwsocksError(
      "instance-start-failed",
      `Could not start instance ${label(this.#instance)} in ${region}: ${why}`,
      {
        facts: { instanceId: id, region, state },
        ...(cause !== undefined && { cause }),
      },
    );
  }
}
