/**
 * Guesses what a mistyped name was meant to be.
 *
 * The distance is written out here because this module loads with every start, and the npm package is
 * CommonJS: loading the first such module costs 15 ms.
 *
 * @module
 */

/**
 * The candidate that is written most like `word`; undefined when none is close enough to be a slip of
 * the keyboard. Letter case, `_` for `-` and camel case cost little.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = plain(word);
  let best: { candidate: string; steps: number } | undefined;
  for (const candidate of candidates) {
    const steps = distance(wanted, plain(candidate));
    if (
      steps <= Math.max(1, Math.floor(candidate.length / 3)) && steps < (best?.steps ?? Infinity)
    ) {
      best = { candidate, steps };
    }
  }
  return best?.candidate;
}

function plain(word: string): string {
  return word.replaceAll(/([a-z])([A-Z])/g, "$1-$2").toLowerCase().replaceAll("_", "-");
}

/** `; did you mean "x"?`, or nothing. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const guess = nearest(word, candidates);
  return guess === undefined ? "" : `; did you mean ${JSON.stringify(guess)}?`;
}

/** Levenshtein distance: insertions, deletions and replacements that turn `a` into `b`. */
export function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const row = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replace = previous[j]! + (a[i] === b[j] ? 0 : 1);
      row.push(Math.min(replace, previous[j + 1]! + 1, row[j]! + 1));
    }
    previous = row;
  }
  return previous[b.length]!;
}
