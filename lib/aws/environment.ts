/**
 * The process environment as a value.
 *
 * @module
 */

/** Environment variables. Empty ones count as unset. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The first of `names` that is set and not empty, with its value. */
export function firstSet(
  env: Environment,
  names: readonly string[],
): { readonly name: string; readonly value: string } | undefined {
  for (const name of names) {
    const value = env[name]?.trim();
    if (value) return { name, value };
  }
  return undefined;
}
