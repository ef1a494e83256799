/**
 * The three EC2 calls the project needs, API version 2016-11-15.
 * Source: Amazon EC2 API Reference, DescribeInstances, StartInstances, StopInstances.
 *
 * @module
 */

import { type AwsClient, itemsAt, sendQuery, textAt, type XmlNode } from "../aws/mod.ts";
import { AwsocksError } from "../core/mod.ts";
import { type Instance, type InstanceState, parseInstance, parseState } from "./instance.ts";

/** Options of each call. */
export interface Ec2CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Which instances to describe: those with an id, and those that match every filter. */
export interface DescribeInstancesQuery {
  readonly instanceIds?: readonly string[];
  /** Values by filter name, `tag:Name` or `instance-state-name`; `*` and `?` are wildcards. */
  readonly filters?: Readonly<Record<string, readonly string[]>>;
}

/** An instance whose state a call has changed. */
export interface StateChange {
  readonly id: string;
  readonly previous: InstanceState;
  readonly current: InstanceState;
}

/** Calls EC2 in one region. */
export interface Ec2Client {
  /** For messages. */
  readonly region: string;
  /** Every page of the answer. @throws AwsocksError `instance-not-found` for an id EC2 does not know */
  describeInstances(
    request: DescribeInstancesQuery,
    options?: Ec2CallOptions,
  ): Promise<Instance[]>;
  /** Starting an instance that runs does nothing: `previous` tells. */
  startInstances(ids: readonly string[], options?: Ec2CallOptions): Promise<StateChange[]>;
  stopInstances(ids: readonly string[], options?: Ec2CallOptions): Promise<StateChange[]>;
}

const VERSION = "2016-11-15";
/** The most a page may hold. Not allowed together with ids, whose answer has one page. */
const PAGE_SIZE = "1000";
/** Pages after which the answer is taken for endless. */
const MAX_PAGES = 200;

/** EC2 through an {@linkcode AwsClient}. */
export function createEc2Client(aws: AwsClient): Ec2Client {
  return new Client(aws);
}

class Client implements Ec2Client {
  readonly #aws: AwsClient;

  constructor(aws: AwsClient) {
    this.#aws = aws;
  }

  get region(): string {
    return this.#aws.region;
  }

  async describeInstances(
    { instanceIds: ids = [], filters = {} }: DescribeInstancesQuery,
    options: Ec2CallOptions = {},
  ): Promise<Instance[]> {
    const base = {
      ...listParameters("InstanceId", ids),
      ...filterParameters(filters),
      ...(ids.length === 0 && { MaxResults: PAGE_SIZE }),
    };
    const instances: Instance[] = [];
    let token: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const parameters = token === undefined ? base : { ...base, NextToken: token };
      const response = await this.#send("DescribeInstances", parameters, ids, options);
      for (const reservation of itemsAt(response, "reservationSet")) {
        for (const item of itemsAt(reservation, "instancesSet")) {
          const instance = parseInstance(item);
          if (instance) instances.push(instance);
        }
      }
      token = textAt(response, "nextToken");
      if (token === undefined) return instances;
    }
    throw new AwsocksError(
      "aws-request-failed",
      `ec2:DescribeInstances in ${this.region} did not come to an end after ${MAX_PAGES} pages`,
    );
  }

  startInstances(ids: readonly string[], options?: Ec2CallOptions): Promise<StateChange[]> {
    return this.#changeState("StartInstances", ids, options);
  }

  stopInstances(ids: readonly string[], options?: Ec2CallOptions): Promise<StateChange[]> {
    return this.#changeState("StopInstances", ids, options);
  }

  async #changeState(
    operation: string,
    ids: readonly string[],
    options: Ec2CallOptions = {},
  ): Promise<StateChange[]> {
    const response = await this.#send(operation, listParameters("InstanceId", ids), ids, options);
    return itemsAt(response, "instancesSet").map((item) => ({
      id: textAt(item, "instanceId") ?? "",
      previous: parseState(textAt(item, "previousState", "name")),
      current: parseState(textAt(item, "currentState", "name")),
    }));
  }

  #send(
    operation: string,
    parameters: Readonly<Record<string, string>>,
    ids: readonly string[],
    { signal }: Ec2CallOptions,
  ): Promise<XmlNode> {
    const subject = ids.length === 0 ? undefined : ids.join(", ");
    return sendQuery(this.#aws, {
      service: "ec2",
      version: VERSION,
      operation,
      parameters,
      subject,
      signal,
    });
  }
}

/** `InstanceId.1`, `InstanceId.2`, … */
function listParameters(name: string, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(values.map((value, index) => [`${name}.${index + 1}`, value]));
}

function filterParameters(
  filters: Readonly<Record<string, readonly string[]>>,
): Record<string, string> {
  return Object.assign(
    {},
    ...Object.entries(filters).map(([name, values], index) => {
      const prefix = `Filter.${index + 1}`;
      return { [`${prefix}.Name`]: name, ...listParameters(`${prefix}.Value`, values) };
    }),
  );
}
