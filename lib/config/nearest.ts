/**
 * Guesses what a mistyped name was meant to be.
 *
 * @module
 */

import { distance } from "fastest-levenshtein";

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
