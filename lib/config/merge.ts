/**
 * Merging of pattern lists: a higher level adds to what lower levels say, and `!pattern` takes away.
 *
 * @module
 */

/** What a merge gave. */
export interface MergedPatterns {
  readonly patterns: string[];
  /** `!pattern` items that took nothing away. */
  readonly idle: string[];
}

/** Merges lists, the lowest level first; order is kept, repetitions are dropped. */
export function mergePatterns(levels: Iterable<readonly string[]>): MergedPatterns {
  const patterns = new Set<string>();
  const idle: string[] = [];
  for (const level of levels) {
    for (const item of level) {
      if (item.startsWith("!") && !patterns.delete(item.slice(1))) idle.push(item);
    }
    for (const item of level) {
      if (!item.startsWith("!")) patterns.add(item);
    }
  }
  return { patterns: [...patterns], idle };
}
