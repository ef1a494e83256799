/**
 * An EC2 of a few instances in memory, whose states tests move by hand.
 *
 * @module
 */

import { AwsocksError } from "../../lib/core/mod.ts";
import type { Ec2Client, Instance, InstanceState } from "../../lib/ec2/mod.ts";

/** A writable instance. */
export type FleetInstance = { -readonly [K in keyof Instance]: Instance[K] };

/** The stand-in, with what it was asked. */
export class Fleet implements Ec2Client {
  readonly region = "eu-west-1";
  readonly instances: FleetInstance[];
  readonly calls: string[] = [];
  /** Thrown by the next calls, one each. */
  readonly failures: Partial<Record<"describe" | "start" | "stop", unknown[]>> = {};

  constructor(...instances: FleetInstance[]) {
    this.instances = instances;
  }

  /** The only instance. */
  get only(): FleetInstance {
    return this.instances[0]!;
  }

  describeInstances(
    { instanceIds, filters = {} }: Parameters<Ec2Client["describeInstances"]>[0],
  ): Promise<Instance[]> {
    this.calls.push("describe");
    return this.#answer("describe", () => {
      const unknown = instanceIds?.find((id) => !this.instances.some((one) => one.id === id));
      if (unknown) throw new AwsocksError("instance-not-found", `There is no instance ${unknown}`);
      return this.instances
        .filter(({ id }) => !instanceIds || instanceIds.includes(id))
        .filter((instance) =>
          Object.entries(filters).every(([name, values]) => matches(instance, name, values))
        )
        .map((instance) => ({ ...instance }));
    });
  }

  startInstances(ids: readonly string[]) {
    this.calls.push("start");
    return this.#answer("start", () => this.#change(ids, "stopped", "pending"));
  }

  stopInstances(ids: readonly string[]) {
    this.calls.push("stop");
    return this.#answer("stop", () => this.#change(ids, "running", "stopping"));
  }

  #change(ids: readonly string[], from: InstanceState, to: InstanceState) {
    return this.instances.filter(({ id }) => ids.includes(id)).map((instance) => {
      const previous = instance.state;
      if (previous === from) instance.state = to;
      return { id: instance.id, previous, current: instance.state };
    });
  }

  #answer<T>(call: "describe" | "start" | "stop", answer: () => T): Promise<T> {
    const failures = this.failures[call];
    if (failures && failures.length > 0) return Promise.reject(failures.shift());
    return Promise.resolve().then(answer);
  }
}

function matches(instance: Instance, filter: string, values: readonly string[]): boolean {
  switch (filter) {
    case "instance-state-name":
      return values.includes(instance.state);
    case "tag:Name":
      return instance.name !== undefined &&
        values.some((value) => glob(value).test(instance.name!));
    default:
      throw new Error(`No such filter: ${filter}`);
  }
}

/** EC2's wildcards. */
function glob(pattern: string): RegExp {
  const literal = pattern.replaceAll(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${literal.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}
