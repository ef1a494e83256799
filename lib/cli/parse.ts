/**
 * Command line → {@linkcode Command} or {@linkcode UsageError}. Pure: reads no file, prints nothing.
 *
 * `node:util` parseArgs cuts the arguments into tokens, which keeps its rules for `--`, grouped short
 * flags and inline values. What they mean is decided here, so that each mistake gets its own line.
 *
 * @module
 */

import { parseArgs } from "node:util";
import {
  COMMAND_NAMES,
  type CommandName,
  commandNamed,
  COMMANDS,
  type CommandSpec,
} from "./command_specs.ts";
import { flagNamed, FLAGS } from "./flag_specs.ts";
import { type FlagValues, NEGATION, readFlags, type Token } from "./flag_values.ts";
import { type LogChoice, logChoice } from "./log_options.ts";
import { UsageError } from "./usage_error.ts";

/** A command line that makes sense. */
export interface Command {
  readonly name: CommandName;
  /** Values of the command's arguments, in their order. */
  readonly arguments: readonly string[];
  readonly flags: FlagValues;
  /** Levels and format of the log. */
  readonly log: LogChoice;
  /** What should be said before the command runs: flags without effect, secrets in plain sight. */
  readonly warnings: readonly string[];
}

/** What {@linkcode parse} gives. */
export type Parsed =
  | { readonly ok: true; readonly command: Command }
  | { readonly ok: false; readonly error: UsageError };

/**
 * Reads a command line.
 * @param args arguments without the program's name
 */
export function parse(args: readonly string[]): Parsed {
  try {
    return { ok: true, command: understand(args) };
  } catch (error) {
    if (error instanceof UsageError) return { ok: false, error };
    throw error;
  }
}

/**
 * What parseArgs needs to know: which flags take the next argument. One table serves all commands,
 * because flags may stand before the command's name; hence a name means the same kind everywhere.
 */
const OPTIONS = Object.fromEntries(FLAGS.map((flag) => [flag.name, {
  type: flag.kind === "boolean" || flag.kind === "optional" ? "boolean" : "string",
  multiple: true,
  ...(flag.short === undefined ? {} : { short: flag.short }),
}])) as Record<string, { type: "boolean" | "string"; multiple: true; short?: string }>;

function tokenize(args: readonly string[]): readonly Token[] {
  // Not strict: with its own checks on, parseArgs throws before anything else can be looked at.
  return parseArgs({
    args: [...args],
    options: OPTIONS,
    strict: false,
    allowPositionals: true,
    tokens: true,
  }).tokens;
}

/**
 * Puts `--` before the first argument of a command whose arguments are somebody else's command line,
 * so that `awsocks exec ls -la` does not take `-la` for its own.
 */
function protectLiteral(args: readonly string[]): readonly string[] {
  const tokens = tokenize(args);
  const [name, first] = tokens.filter((token) => token.kind === "positional");
  if (!first || !commandNamed(name!.value)?.literal) return args;
  if (tokens.some(({ kind, index }) => kind === "option-terminator" && index < first.index)) {
    return args;
  }
  return [...args.slice(0, first.index), "--", ...args.slice(first.index)];
}

function understand(given: readonly string[]): Command {
  const args = protectLiteral(given);
  refuseSingleDashWords(args);
  const tokens = tokenize(args);
  const words = tokens.filter((token) => token.kind === "positional").map((token) => token.value);
  const asks = (name: string) => tokens.some((t) => t.kind === "option" && t.name === name);
  const simple = { flags: readColor(tokens), log: logChoice({}), warnings: [] };

  if (asks("help")) return { name: "help", arguments: topicOf(words), ...simple };
  if (asks("version")) return { name: "version", arguments: [], ...simple };
  if (words.length === 0) throw new UsageError("No command is given", { topic: "help" });

  const { spec, rest } = findCommand(words);
  const { flags, warnings } = readFlags(tokens, spec);
  checkArguments(spec, rest);
  if (spec.name === "help") topicOf(rest, true);
  return {
    name: spec.name,
    arguments: rest,
    flags,
    log: logChoice(flags, spec.logLevel),
    warnings,
  };
}

