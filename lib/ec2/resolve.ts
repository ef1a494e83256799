/**
 * From an id or a Name tag to one instance.
 *
 * @module
 */

import { AwsocksError, getLog, isAwsocksError } from "../core/mod.ts";
import type { Ec2Client } from "./client.ts";
import { type Instance, type InstanceState, label } from "./instance.ts";

/** Picks one of several instances; rejects when the user does not want to. */
export type ChooseInstance = (
  instances: readonly Instance[],
  options: { signal: AbortSignal },
) => Promise<Instance>;

/** Options of {@linkcode resolveInstance}. */
export interface ResolveInstanceOptions {
  readonly ec2: Ec2Client;
  /** `i-…` or `mi-…`; goes before `name`. */
  readonly instanceId?: string | undefined;
  /** Name tag; `*` and `?` are wildcards, case counts. */
  readonly name?: string | undefined;
  /** Asks the user which one; without it several hits are an error. */
  readonly choose?: ChooseInstance | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** States of an instance that is there or can be brought back; running ones are listed first. */
const LIVING: readonly InstanceState[] = ["running", "pending", "stopping", "stopped"];
/** Hits that a message lists. */
const MAX_LISTED = 10;

/** For callers that wait for ever. */
const NEVER = new AbortController().signal;

const log = getLog("ec2");

/**
 * Finds the instance. Its state is `unknown` for a managed node outside EC2, which EC2 is not asked
 * about, and for an id when the caller may not describe instances: a session needs no EC2 rights.
 *
 * @throws AwsocksError `instance-not-found`, `instance-ambiguous` with every hit, `usage` without id
 *   and name, `aws-…`, `credentials-…`
 */
export async function resolveInstance(options: ResolveInstanceOptions): Promise<Instance> {
  const { instanceId, name } = options;
  if (instanceId) return await byId(instanceId, options);
  if (name) return await byName(name, options);
  throw new AwsocksError("usage", "No instance is given", {
    hint: "name one with --instance-id or --name, or in a profile",
  });
}

async function byId(id: string, { ec2, signal }: ResolveInstanceOptions): Promise<Instance> {
  if (isManagedNode(id)) return { id, state: "unknown" };
  let instance: Instance | undefined;
  try {
    [instance] = await ec2.describeInstances({ instanceIds: [id] }, { signal });
  } catch (error) {
    if (!isAwsocksError(error, "aws-access-denied")) throw error;
    log.warn("EC2 may not be asked about {instance}; its state is not known", {
      instance: id,
      error,
    });
    return { id, state: "unknown" };
  }
  if (instance && LIVING.includes(instance.state)) return instance;
  throw new AwsocksError(
    "instance-not-found",
    instance
      ? `Instance ${label(instance)} in ${ec2.region} is ${instance.state}`
      : `There is no instance ${id} in ${ec2.region}`,
    { facts: { instanceId: id, region: ec2.region, state: instance?.state } },
  );
}

/** Hybrid activations: SSM knows them, EC2 does not. */
function isManagedNode(id: string): boolean {
  return id.startsWith("mi-");
}

async function byName(name: string, options: ResolveInstanceOptions): Promise<Instance> {
  const { ec2, choose, signal } = options;
  const hits = await ec2.describeInstances({
    filters: { "tag:Name": [name], "instance-state-name": LIVING },
  }, { signal });
  const [first, second] = hits.sort(byStateThenName);
  if (!first) throw await nameNotFound(name, options);
  if (!second) return first;
  if (choose) return await choose(hits, { signal: signal ?? NEVER });
  throw ambiguous(name, hits, ec2.region);
}

function byStateThenName(a: Instance, b: Instance): number {
  return LIVING.indexOf(a.state) - LIVING.indexOf(b.state) ||
    (a.name ?? "").localeCompare(b.name ?? "") || a.id.localeCompare(b.id);
}

function ambiguous(name: string, hits: readonly Instance[], region: string): AwsocksError {
  const listed = hits.slice(0, MAX_LISTED).map((hit) => `${label(hit)} ${hit.state}`);
  const more = hits.length > MAX_LISTED ? `, and ${hits.length - MAX_LISTED} more` : "";
  return new AwsocksError(
    "instance-ambiguous",
    `${hits.length} instances in ${region} have the Name tag "${name}": ${
      listed.join(", ")
    }${more}`,
    { facts: { name, region, hits: hits.length } },
  );
}

async function nameNotFound(name: string, options: ResolveInstanceOptions): Promise<AwsocksError> {
  const { region } = options.ec2;
  const near = await nearestNames(name, options);
  return new AwsocksError(
    "instance-not-found",
    `No instance in ${region} has the Name tag "${name}"${
      near.length > 0
        ? `; the nearest ${near.length > 1 ? "are" : "is"} ${
          near.map((other) => `"${other}"`).join(", ")
        }`
        : ""
    }`,
    { facts: { name, region } },
  );
}

/** Names offered in place of one that does not exist. */
const MAX_SUGGESTIONS = 3;

/** Existing names that contain the wanted one or differ in few letters, nearest first. */
async function nearestNames(
  name: string,
  { ec2, signal }: ResolveInstanceOptions,
): Promise<string[]> {
  const wanted = name.replaceAll(/[*?]+/g, "").toLowerCase();
  if (wanted === "") return [];
  let names: string[];
  try {
    const all = await ec2.describeInstances({
      filters: { "tag:Name": ["*"], "instance-state-name": LIVING },
    }, { signal });
    names = [...new Set(all.flatMap((instance) => instance.name ?? []))];
  } catch (error) {
    // Only a suggestion is lost: that the name was not found is what the user has to know.
    signal?.throwIfAborted();
    log.debug("No Name tags to suggest", { error });
    return [];
  }
  const { distance } = await import("fastest-levenshtein");
  const limit = Math.max(2, Math.floor(wanted.length / 3));
  return names
    .map((other) => {
      const given = other.toLowerCase();
      const edits = distance(given, wanted);
      return { other, edits: given.includes(wanted) ? Math.min(edits, limit) : edits };
    })
    .filter(({ edits }) => edits <= limit)
    .sort((a, b) => a.edits - b.edits || a.other.localeCompare(b.other))
    .slice(0, MAX_SUGGESTIONS)
    .map(({ other }) => other);
}
