/**
 * Rules of the values: what each kind of key accepts, from TOML and from text.
 *
 * @module
 */

import type { ConfigKey, ConfigValue, KeyKind } from "./keys.ts";
import { isListenAddress } from "./listen.ts";

/** Says why a routing pattern is wrong; undefined if it is fine. The room `routing` has the parser. */
export type PatternValidator = (pattern: string) => string | undefined;

/** What is wrong with a value, or with the item `at` of a list. */
export interface ValueProblem {
  readonly text: string;
  readonly at?: number;
}

/** A value that passed, or why it did not. */
export type Checked = { readonly value: ConfigValue } | { readonly problems: ValueProblem[] };

/** What a key expects, as a clause for `expected …`. */
export function expectationOf(key: ConfigKey): string {
  switch (key.kind) {
    case "boolean":
      return "true or false";
    case "choice":
      return `one of ${key.values?.map((value) => JSON.stringify(value)).join(", ")}`;
    case "credential":
      return "a text of 1 to 255 bytes";
    case "instance-id":
      return "an instance id such as i-0123456789abcdef0 or mi-0123456789abcdef0";
    case "integer":
      return `a whole number from ${key.range?.[0]} to ${key.range?.[1]}`;
    case "listen":
      return "an address with a port, such as 127.0.0.1:1080 or [::1]:1080";
    case "path":
      return "a path";
    case "patterns":
      return "a list of patterns";
    case "region":
      return "an AWS region such as eu-central-1";
    case "text":
      return "a text";
    case "url":
      return `an absolute URL (${key.schemes?.map((scheme) => `${scheme}:`).join(" or ")})`;
  }
}

/** i- with 8 (until 2016) or 17 digits; mi- for machines outside EC2. */
const INSTANCE_ID = /^(?:i-(?:[0-9a-f]{8}|[0-9a-f]{17})|mi-[0-9a-f]{17})$/;
/** `eu-central-1`, `us-gov-west-1`, `us-isob-east-1`, `eusc-de-east-1`. */
const REGION = /^[a-z]{2,4}(?:-[a-z]{2,}){1,2}-\d{1,2}$/;
const CONTROL = /\p{Cc}/u;

/** Rules of texts, by kind. True means fine. */
const TEXT_RULES: Partial<Record<KeyKind, (text: string, key: ConfigKey) => boolean>> = {
  "choice": (text, key) => key.values?.includes(text) ?? false,
  "credential": (text) => {
    // RFC 1929 section 2: one byte of length, 1 to 255.
    const bytes = new TextEncoder().encode(text).byteLength;
    return bytes >= 1 && bytes <= 255;
  },
  "instance-id": (text) => INSTANCE_ID.test(text),
  "listen": isListenAddress,
  "path": (text) => text !== "" && !CONTROL.test(text),
  "region": (text) => REGION.test(text),
  "text": (text, key) => text !== "" && (key.secret === true || !CONTROL.test(text)),
  "url": isEndpoint,
};

function isEndpoint(text: string, key: ConfigKey): boolean {
  const url = URL.parse(text);
  return url !== null && (key.schemes ?? []).includes(url.protocol.slice(0, -1)) &&
    url.hostname !== "" && url.username === "" && url.password === "" &&
    url.search === "" && url.hash === "";
}

/** A value for a message: secrets only by their type. */
export function showValue(value: unknown, key?: ConfigKey): string {
  if (Array.isArray(value)) return "a list";
  if (value instanceof Date) return "a date";
  if (typeof value === "object" && value !== null) return "a table";
  if (key?.secret || key?.kind === "credential") {
    return value === ""
      ? "an empty text"
      : typeof value === "string"
      ? "another text"
      : typeof value;
  }
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** Checks a value as TOML or a program gives it. */
export function checkValue(
  key: ConfigKey,
  value: unknown,
  validatePattern?: PatternValidator,
): Checked {
  const wrong = problem(`expected ${expectationOf(key)}, found ${showValue(value, key)}`);
  switch (key.kind) {
    case "boolean":
      return typeof value === "boolean" ? { value } : wrong;
    case "integer": {
      const [least, most] = key.range ?? [-Infinity, Infinity];
      const fine = Number.isInteger(value) && (value as number) >= least &&
        (value as number) <= most;
      return fine ? { value: value as number } : wrong;
    }
    case "patterns":
      return Array.isArray(value) ? checkPatterns(value, validatePattern) : wrong;
    default:
      if (typeof value !== "string" || !TEXT_RULES[key.kind]?.(value, key)) return wrong;
      return key.kind === "path" && /^~[^/\\]/.test(value)
        ? problem(`only ~ and ~/ stand for a home directory, not ${value.split(/[/\\]/)[0]}`)
        : { value };
  }
}

function problem(text: string): Checked {
  return { problems: [{ text }] };
}

function checkPatterns(list: readonly unknown[], validatePattern?: PatternValidator): Checked {
  const problems = list.flatMap((item, at): ValueProblem[] => {
    if (typeof item !== "string") {
      return [{ text: `expected a pattern, found ${showValue(item)}`, at }];
    }
    const pattern = item.startsWith("!") ? item.slice(1) : item;
    const text = pattern === "" ? "the pattern is empty" : validatePattern?.(pattern);
    return text ? [{ text: `pattern ${JSON.stringify(item)}: ${text}`, at }] : [];
  });
  return problems.length > 0 ? { problems } : { value: list as readonly string[] };
}

/** Checks a value given as text, from a flag or the environment; a list has commas or spaces between. */
export function parseValue(
  key: ConfigKey,
  text: string,
  validatePattern?: PatternValidator,
): Checked {
  switch (key.kind) {
    case "boolean":
      return checkValue(key, BOOLEANS.get(text.toLowerCase()) ?? text);
    case "integer":
      return checkValue(key, /^\d+$/.test(text) ? Number(text) : text);
    case "patterns":
      return checkValue(key, text.split(/[\s,]+/).filter((item) => item !== ""), validatePattern);
    default:
      return checkValue(key, text);
  }
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["1", true],
  ["yes", true],
  ["on", true],
  ["false", false],
  ["0", false],
  ["no", false],
  ["off", false],
]);
