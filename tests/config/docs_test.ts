import assert from "node:assert/strict";
import { CONFIG_KEYS } from "../../lib/config/keys.ts";
import { parseConfig } from "../../lib/config/parse.ts";
import { FLAGS } from "../../lib/cli/flag_specs.ts";
import { configKey, validatePattern } from "../../lib/cli/settings.ts";
import { createRouter, parsePattern } from "../../lib/routing/mod.ts";
import { updateTables } from "../../scripts/configuration_tables.ts";

const DOCUMENT = await Deno.readTextFile(new URL("../../docs/configuration.md", import.meta.url));

Deno.test("docs/configuration.md has exactly the keys, defaults, exit codes and errors there are", () => {
  const message = "run: deno run -RW scripts/configuration_tables.ts";
  assert.equal(DOCUMENT, updateTables(DOCUMENT), message);
});

Deno.test("docs/configuration.md has only examples that pass the schema", () => {
  const examples = [...DOCUMENT.matchAll(/^ *```toml\n([^]*?)^ *```/gm)].map((match) => match[1]!);
  assert.ok(examples.length >= 3);
  for (const text of examples) parseConfig(text, { path: "example", validatePattern });
});

Deno.test("docs/configuration.md explains patterns that parse, and precedence as it is", () => {
  const section = DOCUMENT.slice(DOCUMENT.indexOf("### Patterns"), DOCUMENT.indexOf("### Which"));
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  const patterns = rows.flatMap((row) =>
    [...row.split("|")[1]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
  );
  assert.ok(patterns.length >= 10);
  for (const pattern of patterns) parsePattern(pattern);

  const router = createRouter({
    default: "direct",
    proxy: ["*.example.com"],
    direct: ["cdn.example.com", "*.media.example.com"],
    vmDirect: [],
    block: ["*.example.com:25"],
  });
  const routeOf = (host: string, port = 443) => router.route({ host, port }).route;
  assert.equal(routeOf("www.example.com"), "proxy");
  assert.equal(routeOf("cdn.example.com"), "direct");
  assert.equal(routeOf("a.media.example.com"), "direct");
  assert.equal(routeOf("www.example.com", 25), "block");
});

Deno.test("CONFIG_KEYS and the command line know the same flags", () => {
  const ours = CONFIG_KEYS.filter(({ flag }) => flag).map((
    { key, flag, short, range, secret },
  ) => ({
    key,
    name: flag!.slice(2),
    short: short?.slice(1),
    min: range?.[0],
    max: range?.[1],
    exposes: secret === true,
  }));
  const theirs = FLAGS.filter(({ setting }) => setting).map((flag) => ({
    key: configKey(flag.name),
    name: flag.name,
    short: flag.short,
    min: flag.min,
    max: flag.max,
    exposes: flag.exposes !== undefined,
  }));
  const byKey = (a: { key: string }, b: { key: string }) => a.key < b.key ? -1 : 1;
  assert.deepEqual(theirs.toSorted(byKey), ours.toSorted(byKey));
});
