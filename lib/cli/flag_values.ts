/**
 * Tokens → checked values of a command's flags.
 *
 * @module
 */

import { COMMANDS, type CommandSpec } from "./command_specs.ts";
import type { FlagSpec } from "./flag_spec.ts";
import { flagNamed, FLAGS } from "./flag_specs.ts";
import { UsageError } from "./usage_error.ts";

/** Start of a flag that switches a boolean off. */
export const NEGATION = "no-";

/** Values by flag name; what was not given is absent. */
export type FlagValues = Readonly<Record<string, FlagValue>>;

/** Value of a flag: `optional` gives true or the text, `list` the texts. */
export type FlagValue = boolean | string | number | readonly string[];

/** A token of `node:util` parseArgs. */
export type Token =
  | { readonly kind: "positional"; readonly index: number; readonly value: string }
  | { readonly kind: "option-terminator"; readonly index: number }
  | {
    readonly kind: "option";
    readonly index: number;
    readonly name: string;
    readonly rawName: string;
    readonly value: string | undefined;
    readonly inlineValue: boolean | undefined;
  };

type OptionToken = Extract<Token, { kind: "option" }>;

/**
 * Values of the flags among the tokens.
 * @throws UsageError
 */
export function readFlags(
  tokens: readonly Token[],
  command: CommandSpec,
): { readonly flags: FlagValues; readonly warnings: readonly string[] } {
  const flags: Record<string, FlagValue> = {};
  const warnings = new Set<string>();
  tokens.forEach((token, at) => {
    if (token.kind !== "option") return;
    const { spec, negated } = identify(token, command);
    refuseDetachedValue(spec, token, tokens[at + 1]);
    const value = valueOf(spec, token, negated);
    flags[spec.name] = Array.isArray(value)
      ? [...(flags[spec.name] as readonly string[] | undefined ?? []), ...value]
      : value;
    if (spec.exposes !== undefined) {
      warnings.add(`--${spec.name} can be read in a process list; use ${spec.exposes}`);
    }
    if (spec.name === "routing-config") {
      warnings.add("--routing-config has no effect; rules belong in the configuration file");
    }
  });
  return { flags, warnings: [...warnings] };
}

/** The flag a token names, which the command must know. */
function identify(token: OptionToken, command: CommandSpec): { spec: FlagSpec; negated: boolean } {
  const { name, rawName } = token;
  const direct = flagNamed(name);
  const opposite = name.startsWith(NEGATION) ? flagNamed(name.slice(NEGATION.length)) : undefined;
  const spec = direct ?? (opposite?.kind === "boolean" ? opposite : undefined);
  if (!spec) {
    const known = FLAGS.filter((flag) => command.flags.includes(flag.name) && !flag.hidden);
    if (!rawName.startsWith("--")) {
      throw new UsageError(`Unknown flag "${rawName}"`, { topic: command.name });
    }
    throw new UsageError(`Unknown flag "${rawName}"`, {
      word: name,
      candidates: known.flatMap((flag) =>
        flag.kind === "boolean" ? [flag.name, `${NEGATION}${flag.name}`] : [flag.name]
      ),
      prefix: "--",
      topic: command.name,
    });
  }
  if (!command.flags.includes(spec.name)) {
    const homes = COMMANDS.filter((other) => other.flags.includes(spec.name));
    throw new UsageError(`\`awsocks ${command.name}\` has no flag ${rawName}`, {
      hint: `it belongs to ${homes.map((home) => `awsocks ${home.name}`).join(", ")}`,
    });
  }
  return { spec, negated: direct === undefined };
}

/**
 * `--lazy false` would leave lazy on and take "false" for a profile; `--sandbox drop=0.1` likewise.
 */
function refuseDetachedValue(spec: FlagSpec, token: OptionToken, next: Token | undefined): void {
  if (token.value !== undefined || next?.kind !== "positional") return;
  const meant = spec.kind === "boolean"
    ? BOOLEANS.has(next.value)
    : spec.kind === "optional" && next.value.includes("=");
  if (meant) {
    throw new UsageError(`"${next.value}" does not belong to ${token.rawName}`, {
      hint: `write ${token.rawName}=${next.value}`,
    });
  }
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["yes", true],
  ["on", true],
  ["1", true],
  ["false", false],
  ["no", false],
  ["off", false],
  ["0", false],
]);

function valueOf(spec: FlagSpec, token: OptionToken, negated: boolean): FlagValue {
  const name = token.rawName;
  if (spec.kind === "boolean") {
    if (token.value === undefined) return !negated;
    if (negated) throw new UsageError(`${name} takes no value`);
    const value = BOOLEANS.get(token.value);
    if (value === undefined) {
      throw new UsageError(`${name} is true or false, not "${token.value}"`);
    }
    return value;
  }
  if (spec.kind === "optional") return token.value ?? true;

  const value = textOf(spec, token);
  if (spec.kind === "integer") return integerOf(spec, name, value);
  if (spec.kind === "list") {
    const items = value.split(",").map((item) => item.trim()).filter((item) => item !== "");
    if (items.length === 0) throw new UsageError(`${name} is empty`);
    return items;
  }
  if (spec.choices && !spec.choices.includes(value)) {
    throw new UsageError(`${name} is one of ${spec.choices.join(", ")}, not "${value}"`, {
      word: value,
      candidates: spec.choices,
    });
  }
  return value;
}

/** The text given to a flag that needs one. */
function textOf(spec: FlagSpec, token: OptionToken): string {
  const what = `${token.rawName} needs a value: ${spec.value ?? "TEXT"}`;
  if (token.value === undefined) throw new UsageError(what);
  let value = token.value;
  if (!token.rawName.startsWith("--") && token.inlineValue && value.startsWith("=")) {
    // `-k=file`: parseArgs takes the equals sign for a part of the value.
    value = value.slice(1);
  }
  // The next flag was taken for the value.
  if (!token.inlineValue && /^-./.test(value)) {
    throw new UsageError(what, {
      hint: `if the value is "${value}", write ${token.rawName}=${value}`,
    });
  }
  if (value === "") throw new UsageError(`${token.rawName} is empty`);
  return value;
}

function integerOf(spec: FlagSpec, name: string, text: string): number {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = spec;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(`${name} is a whole number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}
