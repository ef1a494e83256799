/** What the benchmarks make of their measurements; they themselves run by `deno task bench`. */

import assert from "node:assert/strict";
import { largestShare } from "./bench/backlog.ts";
import { BENCHES } from "./bench/benches.ts";
import {
  type Bench,
  judge,
  measure,
  median,
  medianBounds,
  openSides,
  quantile,
} from "./bench/harness.ts";
import { plotSvg } from "./bench/plot.ts";
import { type Run, shortNumber, tableMarkdown, tableText } from "./bench/report.ts";

/** A benchmark whose sides give these numbers. */
function scripted(figures: number[], baselines: number[], order: string[] = []): Bench {
  const next = (name: string, values: number[]) => () => {
    order.push(name);
    return Promise.resolve(values.shift()!);
  };
  return {
    name: "walking",
    unit: "km/h",
    baseline: "a <snail>",
    goal: { atLeast: 2 },
    rounds: 3,
    open: () =>
      Promise.resolve({
        figure: next("figure", figures),
        baseline: next("baseline", baselines),
        note: () => "uphill",
        [Symbol.asyncDispose]: () => {
          order.push("closed");
          return Promise.resolve();
        },
      }),
  };
}

Deno.test("median() and quantile() do not depend on the order", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(quantile([5, 1, 4, 2, 3], 0.95), 5);
  assert.equal(quantile([5, 1, 4, 2, 3], 0.5), 3);
});

Deno.test("measure() takes both sides in turn, each first every other time, and closes them", async () => {
  const order: string[] = [];
  const result = await measure(scripted([10, 30, 20], [5, 4, 6], order));
  assert.deepEqual(order, [
    ...["figure", "baseline"],
    ...["baseline", "figure"],
    ...["figure", "baseline"],
    "closed",
  ]);
  assert.deepEqual([result.figure.median, result.against.median], [20, 5]);
  assert.equal(result.ratio, 20 / 6, "the median of 10 / 5, 30 / 4 and 20 / 6");
  assert.deepEqual(result.bounds, [2, 7.5]);
  assert.deepEqual(result.figure.all, [10, 30, 20]);
});

Deno.test("openSides() closes what it holds with the sides, or at once when it fails", async () => {
  const closed: string[] = [];
  const thing = (name: string) => ({ [Symbol.dispose]: () => void closed.push(name) });
  const sides = await openSides((stack) => {
    stack.use(thing("first"));
    stack.use(thing("second"));
    return Promise.resolve({
      figure: () => Promise.resolve(1),
      baseline: () => Promise.resolve(2),
    });
  });
  assert.deepEqual(closed, []);
  await sides[Symbol.asyncDispose]();
  assert.deepEqual(closed, ["second", "first"]);
  await assert.rejects(
    openSides((stack) => {
      stack.use(thing("third"));
      throw new Error("no room");
    }),
    /no room/,
  );
  assert.deepEqual(closed, ["second", "first", "third"]);
});

Deno.test("judge() knows both kinds of goals, and when a run cannot tell", () => {
  const verdict = (ratio: number, low: number, high: number, goal: Parameters<typeof judge>[1]) =>
    judge({ ratio, bounds: [low, high] }, goal);
  assert.equal(verdict(2, 1.5, 2.5, { atLeast: 2 }), "met");
  assert.equal(verdict(1.9, 1.7, 2, { atLeast: 2 }), "unclear");
  assert.equal(verdict(1.9, 1.8, 1.99, { atLeast: 2 }), "missed");
  assert.equal(verdict(4, 4, 4, { atMost: 4 }), "met");
  assert.equal(verdict(4.1, 3.9, 5, { atMost: 4 }), "unclear");
  assert.equal(verdict(4.1, 4.1, 4.1, { atMost: 4 }), "missed");
});

Deno.test("medianBounds() takes the ranks that tables of the sign test give", () => {
  const ranks = (n: number) => medianBounds(Array.from({ length: n }, (_, i) => n - i));
  assert.deepEqual(ranks(1), [1, 1]);
  assert.deepEqual(ranks(3), [1, 3]);
  assert.deepEqual(ranks(7), [1, 7]);
  assert.deepEqual(ranks(8), [2, 7]);
  assert.deepEqual(ranks(9), [2, 8]);
  assert.deepEqual(ranks(15), [4, 12]);
  assert.deepEqual(ranks(31), [11, 21]);
});

Deno.test("tables and plot say what was measured, and what was not", async () => {
  const run: Run = {
    date: "2025-01-01T00:00:00.000Z",
    machine: "2 × Abacus",
    load: 1.5,
    results: [await measure(scripted([10, 10, 10], [5, 5, 5])), {
      ...await measure(scripted([6, 6, 6], [5, 5, 5])),
      name: "running",
    }],
    skipped: [{ name: "flying", why: "needs wings: apt-get install wings" }],
  };
  const text = tableText(run);
  assert.match(
    text,
    /walking +10\.0 km\/h +5\.00 km\/h +a <snail> +2\.00 +2\.00–2\.00 +≥ 2 +met\n/,
  );
  assert.match(text, /running .* 1\.20 +1\.20–1\.20 +≥ 2 +MISSED\n/);
  assert.match(text, /walking: uphill\n/);
  assert.match(text, /flying: not run, needs wings/);
  assert.match(text, /load was 1\.50 before/);
  assert.doesNotMatch(tableText({ ...run, load: 0.2 }), /load/);
  assert.match(
    tableMarkdown(run),
    /\| walking \| 10\.0 km\/h \| 5\.00 km\/h \| a <snail> \| 2\.00 \| 2\.00–2\.00 \| ≥ 2 \|/,
  );
  const svg = plotSvg(run);
  assert.match(svg, /beside a &lt;snail&gt;/);
  assert.equal(svg.match(/<rect x=/g)?.length, 2);
});

Deno.test("shortNumber() gives three digits that count", () => {
  assert.deepEqual([1234.5, 123.45, 12.345, 1.2345].map(shortNumber), [
    "1,235",
    "123",
    "12.3",
    "1.23",
  ]);
});

Deno.test("largestShare() finds the largest of the log, and misses it when there is none", () => {
  const line = (share: number) =>
    `12:00:00 DEBUG ssm  Session s is over maxWindowShare=${share} resumes=0\n`;
  assert.equal(largestShare(`${line(0.5)}other\n${line(0.998)}${line(1e-3)}`), 99.8);
  assert.throws(() => largestShare("other\n"), /no session's end/);
});

Deno.test("docs/performance.md has a row for each benchmark, in order", async () => {
  const text = await Deno.readTextFile(new URL("../docs/performance.md", import.meta.url));
  const rows = [...text.matchAll(/^\| (?!--|\s)([^|]+?) +\|/gm)].map(([, name]) => name);
  assert.deepEqual(rows, BENCHES.map(({ name }) => name));
});
