/**
 * Finds the one instance that the user means.
 *
 * @module
 */

import { distance } from "fastest-levenshtein";
import { AwsocksError, describeError, getLog, isAwsocksError } from "../core/mod.ts";
import type { Ec2Client, Instance } from "./client.ts";

const log = getLog("ec2");

/** States in which an instance can serve, or be made to. */
const LIVING = ["pending", "running", "stopping", "stopped"] as const;

/** Options of {@linkcode resolveInstance}. */
export interface ResolveInstanceOptions {
  readonly ec2: Ec2Client;
  readonly instanceId?: string | undefined;
  /** Name tag; `*` and `?` are wildcards. */
  readonly name?: string | undefined;
  /** Picks one of several. */
  readonly choose?: (instances: readonly Instance[]) => Promise<Instance>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The instance of an id or a Name tag.
 * @throws AwsocksError `instance-not-found`, `instance-ambiguous`, `aws-…`
 */
export async function resolveInstance(options: ResolveInstanceOptions): Promise<Instance> {
  if (options.instanceId) return await byId(options.instanceId, options);
  if (options.name) return await byName(options.name, options);
  throw new AwsocksError("usage", "No instance is given: neither an instance id nor a Name tag");
}

async function byId(id: string, { ec2, signal }: ResolveInstanceOptions): Promise<Instance> {
  const unknown: Instance = { id, name: "", state: "unknown" };
  if (!id.startsWith("i-")) return unknown; // a managed node: EC2 does not know it
  try {
    const [instance] = await ec2.describeInstances({ instanceIds: [id] }, { signal });
    if (!instance || instance.state === "terminated" || instance.state === "shutting-down") {
      throw notFound(`Instance ${id} ${instance ? "is terminated" : "does not exist"}`, ec2);
    }
    return instance;
  } catch (error) {
    if (!isAwsocksError(error, "aws-access-denied")) throw error;
    // Session Manager itself needs no right to describe instances.
    log.info("Not allowed to look at {instance}, going on without: {reason}", {
      instance: id,
      reason: describeError(error),
    });
    return unknown;
  }
}

async function byName(name: string, options: ResolveInstanceOptions): Promise<Instance> {
  const { ec2, choose, signal } = options;
  const living = { "instance-state-name": LIVING };
  const found = await ec2.describeInstances({ filters: { "tag:Name": [name], ...living } }, {
    signal,
  });
  if (found.length === 1) return found[0]!;
  if (found.length === 0) throw await noneNamed(name, options);
  const sorted = found.toSorted((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  if (choose) return await choose(sorted);
  throw new AwsocksError(
    "instance-ambiguous",
    `${found.length} instances are named "${name}": ${sorted.map(describe).join(", ")}`,
    { facts: { name, region: ec2.region } },
  );
}

function rank({ state }: Instance): number {
  return ["running", "pending", "stopped", "stopping"].indexOf(state);
}

function describe({ id, name, state }: Instance): string {
  return `${id} (${name}, ${state})`;
}

function notFound(message: string, ec2: Ec2Client): AwsocksError {
  return new AwsocksError("instance-not-found", `${message} in ${ec2.region}`, {
    facts: { region: ec2.region },
  });
}

/** Names the nearest existing Name tag: a typo is the most likely reason. */
async function noneNamed(name: string, options: ResolveInstanceOptions): Promise<AwsocksError> {
  const { ec2, signal } = options;
  const all = await ec2.describeInstances({ filters: { "instance-state-name": LIVING } }, {
    signal,
  }).catch(() => []);
  const names = [...new Set(all.map((instance) => instance.name).filter(Boolean))];
  const nearest = names
    .map((other) => ({ other, far: distance(name, other) }))
    .filter(({ far }) => far <= Math.max(2, name.length / 2))
    .sort((a, b) => a.far - b.far)
    .slice(0, 3)
    .map(({ other }) => `"${other}"`);
  const hint = nearest.length > 0 ? `; did you mean ${nearest.join(" or ")}?` : "";
  return new AwsocksError(
    "instance-not-found",
    `No instance is named "${name}" in ${ec2.region}${hint}`,
    { facts: { name, region: ec2.region } },
  );
}
