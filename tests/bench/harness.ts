/**
 * Benchmarks that say how much faster or slower something is than something else: both are measured in
 * turn in one run, so that what the machine does meanwhile meets both.
 *
 * @module
 */

/** A comparison. */
export interface Bench {
  /** Of the row; also what `--filter` looks at. */
  readonly name: string;
  readonly unit: string;
  /** What the figure stands beside. */
  readonly baseline: string;
  /** The ratio of figure and baseline that is wanted; absent: for information. */
  readonly goal?: Goal;
  /** Measurements of each side. */
  readonly rounds: number;
  /** What is missing here and how to get it; empty when it can run. */
  readonly missing?: () => Promise<string>;
  /** Sets both sides up. */
  readonly open: () => Promise<Sides>;
}

/** The two sides of a comparison. */
export interface Sides extends AsyncDisposable {
  readonly figure: () => Promise<number>;
  readonly baseline: () => Promise<number>;
  /** A remark for below the table, asked for at the end. */
  readonly note?: () => string;
}

/**
 * Sets sides up. What the stack holds is closed with them, or at once if this fails half way.
 */
export async function openSides(
  setUp: (stack: AsyncDisposableStack) => Promise<Omit<Sides, typeof Symbol.asyncDispose>>,
): Promise<Sides> {
  await using stack = new AsyncDisposableStack();
  const sides = await setUp(stack);
  const owned = stack.move();
  return { ...sides, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A bound of a ratio. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number };

/** What came of a comparison. */
export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly baseline: string;
  readonly goal?: Goal;
  /** Medians, and every measurement. */
  readonly figure: Series;
  readonly against: Series;
  /** The median of `figure` by `against` in each round, whose sides meet the same machine. */
  readonly ratio: number;
  /** See {@linkcode medianBounds}. */
  readonly bounds: Bounds;
  readonly note?: string;
}

/** Lower and upper. */
export type Bounds = readonly [low: number, high: number];

/** Measurements and their median. */
export interface Series {
  readonly median: number;
  readonly all: readonly number[];
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** How sure {@linkcode medianBounds} is, where there are enough values for that. */
const CONFIDENCE = 0.9;

/**
 * Between which of the values the median of all that might have been measured lies, with a certainty
 * of 90 % or more; the smallest and the largest where they are fewer than five.
 *
 * By order statistics, which need not know how the values are spread: as many of `n` lie below that
 * median as a coin thrown `n` times falls on its head.
 */
export function medianBounds(values: readonly number[]): Bounds {
  const sorted = values.toSorted((a, b) => a - b);
  const n = sorted.length;
  let below = 0.5 ** n; // the chance that no more than `rank` lie below
  let term = below;
  let rank = 0;
  for (;;) {
    term *= (n - rank) / (rank + 1);
    if (2 * (below + term) > 1 - CONFIDENCE) break;
    below += term;
    rank++;
  }
  return [sorted[rank]!, sorted[n - 1 - rank]!];
}

/** The value below which `share` of all lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

/** What became of a goal: `unclear` when it lies within the bounds of a ratio that misses it. */
export type Verdict = "met" | "unclear" | "missed";

/** Judges a result that has a goal. */
export function judge({ ratio, bounds: [low, high] }: Judged, goal: Goal): Verdict {
  const within = (value: number) =>
    "atLeast" in goal ? value >= goal.atLeast : value <= goal.atMost;
  if (within(ratio)) return "met";
  return within(low) || within(high) ? "unclear" : "missed";
}

type Judged = Pick<Result, "ratio" | "bounds">;

/** Measures both sides in turn, each first in every other round. */
export async function measure(bench: Bench, rounds = bench.rounds): Promise<Result> {
  await using sides = await bench.open();
  const figures: number[] = [];
  const baselines: number[] = [];
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 1) baselines.push(await sides.baseline());
    figures.push(await sides.figure());
    if (round % 2 === 0) baselines.push(await sides.baseline());
  }
  const figure = { median: median(figures), all: figures };
  const against = { median: median(baselines), all: baselines };
  const ratios = figures.map((value, round) => value / baselines[round]!);
  const note = sides.note?.();
  return {
    name: bench.name,
    unit: bench.unit,
    baseline: bench.baseline,
    ...(bench.goal && { goal: bench.goal }),
    figure,
    against,
    ratio: median(ratios),
    bounds: medianBounds(ratios),
    ...(note && { note }),
  };
}
