/**
 * The instance behind a backend: found once, started if that is wanted, and stopped at the end if it
 * was this run that started it.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  describeError,
  getLog,
  isAwsocksError,
  retry,
} from "../core/mod.ts";
import { type Ec2Client, ensureRunning, type Instance, resolveInstance } from "../ec2/mod.ts";
import type { SsmClient } from "../ssm/client.ts";

const log = getLog("backend");

/** Milliseconds in which the agent of an instance that was started has to come online. */
const ONLINE_BUDGET = 300_000;
const ONLINE_POLL = 3000;

/** Picks one of several instances; rejects when the user does not want to. */
export type ChooseInstance = (
  instances: readonly Instance[],
  options: { signal?: AbortSignal | undefined },
) => Promise<Instance>;

/** Options of {@linkcode InstanceKeeper}. */
export interface InstanceKeeperOptions {
  readonly ec2: Ec2Client;
  readonly ssm: Pick<SsmClient, "describeInstanceInformation">;
  readonly instanceId?: string | undefined;
  /** Name tag. */
  readonly name?: string | undefined;
  readonly autoStart: boolean;
  readonly autoStop: boolean;
  readonly choose?: ChooseInstance | undefined;
  readonly onProgress?: ((text: string) => void) | undefined;
  readonly clock: Clock;
}

/** An instance that a session can be started on. */
export interface ReadyInstance {
  readonly id: string;
  /** This run has started it: its agent may still need minutes to come online. */
  readonly started: boolean;
}

/** Finds, starts and stops. */
export class InstanceKeeper {
  readonly #options: InstanceKeeperOptions;
  #chosen: string | undefined;
  #startedId: string | undefined;
  #deniedTold = false;

  constructor(options: InstanceKeeperOptions) {
    this.#options = options;
  }

  /**
   * An instance that runs and whose agent is online, as far as AWS lets us know.
   * @throws AwsocksError `instance-…`, `agent-offline`, `aws-…`
   */
  async ready(signal: AbortSignal): Promise<ReadyInstance> {
    const { ec2, clock, autoStart, onProgress } = this.#options;
    const { instance } = await ensureRunning({
      ec2,
      instance: await this.#resolve(signal),
      autoStart,
      clock,
      ...(onProgress && { onProgress }),
      onStarted: ({ id }) => this.#startedId = id,
      signal,
    });
    const { id } = instance;
    const started = this.#startedId === id;
    if (started) await this.#online(id, signal);
    return { id, started };
  }

  /** @throws AwsocksError `agent-offline` when AWS knows that the agent is not connected */
  async checkOnline(id: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#ask(id, signal);
    } catch (error) {
      if (!isAwsocksError(error, "aws-access-denied")) throw error;
      this.#denied(error);
    }
  }

  /** What was chosen turned out to be gone: look again next time. */
  forget(): void {
    this.#chosen = undefined;
  }

  /** Stops the instance if this run has started it and it is to be stopped. */
  async release(): Promise<void> {
    const id = this.#startedId;
    if (!id || !this.#options.autoStop) return;
    this.#startedId = undefined;
    this.#options.onProgress?.(`Stopping ${id}`);
    await this.#options.ec2.stopInstances([id]);
    log.info("Instance {instance} is stopping", { instance: id });
  }

  async #resolve(signal: AbortSignal): Promise<Instance> {
    const { ec2, instanceId, name, choose } = this.#options;
    const instance = await resolveInstance({
      ec2,
      instanceId: this.#chosen ?? instanceId,
      name,
      choose,
      signal,
    });
    if (this.#chosen !== instance.id) {
      log.info("Instance {instance}", { instance: instance.id, name: instance.name });
    }
    this.#chosen = instance.id;
    return instance;
  }

  /** Waits for the agent; where asking is not allowed, StartSession will tell. */
  async #online(id: string, signal: AbortSignal): Promise<void> {
    const { clock, onProgress } = this.#options;
    onProgress?.(`Waiting for the SSM agent of ${id}`);
    try {
      await retry({
        clock,
        initial: ONLINE_POLL,
        max: ONLINE_POLL,
        budget: ONLINE_BUDGET,
        signal,
        retryable: (error) => isAwsocksError(error, "agent-offline"),
      }, () => this.#ask(id, signal));
    } catch (error) {
      if (!isAwsocksError(error, "aws-access-denied")) throw error;
      this.#denied(error);
    }
  }

  /** StartSession will tell. */
  #denied(error: AwsocksError): void {
    if (this.#deniedTold) return;
    this.#deniedTold = true;
    const reason = describeError(error);
    log.info("Not allowed to ask for the agent's state: {reason}", { reason });
  }

  async #ask(id: string, signal: AbortSignal): Promise<void> {
    const information = await this.#options.ssm.describeInstanceInformation(id, { signal });
    if (information?.pingStatus === "Online") return;
    throw new AwsocksError("agent-offline", `The SSM agent of ${id} is not online`);
  }
}
