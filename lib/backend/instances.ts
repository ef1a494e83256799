/**
 * Where sessions are started: on the one instance that the user means, or on all that share a Name tag.
 *
 * @module
 */

import {
  AwsocksError,
  Backoff,
  describeError,
  getLog,
  isAwsocksError,
  orAborted,
} from "../core/mod.ts";
import type { Ec2Client } from "../ec2/mod.ts";
import type { SsmClient } from "../ssm/client.ts";
import { SILENCE_LIMIT } from "./carrier.ts";
import { isAboutDestination } from "./failures.ts";
import { InstanceKeeper, type InstanceKeeperOptions, type ReadyInstance } from "./instance.ts";

const log = getLog("backend");

/** An instance that a session is being started on, or runs on. */
export interface InstanceLease {
  readonly instance: ReadyInstance;
  /** The session is up. @param session whose silence speaks against the instance */
  serve(session: { readonly silence: number }): void;
  /** The session has ended or did not come up. Idempotent. @param error why, if it was a failure */
  end(error?: unknown): void;
}

/** Options of {@linkcode Instances.take}. */
export interface TakeOptions {
  readonly signal: AbortSignal;
  /** What was found for an earlier session will do, as long as nothing speaks against it. */
  readonly known?: boolean;
}

/** Instances that sessions can be started on. */
export interface Instances {
  /**
   * An instance that runs, as far as AWS lets us know.
   * @throws AwsocksError `instance-…`, `agent-offline`, `aws-…`
   */
  take(options: TakeOptions): Promise<InstanceLease>;
  /**
   * Another instance, against which nothing speaks; undefined when there is none. With `again`, any will
   * do where there is none, if need be the same: it may have been started anew meanwhile.
   * @throws as {@linkcode take} does
   */
  beside(
    lease: InstanceLease,
    options: { readonly signal: AbortSignal; readonly again: boolean },
  ): Promise<InstanceLease | undefined>;
  /** Makes sure that there is one whose agent is online. @throws as {@linkcode take} does */
  prepare(signal: AbortSignal): Promise<void>;
  /** At the end: stops what this run has started, if that is wanted. */
  release(): Promise<void>;
}

/** Failures after which an instance is looked for again. */
const GONE = ["instance-not-found", "agent-offline"] as const;

/** Failures that say nothing about the instance on which a session was to be. */
const NOT_ITS_FAULT = [
  "aborted",
  "aws-throttled",
  "aws-unavailable",
  "aws-unreachable",
  "backend-closed",
  "credentials-expired",
  "credentials-invalid",
  "credentials-missing",
  "ssh-key-invalid",
  "ssh-key-missing",
  "ssh-key-passphrase",
] as const;

/** The one instance that the user means. */
export class OneInstance implements Instances {
  readonly #keeper: InstanceKeeper;
  #known: Promise<ReadyInstance> | undefined;

  constructor(options: InstanceKeeperOptions) {
    this.#keeper = new InstanceKeeper(options);
  }

  async take({ signal, known = false }: TakeOptions): Promise<InstanceLease> {
    const instance = await this.#ready(signal, known);
    return {
      instance,
      serve: () => {},
      end: (error) => error !== undefined && this.#failed(error),
    };
  }

