/**
 * How an AWS profile comes to its credentials: a chain of profiles, from the one asked for to the one
 * that holds them or knows where to get them.
 *
 * The AWS SDK does the loading. This module reads the same settings to know beforehand what will be
 * tried: to name it in logs and errors, to spot what is missing, and to tell a change that matters
 * from one that does not. The order of the checks is that of the SDK (`fromIni`).
 *
 * @module
 */

import { join } from "node:path";
import { digest, type DigestAlgorithm } from "./digest.ts";
import type { AwsPaths } from "./environment.ts";
import type { IniSection } from "./ini.ts";
import type { SharedFiles } from "./shared_files.ts";

/** Where a profile's credentials come from. */
export type ProfileKind = "static" | "assume-role" | "web-identity" | "process" | "sso" | "login";

/** One profile of the chain. */
export interface ProfileLink {
  readonly name: string;
  readonly kind: ProfileKind;
  readonly settings: IniSection;
}

/** A login that a person does outside and whose token the AWS CLI leaves in a file. */
export interface Login {
  /** The command that logs in. */
  readonly command: string;
  /** Directory of the file with the token. */
  readonly cache: string;
  /** What the file is named after, and by which digest. */
  readonly id: string;
  readonly algorithm: DigestAlgorithm;
}

/** What a profile's credentials depend on. */
export interface ProfilePlan {
  /** The profile asked for. */
  readonly name: string;
  /** That profile and those it takes its credentials from, in this order. */
  readonly links: readonly ProfileLink[];
  /** Serial number of the MFA device whose code is asked for. */
  readonly mfaSerial?: string;
  /** The login at the end of the chain. */
  readonly login?: Login;
  /** Why it cannot work; reads on after "AWS profile NAME". */
  readonly problem?: ProfileProblem;
}

/** A fault in the settings of one profile. */
export interface ProfileProblem {
  /** The profile at fault. */
  readonly profile: string;
  readonly text: string;
  /** A profile that was named and does not exist. */
  readonly missing?: string;
}

/**
 * Follows a profile to the source of its credentials.
 * @returns undefined when the profile does not exist or says nothing of credentials
 */
export function planProfile(
  name: string,
  files: SharedFiles,
  paths: AwsPaths,
): ProfilePlan | undefined {
  const links: ProfileLink[] = [];
  let mfaSerial: string | undefined;
  const plan = (rest: Partial<ProfilePlan>): ProfilePlan => ({
    name,
    links,
    ...(mfaSerial !== undefined && { mfaSerial }),
    ...rest,
  });
  for (let at = name;;) {
    const settings = files.profiles.get(at);
    if (!settings) {
      const from = links.at(-1)?.name;
      if (from === undefined) return undefined;
      const text = `takes its credentials from AWS profile ${at}, which does not exist`;
      return plan({ problem: { profile: from, text, missing: at } });
    }
    const kind = kindOf(settings, links.length > 0);
    if (kind === undefined) {
      const text = faultOf(settings) ?? (links.length > 0 ? "holds no credentials" : undefined);
      return text === undefined ? undefined : plan({ problem: { profile: at, text } });
    }
    links.push({ name: at, kind, settings });
    if (kind === "sso") {
      const text = ssoFault(settings, files);
      if (text !== undefined) return plan({ problem: { profile: at, text } });
    }
    const login = loginOf(at, kind, settings, paths);
    if (login) return plan({ login });
    const next = kind === "assume-role" ? settings.get("source_profile") : undefined;
    if (kind === "assume-role") mfaSerial ??= settings.get("mfa_serial");
    if (next === undefined) return plan({});
    // A profile may come twice, as in one that names itself and holds the keys; not more often.
    if (links.length > files.profiles.size) {
      const text = `goes round in a circle by way of AWS profile ${next}`;
      return plan({ problem: { profile: at, text } });
    }
    at = next;
  }
}

function kindOf(settings: IniSection, asSource: boolean): ProfileKind | undefined {
  const has = (...keys: string[]) => keys.every((key) => settings.has(key));
  const isStatic = has("aws_access_key_id", "aws_secret_access_key");
  // A profile that is the source of another gives its keys even if it has a role of its own.
  if (asSource && isStatic) return "static";
  const hasRole = has("role_arn") || (asSource && has("credential_source"));
  if (hasRole && has("source_profile") !== has("credential_source")) return "assume-role";
  if (isStatic) return "static";
  if (has("role_arn", "web_identity_token_file")) return "web-identity";
  if (has("credential_process")) return "process";
  if (SSO_KEYS.some((key) => settings.has(key))) return "sso";
  if (has("login_session")) return "login";
  return undefined;
}

const SSO_KEYS = [
  "sso_session",
  "sso_start_url",
  "sso_region",
  "sso_account_id",
  "sso_role_name",
] as const;

/** What makes settings that speak of credentials useless. */
function faultOf(settings: IniSection): string | undefined {
  if (settings.has("role_arn")) {
    return settings.has("source_profile")
      ? "has both source_profile and credential_source"
      : "has role_arn but neither source_profile nor credential_source";
  }
  for (
    const [key, other] of [
      ["aws_access_key_id", "aws_secret_access_key"],
      ["aws_secret_access_key", "aws_access_key_id"],
    ] as const
  ) {
    if (settings.has(key)) return `has ${key} but no ${other}`;
  }
  return undefined;
}

function ssoFault(settings: IniSection, files: SharedFiles): string | undefined {
  const name = settings.get("sso_session");
  const session = name === undefined ? settings : files.ssoSessions.get(name);
  if (!session) return `names sso_session ${name}, which does not exist`;
  const missing = [
    ...["sso_account_id", "sso_role_name"].filter((key) => !settings.has(key)),
    ...["sso_region", "sso_start_url"].filter((key) => !session.has(key)),
  ];
  return missing.length > 0 ? `lacks ${missing.join(", ")}` : undefined;
}

function loginOf(
  profile: string,
  kind: ProfileKind,
  settings: IniSection,
  paths: AwsPaths,
): Login | undefined {
  const option = ` --profile ${/^[\w.@+/:-]+$/.test(profile) ? profile : `'${profile}'`}`;
  if (kind === "sso") {
    const id = settings.get("sso_session") ?? settings.get("sso_start_url") ?? "";
    return { command: `aws sso login${option}`, cache: paths.ssoCache, id, algorithm: "SHA-1" };
  }
  if (kind === "login") {
    const id = settings.get("login_session") ?? "";
    return { command: `aws login${option}`, cache: paths.loginCache, id, algorithm: "SHA-256" };
  }
  return undefined;
}

/** The file in which the AWS CLI leaves the token; the SDK rewrites it when it refreshes the token. */
export async function tokenFile({ cache, id, algorithm }: Login): Promise<string> {
  return join(cache, `${await digest(algorithm, id)}.json`);
}
