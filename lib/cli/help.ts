/**
 * Help texts, made from the tables of commands and flags.
 *
 * @module
 */

import { commandNamed, COMMANDS, type CommandSpec, flagsOf } from "./command_specs.ts";
import { FLAG_GROUPS, type FlagSpec } from "./flag_spec.ts";
import { createStyle, displayWidth, pad, type Style, wrap } from "./style.ts";

/** Columns of the help, at most; what code style guides and terminals beside an editor leave. */
const MAX_WIDTH = 96;

/** Options of the help texts. */
export interface HelpOptions {
  /** Columns of the terminal; more than 96 are not used. */
  readonly columns?: number;
  readonly color?: boolean;
  /** Switches of the sandbox, where they are to be listed. */
  readonly switches?: readonly {
    readonly name: string;
    readonly value: string;
    readonly help: string;
  }[];
}

/**
 * Help for a topic: a command, a family such as `config`, or everything when it is empty.
 * @returns text that ends with a line break
 */
export function helpText(topic: string, options: HelpOptions = {}): string {
  const page = new Page(options);
  const command = commandNamed(topic);
  if (command) describeCommand(page, command, options.switches ?? []);
  else describeCommands(page, topic);
  return page.text();
}

/** Lines of a help text, with its widths and marks. */
class Page {
  readonly #lines: string[] = [];
  readonly width: number;
  readonly style: Style;

  constructor(options: HelpOptions) {
    this.width = Math.max(40, Math.min(options.columns ?? MAX_WIDTH, MAX_WIDTH));
    this.style = createStyle(options.color ?? false);
  }

  heading(text: string): void {
    this.#lines.push("", this.style.bold(text));
  }

  line(text: string): void {
    this.#lines.push(text);
  }

  paragraph(text: string): void {
    this.#lines.push("", ...wrap(text, this.width));
  }

  /**
   * Two columns, the second wrapped; a longer first one stands on a line of its own.
   * @param column width of the first; default that of its widest cell, at most half the page
   */
  table(rows: readonly (readonly [string, string])[], column = widest(rows)): void {
    column = Math.min(column, Math.floor(this.width / 2));
    for (const [left, right] of rows) {
      const [first = "", ...more] = wrap(right, this.width - column - 4);
      const indent = " ".repeat(column + 4);
      if (displayWidth(left) <= column) {
        const gap = first === "" ? "" : pad("", column - displayWidth(left) + 2);
        this.line(`  ${this.style.cyan(left)}${gap}${first}`);
      } else {
        this.line(`  ${this.style.cyan(left)}`);
        if (first !== "") this.line(indent + first);
      }
      for (const line of more) this.line(indent + line);
    }
  }

  text(): string {
    return `${this.#lines.join("\n").trim()}\n`;
  }
}

function describeCommands(page: Page, family: string): void {
  const members = COMMANDS.filter((c) => family === "" || c.name.startsWith(`${family} `));
  if (family === "") {
    page.paragraph(
      "awsocks: a SOCKS5 proxy into private networks on AWS, through SSM Session Manager",
    );
  }
  page.heading("Usage");
  page.line(`  awsocks ${family === "" ? "COMMAND" : `${family} COMMAND`} [flags]`);
  page.heading("Commands");
  page.table(members.map((command) => [synopsis(command, false), command.summary]));
  page.heading("Examples");
  if (family === "") {
    page.table([
      ["awsocks demo", "see it work, without an AWS account"],
      ["awsocks config init", "write a configuration file to start from"],
      ["awsocks start staging", "run the proxy with a profile of it"],
    ]);
    page.line("");
    page.line("`awsocks help COMMAND` explains a command and its flags.");
  } else page.table(members.flatMap((command) => command.examples));
}

function describeCommand(
  page: Page,
  command: CommandSpec,
  switches: NonNullable<HelpOptions["switches"]>,
): void {
  page.line(`awsocks ${command.name}: ${lowerFirst(command.summary)}`);
  page.heading("Usage");
  page.line(`  awsocks ${synopsis(command, true)}`);
  for (const paragraph of command.description) page.paragraph(paragraph);
  if (command.arguments.length > 0) {
    page.heading("Arguments");
    page.table(command.arguments.map((argument) => [argument.name.toUpperCase(), argument.text]));
  }
  const flags = flagsOf(command).filter((flag) => !flag.hidden);
  const rows = (members: readonly FlagSpec[]) =>
    members.map((flag) => [flagSynopsis(flag), command.texts?.[flag.name] ?? flag.text] as const);
  const column = widest(rows(flags));
  for (const group of FLAG_GROUPS) {
    const members = flags.filter((flag) => (command.groups?.[flag.name] ?? flag.group) === group);
    if (members.length === 0) continue;
    page.heading(group);
    page.table(rows(members), column);
  }
  if (switches.length > 0) {
    page.heading("Switches of the sandbox");
    page.table(switches.map(({ name, value, help }) => [`${name}=${value}`, help]));
  }
  page.heading("Examples");
  for (const [example, text] of command.examples) {
    if (text !== "") page.line(`  ${page.style.dim(`# ${text}`)}`);
    page.line(`  ${example}`);
  }
}

function widest(rows: readonly (readonly [string, string])[]): number {
  return Math.max(...rows.map(([left]) => displayWidth(left)));
}

/** `route HOST[:PORT] [PROFILE] [flags]`. */
function synopsis(command: CommandSpec, withFlags: boolean): string {
  const words = command.arguments.map((argument) => {
    const name = `${argument.name.toUpperCase()}${argument.rest ? "…" : ""}`;
    const marked = command.literal ? `-- ${name}` : name;
    return argument.required ? marked : `[${marked}]`;
  });
  const flags = withFlags ? ["[flags]"] : [];
  const rest = command.literal ? [...flags, ...words] : [...words, ...flags];
  return [command.name, ...rest].join(" ");
}

/** `-i, --instance-id ID`; booleans that are on by default show their negation. */
function flagSynopsis(flag: FlagSpec): string {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  const name = flag.kind === "boolean" && flag.negatable ? `--[no-]${flag.name}` : `--${flag.name}`;
  if (flag.value === undefined) return short + name;
  return `${short}${name}${flag.kind === "optional" ? `[=${flag.value}]` : ` ${flag.value}`}`;
}

function lowerFirst(text: string): string {
  // "An AWS …" keeps its capital: only words that begin like one get a small letter.
  return /^[A-Z][a-z]/.test(text) ? text[0]!.toLowerCase() + text.slice(1) : text;
}