/** `--no-color` counts even where the rest of the command line is not looked at. */
function readColor(tokens: readonly Token[]): FlagValues {
  let flags: FlagValues = {};
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    if (token.name === "color") flags = { color: token.value !== "false" };
    if (token.name === "no-color") flags = { color: false };
  }
  return flags;
}

/** Splits the words into the command and its arguments. */
function findCommand(words: readonly string[]): { spec: CommandSpec; rest: readonly string[] } {
  const [first, second] = words;
  const one = commandNamed(first!);
  if (one) return { spec: one, rest: words.slice(1) };
  const family = COMMAND_NAMES.filter((name) => name.startsWith(`${first} `));
  if (family.length === 0) {
    throw new UsageError(`Unknown command "${first}"`, {
      word: first!,
      candidates: firstWords(),
      topic: "help",
      otherwise: `to use a profile of that name: awsocks start ${first}`,
    });
  }
  const two = commandNamed(`${first} ${second}`);
  if (two) return { spec: two, rest: words.slice(2) };
  const members = family.map((name) => name.slice(first!.length + 1));
  if (second === undefined) {
    throw new UsageError(`\`awsocks ${first}\` needs one of: ${members.join(", ")}`, {
      topic: first!,
    });
  }
  throw new UsageError(`Unknown command "${first} ${second}"`, {
    word: second,
    candidates: members,
    topic: first!,
  });
}

function firstWords(): string[] {
  return [...new Set(COMMAND_NAMES.map((name) => name.split(" ")[0]!))];
}

/**
 * The words that name a help topic.
 * @param strict an unknown topic is an error; otherwise what is not a command is left out, so that
 *   `awsocks start staging --help` works
 */
function topicOf(words: readonly string[], strict = false): readonly string[] {
  const known = (topic: string) =>
    commandNamed(topic) !== undefined || COMMANDS.some((c) => c.name.startsWith(`${topic} `));
  const from = !strict && words[0] === "help" ? words.slice(1) : words;
  for (const length of [2, 1]) {
    const topic = from.slice(0, length);
    const exact = !strict || from.length === length;
    if (topic.length === length && exact && known(topic.join(" "))) return topic;
  }
  if (strict && words.length > 0) {
    throw new UsageError(`There is no help for "${words.join(" ")}"`, {
      word: words.join(" "),
      candidates: [...COMMAND_NAMES, ...firstWords()],
      topic: "help",
    });
  }
  return [];
}

function checkArguments(spec: CommandSpec, given: readonly string[]): void {
  const needed = spec.arguments.filter((argument) => argument.required);
  if (given.length < needed.length) {
    const missing = needed[given.length]!;
    throw new UsageError(
      `\`awsocks ${spec.name}\` needs ${missing.name.toUpperCase()}: ${missing.text}`,
      { topic: spec.name },
    );
  }
  if (spec.arguments.some((argument) => argument.rest)) return;
  if (given.length > spec.arguments.length) {
    const surplus = given[spec.arguments.length]!;
    throw new UsageError(
      spec.arguments.length === 0
        ? `\`awsocks ${spec.name}\` takes no arguments, but there is "${surplus}"`
        : `\`awsocks ${spec.name}\` does not know what to do with "${surplus}"`,
      { topic: spec.name },
    );
  }
  const empty = given.findIndex((word) => word === "");
  if (empty >= 0) {
    throw new UsageError(`${spec.arguments[empty]!.name.toUpperCase()} is empty`, {
      topic: spec.name,
    });
  }
}

/**
 * `-region us-east-1` is right for programs written in Go and would here silently mean `-r egion`.
 */
function refuseSingleDashWords(args: readonly string[]): void {
  for (const arg of args) {
    if (arg === "--") return;
    const word = /^-([a-z][a-z-]{2,})(=.*)?$/.exec(arg)?.[1];
    if (word === undefined) continue;
    const positive = word.startsWith(NEGATION) ? word.slice(NEGATION.length) : word;
    if (flagNamed(positive)) {
      throw new UsageError(`Unknown flag "-${word}"`, {
        hint: `write it with two dashes: --${word}`,
      });
    }
  }
}
