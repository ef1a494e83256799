/**
 * Runs the benchmarks and prints one table.
 *
 *     deno task bench [--filter TEXT] [--quick] [--json FILE]
 *
 * A goal that is missed is marked and changes nothing else: benchmarks judge code, not commits.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { BENCHES } from "./benches.ts";
import { measure, type Result } from "./harness.ts";
import { machineName, type Run, type Skipped, tableText } from "./report.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    filter: { type: "string" },
    quick: { type: "boolean" },
    json: { type: "string" },
  },
});

const results: Result[] = [];
const skipped: Skipped[] = [];
const chosen = BENCHES.filter(({ name }) => name.includes(values.filter ?? ""));
if (chosen.length === 0) {
  console.error(`No benchmark has "${values.filter}" in its name. There are:`);
  for (const { name } of BENCHES) console.error(`  ${name}`);
  Deno.exit(2);
}
for (const [index, bench] of chosen.entries()) {
  const { name } = bench;
  const why = await bench.missing?.();
  if (why) {
    skipped.push({ name, why });
    continue;
  }
  console.error(`${index + 1} of ${chosen.length}: ${name}`);
  try {
    results.push(await measure(bench, values.quick ? 1 : bench.rounds));
  } catch (error) {
    skipped.push({ name, why: `it failed: ${error instanceof Error ? error.message : error}` });
  }
}
const run: Run = { date: new Date().toISOString(), machine: machineName(), results, skipped };
console.log(tableText(run));
if (values.json) await Deno.writeTextFile(values.json, `${JSON.stringify(run, null, 2)}\n`);
if (skipped.some(({ why }) => why.startsWith("it failed"))) Deno.exitCode = 1;
