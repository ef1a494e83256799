/**
 * What came of a run, for people and for programs.
 *
 * @module
 */

import { cpus, loadavg, release, totalmem, type } from "node:os";
import { type Goal, judge, type Result } from "./harness.ts";

/** A benchmark that did not run. */
export interface Skipped {
  readonly name: string;
  /** What is missing, or what went wrong. */
  readonly why: string;
}

/** A whole run; what `--json` writes. */
export interface Run {
  /** UTC, ISO 8601. */
  readonly date: string;
  readonly machine: string;
  /** Programs that wanted a processor in the minute before, on average; 0 where nobody counts. */
  readonly load: number;
  readonly results: readonly Result[];
  readonly skipped: readonly Skipped[];
}

/** The machine in one line. */
export function machineName(): string {
  const all = cpus();
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB`;
  const model = all[0]?.model.trim() || "unknown processor";
  return `${all.length} × ${model}, ${memory}, ${type()} ${release()}, Deno ${Deno.version.deno}`;
}

/** Load above which something else takes what the benchmarks want to have. */
const BUSY = 0.5;

/** Programs that wanted a processor in the last minute, on average. */
export function loadOfMachine(): number {
  return loadavg()[0] ?? 0;
}

/** Three digits that count. */
export function shortNumber(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString("en-US");
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `≥ 3.5`, or nothing. */
export function goalText(goal: Goal | undefined): string {
  if (!goal) return "";
  return "atLeast" in goal ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`;
}

/** `0.97–1.08`, or nothing for a single measurement. */
function boundsText({ bounds: [low, high], figure }: Result): string {
  return figure.all.length > 1 ? `${shortNumber(low)}–${shortNumber(high)}` : "";
}

const HEAD = ["", "figure", "beside", "", "ratio", "within", "goal", ""];

function rowOf(result: Result): string[] {
  const { name, unit, baseline, figure, against, ratio, goal } = result;
  const verdict = goal ? judge(result, goal) : "";
  return [
    name,
    `${shortNumber(figure.median)} ${unit}`,
    `${shortNumber(against.median)} ${unit}`,
    baseline,
    shortNumber(ratio),
    boundsText(result),
    goalText(goal),
    verdict === "missed" ? "MISSED" : verdict,
  ];
}

/** The table for a terminal. */
export function tableText(run: Run): string {
  const rows = [HEAD, ...run.results.map(rowOf)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const right = [1, 2, 4, 5];
  const lines = rows.map((row) =>
    row.map((cell, column) =>
      right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)
    ).join("  ").trimEnd()
  );
  return [run.machine, "", ...lines, ...remarks(run), ""].join("\n");
}

function remarks({ results, skipped, load }: Run): string[] {
  const busy = load > BUSY
    ? [`The load was ${shortNumber(load)} before it began: measure again when nothing else runs`]
    : [];
  const notes = results.filter(({ note }) => note).map(({ name, note }) => `${name}: ${note}`);
  const left = skipped.map(({ name, why }) => `${name}: not run, ${why}`);
  const all = [...notes, ...left, ...busy];
  return all.length > 0 ? ["", ...all] : [];
}

/** The same in Markdown, for docs/performance.md. */
export function tableMarkdown(run: Run): string {
  const head = ["", "figure", "beside", "of", "ratio", "within", "goal"];
  const rows = run.results.map((result) => {
    const [name, figure, against, baseline, ratio, within, goal, verdict] = rowOf(result);
    const judged = verdict === "" || verdict === "met"
      ? goal!
      : `${goal} (${verdict!.toLowerCase()})`;
    return [name!, figure!, against!, baseline!, ratio!, within!, judged];
  });
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(["---", "--:", "--:", "---", "--:", "--:", "---"]), ...rows.map(line)]
    .join(
      "\n",
    );
}
