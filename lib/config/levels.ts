/**
 * The levels of the merge: flags, environment, profile, defaults, built-in values; each checked.
 *
 * @module
 */

import { AwsocksError } from "../core/errors.ts";
import { CONFIG_KEYS, type ConfigKey, type ConfigValue, findKey, type KeyName } from "./keys.ts";
import type { ConfigFile } from "./load.ts";
import { suggestion } from "./nearest.ts";
import type { Layer } from "./parse.ts";
import type { Environment } from "./paths.ts";
import { checkValue, parseValue, type PatternValidator } from "./values.ts";

/** The level that gave a value, the strongest first. */
export const ORIGINS = ["flag", "environment", "profile", "defaults", "built-in"] as const;

/** Where a value comes from. */
export type Origin = typeof ORIGINS[number];

/** Values of flags by the key they set; a text is read as in the environment. */
export type FlagValues = Readonly<Partial<Record<KeyName, ConfigValue | undefined>>>;

/** Options of {@linkcode resolveSettings}. */
export interface ResolveOptions {
  readonly flags?: FlagValues;
  readonly env: Environment;
  readonly file: Pick<ConfigFile, "path" | "defaults" | "profiles">;
  /** Name of the profile to use; none by default. */
  readonly profile?: string | undefined;
  /** Home directory for `~`. */
  readonly home: string | undefined;
  /** Checks patterns of flags and environment. */
  readonly validatePattern?: PatternValidator | undefined;
}

/** One level of the merge. */
export interface Level {
  readonly origin: Origin;
  readonly values: Layer;
  /** How to name a key of this level in a message. */
  readonly nameOf: (key: ConfigKey) => string;
}

/**
 * All levels, the strongest first.
 * @throws AwsocksError `profile-unknown`; `usage` for a wrong flag; `config-invalid` for a wrong variable
 */
export function levelsOf(options: ResolveOptions): Level[] {
  const { file, profile } = options;
  const profileLayer = profile === undefined ? {} : file.profiles.get(profile);
  if (!profileLayer) throw unknownProfile(profile!, file);
  const inFile = ({ key }: ConfigKey) => key;
  const flags = flagLevel(options);
  return [
    flags,
    environmentLevel(options, flags.values),
    { origin: "profile", values: profileLayer, nameOf: inFile },
    { origin: "defaults", values: file.defaults, nameOf: inFile },
    { origin: "built-in", values: builtIn(), nameOf: inFile },
  ];
}

function unknownProfile(name: string, file: ResolveOptions["file"]): AwsocksError {
  const names = [...file.profiles.keys()];
  const known = names.length > 0 ? `; profiles there: ${names.join(", ")}` : "; it has no profiles";
  const message = `No profile ${JSON.stringify(name)} in ${file.path ?? "the configuration"}`;
  return new AwsocksError("profile-unknown", message + (suggestion(name, names) || known), {
    facts: { profile: name, path: file.path },
    ...suggestion(name, names) ? { hint: `profiles: ${names.join(", ")}` } : {},
  });
}

function flagLevel({ flags = {}, validatePattern }: ResolveOptions): Level {
  const nameOf = (key: ConfigKey) => key.flag ?? key.key;
  const values: Partial<Record<KeyName, ConfigValue>> = {};
  for (const [name, value] of Object.entries(flags)) {
    const key = findKey(name);
    if (!key) throw new AwsocksError("internal", `Flag for ${name}, which is no key`);
    if (value === undefined) continue;
    // A repeated flag gives a list, and each of its items may be a list again.
    const plain = Array.isArray(value) ? value.join(",") : value;
    const checked = typeof plain === "string"
      ? parseValue(key, plain, validatePattern)
      : checkValue(key, plain);
    if ("problems" in checked) {
      const reasons = checked.problems.map(({ text }) => text).join("; ");
      throw new AwsocksError("usage", `${nameOf(key)}: ${reasons}`);
    }
    values[key.key] = checked.value;
  }
  return { origin: "flag", values, nameOf };
}

function environmentLevel({ env, validatePattern }: ResolveOptions, flags: Layer): Level {
  const variableOf = (key: ConfigKey) => key.environment.find((name) => env[name]);
  const values: Partial<Record<KeyName, ConfigValue>> = {};
  for (const key of CONFIG_KEYS) {
    // An empty variable counts as unset, as for the AWS tools.
    const variable = variableOf(key);
    if (variable === undefined) continue;
    // What a flag replaces need not be right: AWS_REGION may be meant for other programs.
    if (key.kind !== "patterns" && flags[key.key] !== undefined) continue;
    const checked = parseValue(key, env[variable]!, validatePattern);
    if ("problems" in checked) {
      const reasons = checked.problems.map(({ text }) => text).join("; ");
      const message = `Environment variable ${variable}: ${reasons}`;
      throw new AwsocksError("config-invalid", message, { hint: "", facts: { variable } });
    }
    values[key.key] = checked.value;
  }
  return { origin: "environment", values, nameOf: (key) => variableOf(key) ?? key.key };
}

function builtIn(): Layer {
  const values: Partial<Record<KeyName, ConfigValue>> = {};
  for (const key of CONFIG_KEYS) {
    if (key.default !== undefined) values[key.key] = key.default;
  }
  return values;
}
