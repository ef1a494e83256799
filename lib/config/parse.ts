/**
 * From TOML text to checked values. Loaded only when there is a file.
 *
 * @module
 */

import { parse, TomlError } from "smol-toml";
import { AwsocksError } from "../core/errors.ts";
import { CONFIG_KEYS, type ConfigValue, type KeyName, splitKey } from "./keys.ts";
import { type Path, type Position, scanPositions } from "./positions.ts";
import { checkDocument } from "./schema.ts";
import type { PatternValidator } from "./values.ts";

/** Values of one level, by dotted key. */
export type Layer = Readonly<Partial<Record<KeyName, ConfigValue>>>;

/** What a file says. */
export interface ParsedConfig {
  readonly defaults: Layer;
  readonly profiles: ReadonlyMap<string, Layer>;
}

/** Options of {@linkcode parseConfig}. */
export interface ParseConfigOptions {
  /** Name of the file, for messages. */
  readonly path: string;
  readonly validatePattern?: PatternValidator | undefined;
}

/**
 * Parses and checks a configuration file.
 * @throws AwsocksError `config-invalid`; its message has one line `file:line:column: key: problem` for
 * each problem
 */
export function parseConfig(text: string, options: ParseConfigOptions): ParsedConfig {
  const document = parseToml(text, options.path);
  const problems = checkDocument(document, options.validatePattern);
  if (problems.length > 0) {
    const positions = scanPositions(text);
    const located = problems.map(({ path, mark, message }) => ({
      at: positions.nearest(path)?.[mark] ?? { line: 1, column: 1 },
      message: `${dotted(path)}: ${message}`,
    }));
    throw invalid(options.path, located.toSorted((a, b) => order(a.at, b.at)));
  }
  const { defaults = {}, profiles = {} } = document as Record<string, Record<string, unknown>>;
  return {
    defaults: flatten(defaults),
    profiles: new Map(
      Object.entries(profiles).map((
        [name, layer],
      ) => [name, flatten(layer as Record<string, unknown>)]),
    ),
  };
}

interface Located {
  readonly at: Position;
  readonly message: string;
}

function order(a: Position, b: Position): number {
  return a.line - b.line || a.column - b.column;
}

function invalid(path: string, problems: readonly Located[]): AwsocksError {
  const lines = problems.map(({ at, message }) => `${path}:${at.line}:${at.column}: ${message}`);
  return new AwsocksError("config-invalid", lines.join("\n"), {
    facts: { path, problems: problems.length },
  });
}

function parseToml(text: string, path: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The rest of the message repeats the lines of the file, which may hold a secret.
    const reason = error.message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
    const at = { line: error.line, column: error.column };
    throw invalid(path, [{ at, message: `not valid TOML: ${reason}` }]);
  }
}

/** `profiles."my own".routing.proxy[2]`. */
function dotted(path: Path): string {
  return path.map((part, index) => {
    if (typeof part === "number") return `[${part}]`;
    const name = /^[\w-]+$/.test(part) ? part : JSON.stringify(part);
    return index === 0 ? name : `.${name}`;
  }).join("");
}

function flatten(layer: Record<string, unknown>): Layer {
  const flat: Partial<Record<KeyName, ConfigValue>> = {};
  for (const { key } of CONFIG_KEYS) {
    const [table, leaf] = splitKey(key);
    const parent = table === "" ? layer : layer[table] as Record<string, unknown> | undefined;
    const value = parent?.[leaf];
    // Safe: the schema has passed, so each value is of its key's kind.
    if (value !== undefined) flat[key] = value as ConfigValue;
  }
  return flat;
}
