/**
 * The schema of the file, made of the list of keys. Loaded only when there is a file.
 *
 * @module
 */

import * as z from "zod/mini";
import { CONFIG_KEYS, type ConfigKey, findKey, splitKey } from "./keys.ts";
import { nearest, suggestion } from "./nearest.ts";
import type { Entry, Path } from "./positions.ts";
import { checkValue, type PatternValidator, showValue } from "./values.ts";

/** Something wrong in a document, and where. */
export interface Problem {
  readonly path: Path;
  /** Whether the key or its value is to be pointed at. */
  readonly mark: keyof Entry;
  readonly message: string;
}

/** Sub-tables that `[defaults]` and every profile may have. */
const SUB_TABLES = ["routing", "endpoints"] as const;

function leafSchema(key: ConfigKey, validatePattern?: PatternValidator) {
  const fine = z.refine((value) => "value" in checkValue(key, value, validatePattern));
  switch (key.kind) {
    case "boolean":
      return z.optional(z.boolean().check(fine));
    case "integer":
      return z.optional(z.int().check(fine));
    case "patterns":
      return z.optional(z.array(z.string()).check(fine));
    default:
      return z.optional(z.string().check(fine));
  }
}

function tableSchema(table: string, validatePattern?: PatternValidator) {
  const shape: Record<string, z.ZodMiniType> = {};
  for (const key of CONFIG_KEYS) {
    const [parent, leaf] = splitKey(key.key);
    if (parent === table) shape[leaf] = leafSchema(key, validatePattern);
  }
  return shape;
}

function documentSchema(validatePattern?: PatternValidator) {
  const layer = z.strictObject({
    ...tableSchema("", validatePattern),
    ...Object.fromEntries(
      SUB_TABLES.map((
        name,
      ) => [name, z.optional(z.strictObject(tableSchema(name, validatePattern)))]),
    ),
  });
  return z.strictObject({
    defaults: z.optional(layer),
    profiles: z.optional(z.record(z.string(), layer)),
  });
}

/** Everything that is wrong with a parsed document. */
export function checkDocument(document: unknown, validatePattern?: PatternValidator): Problem[] {
  const result = documentSchema(validatePattern).safeParse(document);
  const problems = new Map<string, Problem>();
  const add = (mark: keyof Entry, path: Path, message: string) => {
    const id = JSON.stringify(path);
    if (!problems.has(id)) problems.set(id, { path, mark, message });
  };
  for (const issue of result.success ? [] : result.error.issues) {
    const path = issue.path as Path;
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) add("key", [...path, key], unknownKey(path, key));
      continue;
    }
    const keyPath = path.slice(0, path.findLastIndex((part) => typeof part === "string") + 1);
    const key = findKey(keyInLayer(keyPath));
    const value = valueAt(document, keyPath);
    if (!key) {
      add("value", keyPath, `expected a table, found ${showValue(value)}`);
      continue;
    }
    const checked = checkValue(key, value, validatePattern);
    for (const { text, at } of "problems" in checked ? checked.problems : []) {
      add("value", at === undefined ? keyPath : [...keyPath, at], text);
    }
  }
  return [...problems.values(), ...exclusiveKeys(document)];
}

/** Dotted name of a key inside its `[defaults]` or profile. */
function keyInLayer(path: Path): string {
  return path.slice(path[0] === "profiles" ? 2 : 1).join(".");
}

function valueAt(document: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, part) => (value as Record<string | number, unknown>)[part],
    document,
  );
}

function unknownKey(parent: Path, key: string): string {
  const inLayer = CONFIG_KEYS.map(({ key }) => key);
  if (parent.length === 0) {
    return findKey(key) || SUB_TABLES.some((name) => name === key)
      ? "belongs into [defaults] or [profiles.NAME]"
      : `unknown table${suggestion(key, ["defaults", "profiles"])}`;
  }
  const table = keyInLayer(parent);
  const siblings = inLayer.filter((name) => splitKey(name)[0] === table)
    .map((name) => splitKey(name)[1]);
  if (table === "") siblings.push(...SUB_TABLES);
  if (nearest(key, siblings)) return `unknown key${suggestion(key, siblings)}`;
  // Not misspelt but misplaced: `proxy` outside of `routing`, or `region` inside of it.
  const elsewhere = inLayer.filter((name) => splitKey(name)[1] === key);
  const places = elsewhere.length > 0 ? elsewhere : inLayer;
  return `unknown key${suggestion(elsewhere[0] ?? key, places)}`;
}

/** `instance-id` and `name` both name the instance: in one table only one of them makes sense. */
function exclusiveKeys(document: unknown): Problem[] {
  const { defaults, profiles } = document as Record<string, unknown>;
  const layers: [Path, unknown][] = [[["defaults"], defaults]];
  for (const [name, layer] of Object.entries(profiles ?? {})) {
    layers.push([["profiles", name], layer]);
  }
  return layers.flatMap(([path, layer]) => {
    const has = (key: string) =>
      typeof layer === "object" && layer !== null && Object.hasOwn(layer, key);
    if (!has("instance-id") || !has("name")) return [];
    return [{
      path: [...path, "name"],
      mark: "key",
      message: "stands beside instance-id; keep one of them",
    }];
  });
}
