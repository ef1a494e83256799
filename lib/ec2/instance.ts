/**
 * An instance as the project sees it.
 *
 * @module
 */

import { itemsAt, textAt, type XmlNode } from "../aws/mod.ts";

/** States of EC2's life cycle, and `unknown` where EC2 was not or could not be asked. */
export const INSTANCE_STATES = [
  "pending",
  "running",
  "stopping",
  "stopped",
  "shutting-down",
  "terminated",
  "unknown",
] as const;

/** A state of an instance. */
export type InstanceState = typeof INSTANCE_STATES[number];

/** What is known of an instance. */
export interface Instance {
  /** `i-…`, or `mi-…` for a managed node outside EC2. */
  readonly id: string;
  readonly state: InstanceState;
  /** Its Name tag. */
  readonly name?: string;
  readonly privateIp?: string;
  readonly availabilityZone?: string;
  /** Instance type, `t3.micro`. */
  readonly type?: string;
  /** Latest start, in milliseconds since the Unix epoch. */
  readonly launchTime?: number;
  /** `Linux/UNIX`, `Windows`, … */
  readonly platform?: string;
  /** Why it is in its state, in EC2's words: `Server.InsufficientInstanceCapacity: …`. */
  readonly stateReason?: string;
}

/** A state by its name; `unknown` for one that EC2 may add. */
export function parseState(name: string | undefined): InstanceState {
  return INSTANCE_STATES.find((state) => state === name) ?? "unknown";
}

/** Reads an item of `instancesSet`; undefined without an id. */
export function parseInstance(item: XmlNode): Instance | undefined {
  const id = textAt(item, "instanceId");
  if (id === undefined) return undefined;
  const launchTime = Date.parse(textAt(item, "launchTime") ?? "");
  return {
    id,
    state: parseState(textAt(item, "instanceState", "name")),
    ...defined({
      name: nameTag(item),
      privateIp: textAt(item, "privateIpAddress"),
      availabilityZone: textAt(item, "placement", "availabilityZone"),
      type: textAt(item, "instanceType"),
      launchTime: Number.isNaN(launchTime) ? undefined : launchTime,
      platform: textAt(item, "platformDetails") ?? textAt(item, "platform"),
      stateReason: textAt(item, "stateReason", "message"),
    }),
  };
}

/** `i-0abc (web-1)`, for messages. */
export function label({ id, name }: Instance): string {
  return name === undefined ? id : `${id} (${name})`;
}

function nameTag(item: XmlNode): string | undefined {
  const tag = itemsAt(item, "tagSet").find((tag) => textAt(tag, "key") === "Name");
  return textAt(tag, "value");
}

/** Without the fields that are undefined, as `exactOptionalPropertyTypes` wants it. */
function defined<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: NonNullable<T[K]> };
}
