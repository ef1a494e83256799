/**
 * The sandbox's EC2: Query and XML, the calls that find, start, stop and terminate instances.
 *
 * @module
 */

import { type Fleet, type Instance, type InstanceState, STATE_CODES } from "../fleet.ts";
import { ACCOUNT_ID } from "../identities.ts";
import { ApiFault } from "./fault.ts";
import { type Filter, filtersOf, listOf, type QueryParameters } from "./query.ts";
import type { Xml } from "./xml.ts";

/** XML namespace and version of the API. */
export const EC2_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/";

const MIN_RESULTS = 5;
const MAX_RESULTS = 1000;

/** What the calls work on. */
export interface Ec2Context {
  readonly fleet: Fleet;
  readonly region: string;
}

type Operation = (context: Ec2Context, parameters: QueryParameters) => Record<string, Xml>;

/** The calls by the parameter `Action`. */
export const EC2_OPERATIONS: Readonly<Record<string, Operation>> = {
  DescribeInstances(context, parameters) {
    const ids = listOf(parameters, "InstanceId");
    for (const id of ids) knownInstance(context.fleet, id);
    const filters = filtersOf(parameters);
    const found = context.fleet.list()
      .filter(({ instanceId }) => ids.length === 0 || ids.includes(instanceId))
      .filter((instance) => filters.every((filter) => matches(instance, filter)));
    const { page, nextToken } = paginate(found, parameters, ids.length > 0);
    return {
      reservationSet: page.map((instance) => reservation(instance, context.region)),
      ...(nextToken ? { nextToken } : {}),
    };
  },

  StartInstances({ fleet }, parameters) {
    return change(fleet, parameters, (instance) => {
      if (fleet.start(instance.instanceId)) return;
      throw new ApiFault(
        "IncorrectInstanceState",
        `The instance '${instance.instanceId}' is not in a state from which it can be started.`,
      );
    });
  },

  StopInstances({ fleet }, parameters) {
    return change(fleet, parameters, (instance) => fleet.stop(instance.instanceId));
  },

  TerminateInstances({ fleet }, parameters) {
    return change(fleet, parameters, (instance) => fleet.terminate(instance.instanceId));
  },
};

function change(
  fleet: Fleet,
  parameters: QueryParameters,
  act: (instance: Instance) => void,
): Record<string, Xml> {
  const ids = listOf(parameters, "InstanceId");
  if (ids.length === 0) {
    throw new ApiFault("MissingParameter", "The request must contain the parameter InstanceId");
  }
  const instances = ids.map((id) => knownInstance(fleet, id));
  const changes = instances.map((instance) => {
    const previous = instance.state;
    act(instance);
    return {
      instanceId: instance.instanceId,
      currentState: stateXml(fleet.get(instance.instanceId)!.state),
      previousState: stateXml(previous),
    };
  });
  return { instancesSet: changes };
}

function knownInstance(fleet: Fleet, id: string): Instance {
  if (!/^i-([0-9a-f]{8}|[0-9a-f]{17})$/.test(id)) {
    throw new ApiFault("InvalidInstanceID.Malformed", `Invalid id: "${id}"`);
  }
  const instance = fleet.get(id);
  if (!instance) {
    throw new ApiFault("InvalidInstanceID.NotFound", `The instance ID '${id}' does not exist`);
  }
  return instance;
}

/** Values of an instance that a filter can ask for. */
const FILTERS: Readonly<Record<string, (instance: Instance) => string>> = {
  "tag:Name": ({ name }) => name,
  "instance-id": ({ instanceId }) => instanceId,
  "instance-state-name": ({ state }) => state,
  "instance-state-code": ({ state }) => String(STATE_CODES[state]),
  "private-ip-address": ({ privateIp }) => privateIp,
};

function matches(instance: Instance, filter: Filter): boolean {
  const valueOf = FILTERS[filter.name];
  if (!valueOf) {
    // Any other tag is a good filter that finds nothing here.
    if (/^tag(:.+|-key|-value)$/.test(filter.name)) return false;
    throw new ApiFault("InvalidParameterValue", `The filter '${filter.name}' is invalid`);
  }
  return filter.values.some((pattern) => wildcard(pattern).test(valueOf(instance)));
}

/** `*` is any text, `?` one character, a backslash takes the next one literally; case counts. */
function wildcard(pattern: string): RegExp {
  const source = pattern.replaceAll(/\\(.)|([*?])|([.+^${}()|[\]\\/])/gs, (_all, ...groups) => {
    const [literal, star, special] = groups as (string | undefined)[];
    if (literal !== undefined) return `\\${literal}`;
    return star === "*" ? ".*" : star === "?" ? "." : `\\${special}`;
  });
  return new RegExp(`^${source}$`, "s");
}

function paginate(found: readonly Instance[], parameters: QueryParameters, byId: boolean) {
  const wanted = parameters.get("MaxResults");
  const token = parameters.get("NextToken");
  if (wanted !== undefined && byId) {
    throw new ApiFault(
      "InvalidParameterCombination",
      "The parameter instancesSet cannot be used with the parameter maxResults",
    );
  }
  const size = wanted === undefined ? MAX_RESULTS : Number(wanted);
  if (!Number.isInteger(size) || size < MIN_RESULTS || size > MAX_RESULTS) {
    throw new ApiFault(
      "InvalidParameterValue",
      `Value ( ${wanted} ) for parameter maxResults is invalid. ` +
        `Expecting a value greater than ${MIN_RESULTS}.`,
    );
  }
  const start = token === undefined ? 0 : readToken(token);
  const end = start + size;
  return {
    page: found.slice(start, end),
    nextToken: end < found.length ? btoa(`page ${end}`) : undefined,
  };
}

function readToken(token: string): number {
  try {
    const match = /^page (\d+)$/.exec(atob(token));
    if (match) return Number(match[1]);
  } catch {
    // Not base64: as bad as any other token that was not ours.
  }
  throw new ApiFault("InvalidNextToken", "The token provided is invalid.");
}

function stateXml(state: InstanceState): Xml {
  return { code: STATE_CODES[state], name: state };
}

function reservation(instance: Instance, region: string): Xml {
  const { instanceId, privateIp } = instance;
  return {
    reservationId: `r-${instanceId.slice(2)}`,
    ownerId: ACCOUNT_ID,
    groupSet: [],
    instancesSet: [{
      instanceId,
      imageId: "ami-0abcdef1234567890",
      instanceState: stateXml(instance.state),
      privateDnsName: `ip-${privateIp.replaceAll(".", "-")}.sandbox.internal`,
      reason: "",
      amiLaunchIndex: 0,
      instanceType: "t3.micro",
      launchTime: new Date(instance.launchTime).toISOString(),
      placement: { availabilityZone: `${region}a`, groupName: "", tenancy: "default" },
      monitoring: { state: "disabled" },
      subnetId: "subnet-0123456789abcdef0",
      vpcId: "vpc-0123456789abcdef0",
      privateIpAddress: privateIp,
      architecture: "x86_64",
      platformDetails: "Linux/UNIX",
      tagSet: [{ key: "Name", value: instance.name }],
    }],
  };
}
