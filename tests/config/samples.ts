/**
 * Valid values for every key.
 *
 * @module
 */

import type { ConfigKey, ConfigValue } from "../../lib/config/keys.ts";

/** A valid value, different for different `n` below 5 as far as the kind allows. */
export function sampleOf(key: ConfigKey, n: number): ConfigValue {
  switch (key.kind) {
    case "boolean":
      return n % 2 === 1;
    case "choice":
      return key.values![n % key.values!.length]!;
    case "instance-id":
      return `i-0123456789abcdef${n}`;
    case "integer":
      return Math.min(100, key.range![1] - 4) + n;
    case "listen":
      return `127.0.0.1:${1080 + n}`;
    case "path":
      return `/path/${n}`;
    case "patterns":
      return [`${n}.example.com`];
    case "region":
      return `eu-central-${n + 1}`;
    case "url":
      return `${key.schemes![0]}://host-${n}.example.com`;
    case "credential":
    case "text":
      return `value-${n}`;
  }
}

/** A value as text, as a flag or the environment gives it. */
export function textOf(value: ConfigValue): string {
  return Array.isArray(value) ? value.join(",") : String(value);
}

/** `key = value` in TOML. */
export function tomlOf(key: string, value: ConfigValue): string {
  return `${key} = ${JSON.stringify(value)}`;
}
