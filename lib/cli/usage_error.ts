/**
 * A command line that makes no sense.
 *
 * @module
 */

/** Options of {@linkcode UsageError}. */
export interface UsageErrorOptions {
  /** What was typed, where another word may have been meant. */
  readonly word?: string;
  /** What could have been meant. */
  readonly candidates?: readonly string[];
  /** Written before the candidate when it is suggested, such as `--`. */
  readonly prefix?: string;
  /** What to do about it. */
  readonly hint?: string;
  /** Hint for when no candidate is near. */
  readonly otherwise?: string;
  /** Command whose help explains more. */
  readonly topic?: string;
}

/** A wrong command line: nothing was tried, exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly options: UsageErrorOptions;

  constructor(message: string, options: UsageErrorOptions = {}) {
    super(message);
    this.options = options;
  }
}

/**
 * The candidate nearest to `word`, if it is near enough to be a slip of the fingers: a third of the
 * letters may differ, at least two.
 */
export async function nearest(
  word: string,
  candidates: readonly string[],
): Promise<string | undefined> {
  // Loaded here because it costs more than reading the command line does.
  const { distance } = await import("fastest-levenshtein");
  const lower = word.toLowerCase();
  let best: string | undefined;
  let least = Infinity;
  for (const candidate of candidates) {
    const cost = distance(lower, candidate.toLowerCase());
    if (cost < least) [best, least] = [candidate, cost];
  }
  return least <= Math.max(2, Math.floor(word.length / 3)) && least < word.length
    ? best
    : undefined;
}

/** The mistake in words: the message with the nearest name, or a second line that says what to do. */
export async function explainUsage(
  error: UsageError,
): Promise<{ readonly message: string; readonly hint: string }> {
  const { message, options: { word, candidates, prefix = "", hint, otherwise, topic } } = error;
  if (hint !== undefined) return { message, hint };
  if (word !== undefined && candidates !== undefined) {
    const near = await nearest(word, candidates);
    if (near !== undefined) {
      return { message: `${message}; did you mean ${prefix}${near}?`, hint: "" };
    }
  }
  if (otherwise !== undefined) return { message, hint: otherwise };
  const help = topic === undefined || topic === "help" ? "awsocks help" : `awsocks help ${topic}`;
  return { message, hint: help };
}
