/**
 * The client of the service `ec2`: three operations of the Query protocol.
 * Source: Amazon EC2 API reference, version 2016-11-15.
 *
 * @module
 */

import { type AwsClient, itemsAt, sendQuery, textAt, type XmlNode } from "../aws/mod.ts";

/** State of an instance, as EC2 names it. */
export type InstanceState =
  | "pending"
  | "running"
  | "stopping"
  | "stopped"
  | "shutting-down"
  | "terminated"
  | "unknown";

/** An instance. */
export interface Instance {
  /** `i-…`, or `mi-…` for a managed node that EC2 does not know. */
  readonly id: string;
  /** Its Name tag; empty without one. */
  readonly name: string;
  readonly state: InstanceState;
  readonly privateIp?: string;
  readonly type?: string;
  readonly availabilityZone?: string;
  /** ISO 8601. */
  readonly launchTime?: string;
}

/** What to look for. */
export interface DescribeInstancesQuery {
  readonly instanceIds?: readonly string[];
  /** Filter name → values; `*` and `?` are wildcards. */
  readonly filters?: Readonly<Record<string, readonly string[]>>;
}

/** Options of each call. */
export interface Ec2CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Calls EC2 in one region. */
export interface Ec2Client {
  readonly region: string;
  /** Every page of the answer. @throws AwsocksError `instance-not-found` for an unknown id, `aws-…` */
  describeInstances(query: DescribeInstancesQuery, options?: Ec2CallOptions): Promise<Instance[]>;
  startInstances(ids: readonly string[], options?: Ec2CallOptions): Promise<void>;
  stopInstances(ids: readonly string[], options?: Ec2CallOptions): Promise<void>;
}

const VERSION = "2016-11-15";
/** Bound of pages, so that a faulty endpoint cannot hold us for ever. */
const MAX_PAGES = 100;

/** A client over an {@linkcode AwsClient}. */
export function createEc2Client(aws: AwsClient): Ec2Client {
  const call = (
    operation: string,
    parameters: Record<string, string>,
    subject: string,
    { signal }: Ec2CallOptions = {},
  ) => sendQuery(aws, { service: "ec2", operation, version: VERSION, parameters, subject, signal });

  return {
    region: aws.region,
    async describeInstances(query, options) {
      const parameters = flatten(query);
      const subject = query.instanceIds?.join(", ") ?? "instances";
      const found: Instance[] = [];
      let token: string | undefined;
      for (let page = 0; page < MAX_PAGES; page++) {
        const response = await call(
          "DescribeInstances",
          {
            ...parameters,
            ...(token && { NextToken: token }),
          },
          subject,
          options,
        );
        for (const reservation of itemsAt(response, "reservationSet")) {
          found.push(...itemsAt(reservation, "instancesSet").map(instanceOf));
        }
        token = textAt(response, "nextToken");
        if (!token) break;
      }
      return found;
    },
    async startInstances(ids, options) {
      await call("StartInstances", numbered("InstanceId", ids), ids.join(", "), options);
    },
    async stopInstances(ids, options) {
      await call("StopInstances", numbered("InstanceId", ids), ids.join(", "), options);
    },
  };
}

function numbered(name: string, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(values.map((value, i) => [`${name}.${i + 1}`, value]));
}

function flatten({ instanceIds = [], filters = {} }: DescribeInstancesQuery) {
  const parameters = numbered("InstanceId", instanceIds);
  Object.entries(filters).forEach(([name, values], i) => {
    parameters[`Filter.${i + 1}.Name`] = name;
    Object.assign(parameters, numbered(`Filter.${i + 1}.Value`, values));
  });
  return parameters;
}

function instanceOf(node: XmlNode): Instance {
  const privateIp = textAt(node, "privateIpAddress");
  const type = textAt(node, "instanceType");
  const availabilityZone = textAt(node, "placement", "availabilityZone");
  const launchTime = textAt(node, "launchTime");
  return {
    id: textAt(node, "instanceId") ?? "",
    name: nameTag(node),
    state: (textAt(node, "instanceState", "name") ?? "unknown") as InstanceState,
    ...(privateIp && { privateIp }),
    ...(type && { type }),
    ...(availabilityZone && { availabilityZone }),
    ...(launchTime && { launchTime }),
  };
}

function nameTag(node: XmlNode): string {
  const tag = itemsAt(node, "tagSet").find((item) => textAt(item, "key") === "Name");
  return textAt(tag, "value") ?? "";
}
