/**
 * Loads credentials in a process of its own, whose environment and home are what the test says, and
 * prints what came of it as one line of JSON. The AWS SDK reads both from the process.
 *
 * @module
 */

import { dirname } from "node:path";
import { configureLogging, type Credentials, isAwsocksError } from "../../../lib/core/mod.ts";
import { createCredentials } from "../../../lib/credentials/mod.ts";

/** What the child is asked to do. */
export interface Task {
  readonly profile?: string;
  readonly region?: string;
  readonly stsEndpoint?: string;
  /** Answer to the question for an MFA code; without it there is nobody to ask. */
  readonly mfa?: string;
  readonly metadataLimit?: number;
  /** Asks the SDK's own default chain instead. */
  readonly sdk?: boolean;
  /** Server that stands for every host of AWS; their names are in {@linkcode Outcome.hosts}. */
  readonly peer?: string;
  /** File that is written once a first load has failed; the credentials that come of it count. */
  readonly login?: { readonly path: string; readonly text: string };
}

/** What the child prints. */
export interface Outcome {
  readonly credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  readonly expiration?: number;
  readonly error?: { code: string; message: string; hint: string };
  /** Serial numbers of MFA devices that a code was asked for. */
  readonly asked: string[];
  /** Hosts that requests were meant for, when a peer stood for them. */
  readonly hosts: string[];
  readonly log: string[];
}

async function load(task: Task, asked: string[], hosts: string[]) {
  if (task.sdk) {
    const { fromNodeProviderChain } = await import("@aws-sdk/credential-providers");
    return await fromNodeProviderChain({
      ...(task.profile !== undefined && { profile: task.profile }),
    })();
  }
  const { profile, region, stsEndpoint, metadataLimit, mfa, peer } = task;
  await using credentials = createCredentials({
    profile,
    region,
    stsEndpoint,
    metadataLimit,
    fetch: peer === undefined ? undefined : (url, init) => {
      hosts.push(url.host);
      return fetch(new URL(url.pathname + url.search, peer), init);
    },
    mfaCode: mfa === undefined ? undefined : (serial) => {
      asked.push(serial);
      return Promise.resolve(mfa);
    },
  });
  if (!task.login) return await credentials.source();
  const news = Promise.withResolvers<Credentials>();
  credentials.onUpdate(news.resolve);
  await credentials.source().then(
    () => news.reject(new Error("There was a login already")),
    () => {},
  );
  await credentials.start();
  await Deno.mkdir(dirname(task.login.path), { recursive: true });
  await Deno.writeTextFile(task.login.path, task.login.text);
  return await news.promise;
}

async function run(task: Task): Promise<Outcome> {
  const log: string[] = [];
  const asked: string[] = [];
  const hosts: string[] = [];
  await configureLogging({ level: "trace", write: (line) => void log.push(line) });
  try {
    const { expiration, ...credentials } = await load(task, asked, hosts);
    return {
      credentials,
      ...(expiration !== undefined && { expiration: Number(expiration) }),
      asked,
      hosts,
      log,
    };
  } catch (error) {
    const { code, hint } = isAwsocksError(error) ? error : { code: "", hint: "" };
    const message = error instanceof Error ? error.message : String(error);
    return { error: { code, message, hint }, asked, hosts, log };
  }
}

if (import.meta.main) {
  const outcome = await run(JSON.parse(Deno.args[0] ?? "{}") as Task);
  await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(outcome)));
}
