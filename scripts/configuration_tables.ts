/**
 * The tables of `docs/configuration.md`, made of the list of keys and the table of errors.
 *
 * Run it after changing either: `deno run -RW scripts/configuration_tables.ts`. A test fails when the
 * document is behind.
 *
 * @module
 */

import { CONFIG_KEYS, type KnownKey } from "../lib/config/mod.ts";
import { ExitCode, OUTCOMES, SocksReply } from "../lib/core/errors.ts";

type Row = readonly string[];

const code = (text: string) => `\`${text}\``;

function typeOf(key: KnownKey): string {
  switch (key.kind) {
    case "boolean":
      return "boolean";
    case "integer":
      return `integer, ${key.range?.join(" to ")}`;
    case "choice":
      return key.values?.map((value) => code(JSON.stringify(value))).join(", ") ?? "";
    case "patterns":
      return "list of patterns";
    case "url":
      return `URL, ${key.schemes?.map((scheme) => code(`${scheme}:`)).join(" or ")}`;
    case "credential":
    case "text":
      return "string";
    case "instance-id":
      return "`i-…` or `mi-…`";
    case "listen":
      return "`host:port`";
    case "path":
      return "path";
    case "region":
      return "AWS region";
  }
}

function keyRows(): Row[] {
  return [
    ["Key", "Value", "Built-in", "Meaning"],
    ...CONFIG_KEYS.map((key) => [
      code(key.key),
      typeOf(key),
      key.default === undefined ? "" : code(JSON.stringify(key.default)),
      key.description,
    ]),
  ];
}

function sourceRows(): Row[] {
  return [
    ["Key", "Flag", "Environment"],
    ...CONFIG_KEYS.map((key) => [
      code(key.key),
      [key.short, key.flag].filter((flag) => flag !== undefined).map(code).join(", "),
      key.environment.map(code).join(", then "),
    ]),
  ];
}

const EXIT_MEANINGS: Readonly<Record<keyof typeof ExitCode, string>> = {
  Ok: "Ended as asked",
  Failure: "Something failed while running",
  Usage: "Wrong flags, configuration or names: nothing was tried",
  Credentials: "No usable AWS credentials",
  Aws: "AWS or the instance refused, or is not there",
  Session: "The session, or the SSH connection in it, failed",
  NoStatus: "`awsocks exec` could not run the command, or lost it; otherwise its own status",
  Interrupted: "Stopped by Ctrl-C before it was up, or by a second Ctrl-C",
};

function exitRows(): Row[] {
  return [
    ["Exit code", "Meaning"],
    ...Object.entries(ExitCode).map(([name, exit]) => [
      String(exit),
      EXIT_MEANINGS[name as keyof typeof ExitCode],
    ]),
  ];
}

/** `NotAllowed` as `not allowed`. */
function words(name: string): string {
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
}

function errorRows(): Row[] {
  const names = new Map(Object.entries(SocksReply).map(([name, reply]) => [reply, words(name)]));
  return [
    ["Error", "SOCKS reply", "HTTP status", "Exit code"],
    ...Object.entries(OUTCOMES).map(([error, { socks, http, exit }]) => [
      code(error),
      `${socks} ${names.get(socks)}`,
      String(http),
      String(exit),
    ]),
  ];
}

/** Tables by the name in their marker. */
const TABLES: Readonly<Record<string, () => Row[]>> = {
  keys: keyRows,
  sources: sourceRows,
  exits: exitRows,
  errors: errorRows,
};

/** A Markdown table, aligned as `deno fmt` does it. */
function markdown(rows: readonly Row[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: Row) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const [head, ...body] = rows;
  return [head!, widths.map((width) => "-".repeat(width)), ...body].map(line).join("\n");
}

/** The document with every table between `<!-- table: NAME -->` and `<!-- end -->` made anew. */
export function updateTables(document: string): string {
  const found = new Set<string>();
  const updated = document.replaceAll(
    /(<!-- table: (\w+) -->\n)[^]*?(<!-- end -->)/g,
    (_, start: string, name: string, end: string) => {
      const rows = TABLES[name];
      if (!rows) throw new Error(`There is no table ${name}`);
      found.add(name);
      return `${start}\n${markdown(rows())}\n\n${end}`;
    },
  );
  const missing = Object.keys(TABLES).filter((name) => !found.has(name));
  if (missing.length > 0) throw new Error(`The document lacks the table ${missing.join(", ")}`);
  return updated;
}

if (import.meta.main) {
  const path = new URL("../docs/configuration.md", import.meta.url);
  await Deno.writeTextFile(path, updateTables(await Deno.readTextFile(path)));
}
