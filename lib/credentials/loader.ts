/**
 * One attempt to load credentials: looks at the settings, then asks their source.
 *
 * @module
 */

import { type Clock, type Credentials, getLog } from "../core/mod.ts";
import { awsPaths, namedProfile, type Whereabouts } from "./environment.ts";
import { alreadyExpired, explainFailure, findFault } from "./failure.ts";
import { type Fetch, FetchHandler } from "./fetch_handler.ts";
import { digest } from "./digest.ts";
import { tokenFile } from "./profile.ts";
import { resolveRegion } from "./region.ts";
import { loadFromSource, type MfaCode } from "./sdk.ts";
import { readSharedFiles } from "./shared_files.ts";
import { hasKeys, selectSource, type Source, sourceFields, sourceFingerprint } from "./source.ts";

/** Milliseconds a load may take; more where a person or another program is waited for. */
const LOAD_LIMIT_MS = 60_000;
const PATIENT_LOAD_LIMIT_MS = 5 * 60_000;

/** What an attempt found in the settings, before anything is loaded. */
export interface Attempt {
  /** The source for the log. */
  readonly fields: { readonly source: string; readonly profile?: string };
  /** A person is asked during the load: it must not start by itself. */
  readonly interactive: boolean;
  /** Milliseconds that {@linkcode load} may take. */
  readonly limit: number;
  /** Digest of the settings in use. */
  readonly settings: string;
  /** Digest of the login token in use; {@linkcode load} itself may change it. */
  token(): Promise<string>;
  /** @throws AwsocksError `credentials-…`, or `aws-…` when AWS cannot be reached */
  load(signal: AbortSignal): Promise<Credentials>;
}

/** Looks at the settings as they are now. Does not fail: what is wrong is for `load` to say. */
export type Prepare = () => Promise<Attempt>;

/** Options of {@linkcode createLoader}. */
export interface LoaderOptions {
  readonly where: Whereabouts;
  readonly clock: Clock;
  readonly fetch: Fetch;
  readonly profile?: string | undefined;
  readonly region?: string | undefined;
  readonly stsEndpoint?: string | undefined;
  readonly mfaCode?: MfaCode | undefined;
  /** Milliseconds for each answer of a metadata service, instance or container; default 1000. */
  readonly metadataLimit?: number | undefined;
}

/** A {@linkcode Prepare} for these options. */
export function createLoader(options: LoaderOptions): Prepare {
  const { where, profile } = options;
  const log = getLog("credentials");
  const paths = awsPaths(where);
  let overrideTold = false;

  return async () => {
    const files = await readSharedFiles(paths);
    const source = selectSource(profile, files, where);
    const named = namedProfile(profile, where.env);
    if (named !== undefined && hasKeys(where.env) && !overrideTold) {
      overrideTold = true;
      log.warn("AWS profile {profile} is used, the keys in the environment are not", {
        profile: named,
      });
    }
    return {
      fields: sourceFields(source),
      interactive: source.kind === "profile" && source.plan.mfaSerial !== undefined,
      limit: isPatient(source) ? PATIENT_LOAD_LIMIT_MS : LOAD_LIMIT_MS,
      settings: await sourceFingerprint(source, files),
      token: () => tokenDigest(source),
      load: async (signal) => {
        const fault = await findFault(source, [...files.profiles.keys()].sort());
        if (fault) throw fault;
        return await load(source, options, signal);
      },
    };
  };
}

async function load(
  source: Source,
  options: LoaderOptions,
  signal: AbortSignal,
): Promise<Credentials> {
  const { where, clock, fetch, profile } = options;
  const log = getLog("credentials");
  const handler = new FetchHandler({ fetch, clock, signal });
  try {
    const credentials = await loadFromSource(source, {
      env: where.env,
      paths: awsPaths(where),
      profile,
      region: await resolveRegion({ ...where, profile, region: options.region }),
      stsEndpoint: options.stsEndpoint,
      mfaCode: options.mfaCode,
      metadataLimit: options.metadataLimit,
      handler,
      signal,
      warn: (text) => log.warn("The AWS SDK warns: {text}", { text }),
    });
    const { expiration } = credentials;
    if (expiration !== undefined && expiration <= clock.now()) {
      throw alreadyExpired(source, expiration);
    }
    return credentials;
  } catch (error) {
    throw explainFailure(error, source, handler.last);
  }
}

/** MFA waits for a person, a `credential_process` may do so too. */
function isPatient(source: Source): boolean {
  return source.kind === "profile" &&
    (source.plan.mfaSerial !== undefined || source.plan.links.at(-1)?.kind === "process");
}

async function tokenDigest(source: Source): Promise<string> {
  const login = source.kind === "profile" ? source.plan.login : undefined;
  if (!login) return "";
  try {
    return await digest("SHA-256", await Deno.readTextFile(await tokenFile(login)));
  } catch {
    return "";
  }
}
