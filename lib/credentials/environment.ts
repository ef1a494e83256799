/**
 * The environment variables and the home directory that AWS credentials depend on, as values.
 *
 * @module
 */

import { homedir } from "node:os";
import { join } from "node:path";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Variables that this room reads itself. The AWS SDK reads more, straight from the process: run it
 * with `--allow-env` unrestricted.
 */
export const ENVIRONMENT_NAMES = [
  "HOME",
  "USERPROFILE",
  "AWS_PROFILE",
  "AWS_DEFAULT_PROFILE",
  "AWS_REGION",
  "AWS_DEFAULT_REGION",
  "AWS_CONFIG_FILE",
  "AWS_SHARED_CREDENTIALS_FILE",
  "AWS_LOGIN_CACHE_DIRECTORY",
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_CREDENTIAL_EXPIRATION",
  "AWS_ROLE_ARN",
  "AWS_ROLE_SESSION_NAME",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CONTAINER_AUTHORIZATION_TOKEN",
  "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
  "AWS_EC2_METADATA_DISABLED",
] as const;

/** The process's own values of {@linkcode ENVIRONMENT_NAMES}. */
export function processEnvironment(): Environment {
  return Object.fromEntries(ENVIRONMENT_NAMES.map((name) => [name, Deno.env.get(name)]));
}

/** Where to look; what is absent is taken from the process. */
export interface Surroundings {
  readonly env?: Environment | undefined;
  /** Home directory. */
  readonly home?: string | undefined;
}

/** {@linkcode Surroundings} with everything filled in. */
export interface Whereabouts {
  readonly env: Environment;
  readonly home: string;
}

/** Fills in what is absent; the home directory is found as the AWS SDK finds it. */
export function whereabouts(given: Surroundings = {}): Whereabouts {
  const env = given.env ?? processEnvironment();
  return { env, home: given.home ?? (env.HOME || env.USERPROFILE || homedir()) };
}

/** Files and directories that credentials come from. */
export interface AwsPaths {
  /** Shared config file: `AWS_CONFIG_FILE`, else `~/.aws/config`. */
  readonly config: string;
  /** Shared credentials file: `AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`. */
  readonly credentials: string;
  /** Tokens of `aws sso login`, one JSON file each. */
  readonly ssoCache: string;
  /** Sessions of `aws login`: `AWS_LOGIN_CACHE_DIRECTORY`, else `~/.aws/login/cache`. */
  readonly loginCache: string;
}

/** The paths in use, with a leading `~/` expanded. */
export function awsPaths({ env, home }: Whereabouts): AwsPaths {
  const at = (named: string | undefined, ...standard: string[]) =>
    named ? expandHome(named, home) : join(home, ".aws", ...standard);
  return {
    config: at(env.AWS_CONFIG_FILE, "config"),
    credentials: at(env.AWS_SHARED_CREDENTIALS_FILE, "credentials"),
    ssoCache: at(undefined, "sso", "cache"),
    loginCache: at(env.AWS_LOGIN_CACHE_DIRECTORY, "login", "cache"),
  };
}

function expandHome(path: string, home: string): string {
  return path.startsWith("~/") ? join(home, path.slice(2)) : path;
}

/** The profile that is asked for by name: the setting, else `AWS_PROFILE`, `AWS_DEFAULT_PROFILE`. */
export function namedProfile(setting: string | undefined, env: Environment): string | undefined {
  return setting || env.AWS_PROFILE || env.AWS_DEFAULT_PROFILE || undefined;
}
