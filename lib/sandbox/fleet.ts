/**
 * The EC2 instances of the sandbox's account and the state each is in.
 *
 * @module
 */

import type { Clock, Timer } from "../core/mod.ts";
import type { EventHub } from "./events.ts";
import type { InstanceSpec } from "./options.ts";
import type { Random } from "./random.ts";

/** Instance states with the codes of the EC2 API. */
export const STATE_CODES = {
  pending: 0,
  running: 16,
  "shutting-down": 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
} as const;

/** State of an instance. */
export type InstanceState = keyof typeof STATE_CODES;

/** An instance. */
export interface Instance {
  readonly instanceId: string;
  readonly name: string;
  readonly privateIp: string;
  readonly launchTime: number;
  readonly state: InstanceState;
  /** True while its agent is connected to Session Manager. */
  readonly agentOnline: boolean;
  /** Last sign of life of the agent, in milliseconds since the Unix epoch; absent: never. */
  readonly agentSeen?: number;
}

type Mutable = { -readonly [K in keyof Instance]: Instance[K] } & { agentWanted: boolean };

/** Options of {@linkcode Fleet}. */
export interface FleetOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly events: EventHub;
  readonly specs: readonly InstanceSpec[];
  /** Milliseconds of `pending` and of `stopping`. */
  readonly transitionTime: number;
  /** Milliseconds from `running` to an online agent. */
  readonly agentStartTime: number;
  /** Called when an agent goes away together with its instance or connection. */
  readonly onAgentLost: (instanceId: string) => void;
}

/** All instances. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #instances = new Map<string, Mutable>();
  readonly #timers = new Map<string, Timer>();

  constructor(options: FleetOptions) {
    this.#options = options;
    for (const spec of options.specs) this.#create(spec);
  }

  /** In the order in which they were made. */
  list(): readonly Instance[] {
    return [...this.#instances.values()];
  }

  get(instanceId: string): Instance | undefined {
    return this.#instances.get(instanceId);
  }

  /** True when a session to it can be started. */
  reachable(instanceId: string): boolean {
    return this.#instances.get(instanceId)?.agentOnline ?? false;
  }

  /** Launches another one: `pending` → `running`. @returns its id */
  launch(spec: Omit<InstanceSpec, "state">): string {
    const { instanceId } = this.#create({ ...spec, state: "stopped" });
    this.start(instanceId);
    return instanceId;
  }

  /** `stopped` → `pending` → `running`. @returns false from any other state but the last two */
  start(instanceId: string): boolean {
    const instance = this.#known(instanceId);
    if (instance.state === "pending" || instance.state === "running") return true;
    if (instance.state !== "stopped") return false;
    instance.launchTime = this.#options.clock.now();
    this.#set(instance, "pending");
    this.#later(instance, this.#options.transitionTime, () => {
      this.#set(instance, "running");
      this.#later(instance, this.#options.agentStartTime, () => {
        if (instance.agentWanted) this.#agentUp(instance);
      });
    });
    return true;
  }

  /** `running` or `pending` → `stopping` → `stopped`; its sessions hear nothing any more. */
  stop(instanceId: string): void {
    const instance = this.#known(instanceId);
    if (instance.state !== "running" && instance.state !== "pending") return;
    this.#set(instance, "stopping");
    this.#agentDown(instance);
    this.#later(instance, this.#options.transitionTime, () => this.#set(instance, "stopped"));
  }

  /** Any state → `shutting-down` → `terminated`, for good; its sessions hear nothing any more. */
  terminate(instanceId: string): void {
    const instance = this.#known(instanceId);
    if (instance.state === "shutting-down" || instance.state === "terminated") return;
    this.#set(instance, "shutting-down");
    this.#agentDown(instance);
    this.#later(instance, this.#options.transitionTime, () => this.#set(instance, "terminated"));
  }

  /** Connects or disconnects the agent of an instance. */
  setAgentOnline(instanceId: string, online: boolean): void {
    const instance = this.#known(instanceId);
    instance.agentWanted = online;
    if (!online) this.#agentDown(instance);
    else if (instance.state === "running") this.#agentUp(instance);
  }

  /** Stops every timer. Idempotent. */
  close(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  #create(spec: InstanceSpec): Instance {
    const { clock, random } = this.#options;
    const index = this.#instances.size;
    const state = spec.state ?? "running";
    const agentWanted = spec.agentOnline ?? true;
    const agentOnline = state === "running" && agentWanted;
    const instance = {
      instanceId: spec.instanceId ?? `i-0${random.hex(16)}`,
      name: spec.name,
      privateIp: `10.0.0.${10 + index}`,
      launchTime: clock.now() - 3_600_000 * (index + 1),
      state,
      agentOnline,
      agentWanted,
      agentSeen: agentOnline ? clock.now() : clock.now() - 3_600_000,
    };
    this.#instances.set(instance.instanceId, instance);
    return instance;
  }

  #known(instanceId: string): Mutable {
    const instance = this.#instances.get(instanceId);
    if (!instance) throw new RangeError(`The sandbox has no instance ${instanceId}`);
    return instance;
  }

  #set(instance: Mutable, state: InstanceState): void {
    instance.state = state;
    this.#options.events.emit({
      type: "instance-state",
      instanceId: instance.instanceId,
      state,
    });
  }

  #agentUp(instance: Mutable): void {
    instance.agentOnline = true;
    instance.agentSeen = this.#options.clock.now();
  }

  #agentDown(instance: Mutable): void {
    if (!instance.agentOnline) return;
    instance.agentOnline = false;
    instance.agentSeen = this.#options.clock.now();
    this.#options.onAgentLost(instance.instanceId);
  }

  /** One pending change per instance: a new one replaces it. */
  #later(instance: Mutable, ms: number, callback: () => void): void {
    this.#timers.get(instance.instanceId)?.cancel();
    this.#timers.set(instance.instanceId, this.#options.clock.after(ms, callback));
  }
}
