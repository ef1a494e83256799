/**
 * Runs the benchmarks and prints one table.
 *
 *     deno task bench [--filter TEXT] [--quick] [--json FILE] [--plot FILE] [--markdown FILE]
 *     deno task bench --from FILE --plot FILE     # of an earlier run
 *
 * A goal that is missed is marked and changes nothing else: benchmarks judge code, not commits.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { BENCHES } from "./benches.ts";
import { measure, type Result } from "./harness.ts";
import { plotSvg } from "./plot.ts";
import {
  loadOfMachine,
  machineName,
  type Run,
  type Skipped,
  tableMarkdown,
  tableText,
} from "./report.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    filter: { type: "string" },
    quick: { type: "boolean" },
    json: { type: "string" },
    plot: { type: "string" },
    markdown: { type: "string" },
    from: { type: "string" },
  },
});

/** Runs what was asked for. */
async function runBenches(): Promise<Run> {
  const load = loadOfMachine();
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
  return { date: new Date().toISOString(), machine: machineName(), load, results, skipped };
}

const run: Run = values.from
  ? JSON.parse(await Deno.readTextFile(values.from))
  : await runBenches();
console.log(tableText(run));
if (values.json) await Deno.writeTextFile(values.json, `${JSON.stringify(run, null, 2)}\n`);
if (values.plot) await Deno.writeTextFile(values.plot, plotSvg(run));
if (values.markdown) await Deno.writeTextFile(values.markdown, `${tableMarkdown(run)}\n`);
if (run.skipped.some(({ why }) => why.startsWith("it failed"))) Deno.exitCode = 1;
