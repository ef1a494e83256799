/**
 * Parameters of a Query request: lists are spelled `Name.1`, `Name.2`, and may be nested.
 *
 * @module
 */

/** Parameters by name. */
export type QueryParameters = ReadonlyMap<string, string>;

/** Reads a query string or form body. */
export function parseParameters(text: string): QueryParameters {
  return new Map(new URLSearchParams(text));
}

/** The list `name.1`, `name.2`, … */
export function listOf(parameters: QueryParameters, name: string): readonly string[] {
  const values: string[] = [];
  for (let i = 1;; i++) {
    const value = parameters.get(`${name}.${i}`);
    if (value === undefined) return values;
    values.push(value);
  }
}

/** A filter of a describe call. */
export interface Filter {
  readonly name: string;
  readonly values: readonly string[];
}

/** The list `Filter.1.Name`, `Filter.1.Value.1`, … */
export function filtersOf(parameters: QueryParameters): readonly Filter[] {
  const filters: Filter[] = [];
  for (let i = 1;; i++) {
    const name = parameters.get(`Filter.${i}.Name`);
    if (name === undefined) return filters;
    filters.push({ name, values: listOf(parameters, `Filter.${i}.Value`) });
  }
}
