/**
 * A run as a picture: each figure as a multiple of its baseline.
 *
 * @module
 */

import { judge, type Result, type Verdict } from "./harness.ts";
import { goalText, type Run, shortNumber } from "./report.ts";

const ROW = 34;
const LEFT = 300;
const WIDTH = 420;
const RIGHT = 150;
const TOP = 64;
/** Multiples with a line. */
const TICKS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64];

/** An SVG with one bar for each result, on a logarithmic scale; the goal is a mark on the bar. */
export function plotSvg(run: Run): string {
  const results = run.results.filter(({ goal }) => goal);
  const values = results.flatMap(({ ratio, goal }) => [ratio, boundOf(goal!)]);
  const from = Math.log2(Math.min(0.25, ...values) * 0.9);
  const to = Math.log2(Math.max(8, ...values) * 1.1);
  const x = (value: number) => LEFT + WIDTH * (Math.log2(value) - from) / (to - from);
  const height = TOP + results.length * ROW + 40;
  const lines = TICKS.filter((tick) => Math.log2(tick) >= from && Math.log2(tick) <= to).map((
    tick,
  ) =>
    `<line x1="${at(x(tick))}" y1="${TOP - 8}" x2="${at(x(tick))}" y2="${height - 34}" ` +
    `stroke="${tick === 1 ? "#57606a" : "#d0d7de"}"/>` +
    `<text x="${at(x(tick))}" y="${
      height - 16
    }" text-anchor="middle" fill="#57606a">${tick}×</text>`
  );
  const bars = results.map((result, index) => barOf(result, TOP + index * ROW, x));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + RIGHT}" height="${height}" ` +
    `font-family="system-ui, sans-serif" font-size="13">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="16" y="24" font-size="16" font-weight="600">Each figure beside its baseline</text>`,
    `<text x="16" y="44" fill="#57606a">${escaped(run.machine)}, ${run.date.slice(0, 10)}</text>`,
    ...lines,
    ...bars,
    "</svg>",
    "",
  ].join("\n");
}

const COLOURS: Readonly<Record<Verdict, string>> = {
  met: "#2da44e",
  unclear: "#bf8700",
  missed: "#cf222e",
};

function barOf(result: Result, y: number, x: (value: number) => number): string {
  const { name, baseline, ratio, goal } = result;
  const [start, end] = [Math.min(x(1), x(ratio)), Math.max(x(1), x(ratio))];
  const colour = COLOURS[judge(result, goal!)];
  const mark = x(boundOf(goal!));
  return [
    `<text x="${LEFT - 12}" y="${y + 10}" text-anchor="end">${escaped(name)}</text>`,
    `<text x="${LEFT - 12}" y="${y + 24}" text-anchor="end" fill="#57606a" font-size="11">beside ${
      escaped(baseline)
    }</text>`,
    `<rect x="${at(start)}" y="${y}" width="${
      at(Math.max(2, end - start))
    }" height="18" fill="${colour}"/>`,
    `<line x1="${at(mark)}" y1="${y - 3}" x2="${at(mark)}" y2="${
      y + 21
    }" stroke="#1f2328" stroke-width="2"/>`,
    `<text x="${at(Math.max(end, mark) + 8)}" y="${y + 14}">${
      escaped(`${shortNumber(ratio)}×, goal ${goalText(goal)}`)
    }</text>`,
  ].join("\n");
}

function boundOf(goal: NonNullable<Result["goal"]>): number {
  return "atLeast" in goal ? goal.atLeast : goal.atMost;
}

function at(value: number): string {
  return value.toFixed(1);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
