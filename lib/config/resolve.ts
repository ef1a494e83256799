/**
 * Merges flags, environment, profile, defaults and built-in values into {@linkcode Settings}. Pure.
 *
 * @module
 */

import { AwsocksError } from "../core/errors.ts";
import { CONFIG_KEYS, type ConfigValue, findKey, type KeyName, type KnownKey } from "./keys.ts";
import { type Level, levelsOf, type Origin, type ResolveOptions } from "./levels.ts";
import { mergePatterns } from "./merge.ts";
import type { Layer } from "./parse.ts";
import { expandHome } from "./paths.ts";
import type { Settings } from "./settings.ts";

/** Merged settings with their origins. */
export interface ResolvedSettings {
  readonly settings: Settings;
  /** The highest level that gave, or added to, each key; absent for keys without a value. */
  readonly origins: Readonly<Partial<Record<KeyName, Origin>>>;
  /** What deserves a line in the log, one line each. */
  readonly notices: readonly string[];
}

/**
 * Merges all levels.
 * @throws AwsocksError `profile-unknown`; `usage` for a wrong flag; `config-invalid` for a wrong variable
 * or settings that do not go together
 */
export function resolveSettings(options: ResolveOptions): ResolvedSettings {
  const levels = levelsOf(options);
  const origins: Partial<Record<KeyName, Origin>> = {};
  const values: Partial<Record<KeyName, ConfigValue>> = {};
  const notices: string[] = [];
  const silenced = silencedTarget(levels);
  for (const key of CONFIG_KEYS) {
    const given = levels.filter(({ values }) => values[key.key] !== undefined);
    const top = given[0];
    if (!top || key.key === silenced) continue;
    // Without a home directory there is no usual place; only a path that was asked for is an error.
    if (key.kind === "path" && top.origin === "built-in" && !options.home) continue;
    origins[key.key] = top.origin;
    if (key.kind === "patterns") {
      const lists = given.map(({ values }) => values[key.key] as readonly string[]);
      const { patterns, idle } = mergePatterns(lists.toReversed());
      values[key.key] = patterns;
      for (const item of idle) notices.push(`${key.key}: ${item} takes nothing away`);
    } else {
      const value = top.values[key.key]!;
      values[key.key] = key.kind === "path" ? expandHome(value as string, options.home) : value;
      notices.push(...overrideNotice(key, given));
    }
  }
  checkProxyLogin(values, levels);
  const settings = {
    ...nest(values),
    ...options.profile === undefined ? {} : { profile: options.profile },
  };
  return { settings, origins, notices };
}

/**
 * `instance-id` and `name` both say which instance: the one that stands higher silences the other.
 * @throws AwsocksError `usage` or `config-invalid` when both stand on the same level
 */
function silencedTarget(levels: readonly Level[]): KeyName | undefined {
  for (const { values, nameOf, origin } of levels) {
    const id = values["instance-id"] !== undefined;
    const name = values["name"] !== undefined;
    if (id && name) {
      const both = `${nameOf(findKey("instance-id")!)} and ${nameOf(findKey("name")!)}`;
      throw new AwsocksError(
        origin === "flag" ? "usage" : "config-invalid",
        `${both} both say which instance; keep one of them`,
        { hint: "" },
      );
    }
    if (id) return "name";
    if (name) return "instance-id";
  }
  return undefined;
}

function checkProxyLogin(values: Layer, levels: readonly Level[]): void {
  const keys = ["proxy-user", "proxy-password"] as const;
  const [given, ...others] = keys.filter((key) => values[key] !== undefined);
  if (given === undefined || others.length > 0) return;
  const missing = keys.find((key) => key !== given)!;
  const level = levels.find((level) => level.values[given] !== undefined)!;
  throw new AwsocksError(
    "config-invalid",
    `${level.nameOf(findKey(given)!)} is given without ${missing}; the proxy needs both or none`,
    { hint: "" },
  );
}

/** The variables that also steer other AWS tools beat the file without anyone having meant it. */
function overrideNotice(key: KnownKey, given: readonly Level[]): string[] {
  const [top, ...lower] = given;
  const file = lower.find(({ origin }) => origin === "profile" || origin === "defaults");
  if (top?.origin !== "environment" || !file) return [];
  if (key.key !== "aws-profile" && key.key !== "region") return [];
  const [strong, weak] = [top.values[key.key], file.values[key.key]];
  if (strong === weak) return [];
  const place = file.origin === "profile" ? "the profile" : "[defaults]";
  return [
    `${top.nameOf(key)}=${strong} in the environment replaces ${key.key} = "${weak}" of ${place}`,
  ];
}

/** `{"routing.vm-direct": x}` as `{routing: {vmDirect: x}}`. */
function nest(values: Layer): Settings {
  const root: Record<string, unknown> = { endpoints: {}, routing: {} };
  for (const [key, value] of Object.entries(values)) {
    const names = key.split(".").map((name) =>
      name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
    );
    const leaf = names.pop()!;
    const table = names.length > 0 ? root[names[0]!] as Record<string, unknown> : root;
    table[leaf] = value;
  }
  // Safe: every value has passed the rules of its key, keys with a built-in value are all there, and a
  // test compares a Settings literal with the result for every key.
  return root as unknown as Settings;
}
