/**
 * From flags, environment and file to the settings of a run, with the person asked for the profile
 * where several would do.
 *
 * @module
 */

import {
  type ConfigFile,
  findKey,
  type KeyName,
  loadConfig,
  resolveSettings,
  type Settings,
} from "../config/mod.ts";
import { AwsocksError } from "../core/errors.ts";
import { parsePattern } from "../routing/mod.ts";
import type { App } from "./app.ts";
import { FLAGS } from "./flag_specs.ts";
import type { FlagValue, FlagValues } from "./flag_values.ts";
import type { Environment } from "./terminal.ts";

/** Values by configuration key. */
export type KeyValues = Readonly<
  Partial<Record<KeyName, string | number | boolean | readonly string[]>>
>;

/** The flags that are configuration keys, by key. */
export function flagSettings(flags: FlagValues): KeyValues {
  const values: Record<string, FlagValue> = {};
  for (const { name, setting } of FLAGS) {
    const value = flags[name];
    if (!setting || value === undefined) continue;
    // `-b ssm` is how the only backend was called that old scripts know.
    values[configKey(name)] = name === "backend" && value === "ssm" ? "auto" : value;
  }
  return values;
}

/** `--route-vm-direct` sets `routing.vm-direct`; every other flag has the name of its key. */
export function configKey(flag: string): string {
  return flag.replace(/^route-/, "routing.");
}

/** Home directory of the user; undefined when the environment does not say. */
export function homeOf(env: Environment): string | undefined {
  return env["HOME"] || env["USERPROFILE"] || undefined;
}

/** Why a pattern is none; undefined when it is one. */
export function validatePattern(text: string): string | undefined {
  try {
    parsePattern(text);
    return undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return error.message;
    throw error;
  }
}

/** The configuration file that the command line means, checked. */
export async function readConfig(app: App, path = configPathOf(app)): Promise<ConfigFile> {
  const { env } = app.terminal;
  return await loadConfig({ path, env, home: homeOf(env), validatePattern });
}

/** `--config FILE`, if given. */
export function configPathOf({ command }: App): string | undefined {
  return command.flags["config"] as string | undefined;
}

/** What {@linkcode settingsOf} is told. */
export interface SettingsRequest {
  /** Name of the profile on the command line. */
  readonly profile?: string | undefined;
  readonly values: KeyValues;
  readonly env: Environment;
  /** False for what needs no instance to connect to. */
  readonly needsInstance: boolean;
}

/** Settings and what is to be said about them. */
export interface ChosenSettings {
  readonly settings: Settings;
  readonly notices: readonly string[];
}

/**
 * The settings of this run.
 * @throws AwsocksError `usage` when it is not clear what to connect to; what the room `config` throws
 */
export async function settingsOf(app: App, request: SettingsRequest): Promise<ChosenSettings> {
  const file = await readConfig(app);
  const { env, values, needsInstance } = request;
  const profile = request.profile ?? await chooseProfile(app, file, request);
  const resolved = resolveSettings({
    flags: values,
    env,
    file,
    profile,
    home: homeOf(env),
    validatePattern,
  });
  if (needsInstance && !hasInstance(resolved.settings)) throw noInstance(resolved.settings);
  return { settings: resolved.settings, notices: [...file.notices, ...resolved.notices] };
}

const INSTANCE_KEYS = ["instance-id", "name"] as const;

function hasInstance({ instanceId, name }: Settings): boolean {
  return instanceId !== undefined || name !== undefined;
}

/** The only profile, or the one that the person picks; none where the instance is named otherwise. */
async function chooseProfile(
  app: App,
  file: ConfigFile,
  { values, env, needsInstance }: SettingsRequest,
): Promise<string | undefined> {
  const variables = INSTANCE_KEYS.flatMap((key) => findKey(key)!.environment);
  if (INSTANCE_KEYS.some((key) => values[key] !== undefined)) return undefined;
  if (variables.some((name) => env[name])) return undefined;
  const names = [...file.profiles.keys()];
  if (names.length <= 1) return names[0];
  const byDefault = INSTANCE_KEYS.some((key) => file.defaults[key] !== undefined);
  if (byDefault || !needsInstance) return undefined;
  if (!app.prompter.available) {
    throw new AwsocksError("usage", `Which profile? There are ${names.join(", ")}`, {
      hint: `awsocks ${app.command.name} ${names[0]}`,
    });
  }
  const choices = names.map((name) => ({ label: name, detail: profileDetail(file, name) }));
  return names[await app.prompter.select("Profile", choices, { signal: app.lifetime.signal })];
}

/** What tells profiles apart. */
export function profileDetail(file: ConfigFile, name: string): string {
  const layer = file.profiles.get(name) ?? {};
  const facts = [
    layer["instance-id"] ?? layer["name"],
    layer["region"] ?? file.defaults["region"],
    layer["aws-profile"] ?? file.defaults["aws-profile"],
  ];
  return facts.filter((fact) => fact !== undefined).join(" · ");
}

function noInstance({ profile }: Settings): AwsocksError {
  const message = profile === undefined
    ? "No instance to connect to: neither a profile nor --instance-id nor --name is given"
    : `No instance to connect to: profile ${profile} has neither instance-id nor name`;
  return new AwsocksError("usage", message, {
    hint: profile === undefined
      ? "`awsocks config init` writes a configuration to start from; `awsocks demo` needs none"
      : "give the profile one, or add --instance-id or --name",
  });
}