  beside(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async prepare(signal: AbortSignal): Promise<void> {
    this.#known = undefined;
    try {
      const { id } = await this.#ready(signal, true);
      await this.#keeper.checkOnline(id, signal);
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  release(): Promise<void> {
    return this.#keeper.release();
  }

  async #ready(signal: AbortSignal, known: boolean): Promise<ReadyInstance> {
    try {
      if (!known) return await this.#keeper.ready(signal);
      return await (this.#known ??= this.#keeper.ready(signal));
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  #failed(error: unknown): void {
    if (!isAboutDestination(error)) this.#known = undefined;
    if (isAwsocksError(error, ...GONE)) this.#keeper.forget();
  }
}

/** Milliseconds for which a list of the instances is taken for true. */
const LIST_AGE = { usual: 10_000, doubt: 1000 };
/** Milliseconds for which an instance is left alone after a failure; grows with each. */
const AVOID = { initial: 10_000, max: 120_000 };

/** Options of {@linkcode InstanceGroup}. */
export interface InstanceGroupOptions extends Omit<InstanceKeeperOptions, "instanceId" | "choose"> {
  /** Name tag; `*` and `?` are wildcards. */
  readonly name: string;
  readonly ec2: Ec2Client;
  readonly ssm: Pick<SsmClient, "describeInstanceInformation">;
}

/** An instance of a group, and what is known of it. */
interface Member {
  readonly id: string;
  /** Sessions on it, those on their way up included; with how silent they are once they are up. */
  readonly sessions: Set<{ silence: () => number }>;
  readonly backoff: Backoff;
  /** Monotonic time until which others go before it. */
  avoidUntil: number;
}

/**
 * All running instances of a Name tag, such as those of an Auto Scaling group. A session goes to the one
 * with the fewest; one on which a session failed or does not answer only when there is no other.
 *
 * Where none runs, one is started if that is wanted, as for a single instance.
 */
export class InstanceGroup implements Instances {
  readonly #options: InstanceGroupOptions;
  readonly #keeper: InstanceKeeper;
  readonly #members = new Map<string, Member>();
  #list: { readonly at: number; readonly ids: Promise<readonly string[]> } | undefined;
  readonly #closing = new AbortController();
  #told = "";

  constructor(options: InstanceGroupOptions) {
    this.#options = options;
    this.#keeper = new InstanceKeeper({
      ...options,
      choose: (instances) => Promise.resolve(instances[0]!), // the nearest to running
    });
  }

  async take({ signal }: TakeOptions): Promise<InstanceLease> {
    let ids = await this.#running(signal);
    // If all are in doubt, one may have come in their place.
    if (!ids.some((id) => this.#isGood(id))) ids = await this.#running(signal, LIST_AGE.doubt);
    if (ids.length > 0) return this.#lease({ id: this.#best(ids), started: false });
    this.#keeper.forget(); // another one may be nearer to running by now
    const instance = await this.#keeper.ready(signal);
    this.#list = undefined;
    return this.#lease(instance);
  }

  async beside(
    { instance }: InstanceLease,
    { signal, again }: { readonly signal: AbortSignal; readonly again: boolean },
  ): Promise<InstanceLease | undefined> {
    const known = await this.#running(signal, LIST_AGE.doubt);
    const others = known.filter((id) => id !== instance.id);
    const good = others.filter((id) => this.#isGood(id));
    const [ids] = [good, ...(again ? [others, known] : [])].filter(({ length }) => length > 0);
    return ids && this.#lease({ id: this.#best(ids), started: false });
  }

  async prepare(signal: AbortSignal): Promise<void> {
    (await this.take({ signal })).end();
  }

  release(): Promise<void> {
    this.#closing.abort();
    return this.#keeper.release();
  }

  #lease(instance: ReadyInstance): InstanceLease {
    const member = this.#member(instance.id);
    const session = { silence: () => 0 };
    member.sessions.add(session);
    return {
      instance,
      serve: (carrier) => {
        member.backoff.reset();
        member.avoidUntil = -Infinity;
        session.silence = () => carrier.silence;
      },
      end: (error) => {
        if (!member.sessions.delete(session) || error === undefined) return;
        if (isAboutDestination(error) || isAwsocksError(error, ...NOT_ITS_FAULT)) return;
        this.#list = undefined;
        member.avoidUntil = this.#options.clock.monotonic() + member.backoff.next();
        log.debug("Instance {instance} is avoided: {reason}", {
          instance: member.id,
          reason: describeError(error),
        });
      },
    };
  }

  #member(id: string): Member {
    let member = this.#members.get(id);
    if (!member) {
      member = { id, sessions: new Set(), backoff: new Backoff(AVOID), avoidUntil: -Infinity };
      this.#members.set(id, member);
    }
    return member;
  }

  #isGood(id: string): boolean {
    const member = this.#member(id);
    return member.avoidUntil <= this.#options.clock.monotonic() && !isSilent(member);
  }

  /** The least avoided, then the least used. */
  #best(ids: readonly string[]): string {
    const now = this.#options.clock.monotonic();
    const rank = (member: Member): readonly number[] => [
      Number(isSilent(member)),
      Math.max(0, member.avoidUntil - now),
      member.sessions.size,
    ];
    const ranked = ids.map((id) => ({ id, rank: rank(this.#member(id)) }));
    ranked.sort((a, b) => {
      const index = a.rank.findIndex((value, i) => value !== b.rank[i]);
      return index < 0 ? 0 : a.rank[index]! - b.rank[index]!;
    });
    return ranked[0]!.id;
  }

  /** Ids of the instances that run and whose agents are online. One question for all that ask at once. */
  async #running(
    signal: AbortSignal,
    maxAge: number = LIST_AGE.usual,
  ): Promise<readonly string[]> {
    const now = this.#options.clock.monotonic();
    if (!this.#list || now - this.#list.at >= maxAge) {
      const ids = this.#ask(this.#closing.signal); // others may wait for it too
      const list = this.#list = { at: now, ids };
      ids.catch(() => {
        if (this.#list === list) this.#list = undefined;
      });
    }
    const ids = await orAborted(this.#list.ids, signal);
    for (const member of this.#members.values()) {
      if (member.sessions.size === 0 && !ids.includes(member.id)) this.#members.delete(member.id);
    }
    return ids;
  }

  async #ask(signal: AbortSignal): Promise<readonly string[]> {
    const { ec2, name } = this.#options;
    const instances = await ec2.describeInstances({
      filters: { "tag:Name": [name], "instance-state-name": ["running"] },
    }, { signal });
    const running = instances.map(({ id }) => id).sort();
    const online = await Promise.allSettled(running.map((id) => this.#online(id, signal)));
    const ids = running.filter((_, index) => {
      const outcome = online[index]!;
      return outcome.status === "fulfilled" && outcome.value;
    });
    if (running.length > 0 && ids.length === 0) {
      // One that could not be asked about is left out, unless that is all there is to say.
      const failed = online.find((outcome) => outcome.status === "rejected");
      if (failed) throw failed.reason;
      throw new AwsocksError(
        "agent-offline",
        `No SSM agent of the ${running.length} instances "${name}" in ${ec2.region} is connected`,
      );
    }
    this.#tell(ids);
    return ids;
  }

  async #online(id: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#keeper.checkOnline(id, signal);
      return true;
    } catch (error) {
      if (isAwsocksError(error, "agent-offline")) return false;
      throw error;
    }
  }

  #tell(ids: readonly string[]): void {
    const text = ids.join(", ");
    if (text === this.#told || text === "") return;
    this.#told = text;
    log.info("{count} instances: {instances}", {
      count: ids.length,
      instances: text,
      name: this.#options.name,
    });
  }
}

function isSilent({ sessions }: Member): boolean {
  return [...sessions].some(({ silence }) => silence() >= SILENCE_LIMIT);
}
