/**
 * Kernel modules in the order in which they must be loaded.
 *
 * @module
 */

/** Name of a module, with the one spelling that the kernel makes of `-` and `_`. */
export function moduleName(name: string): string {
  return name.replaceAll("-", "_");
}

/**
 * Puts modules after those that they depend on, each once.
 * @param wanted names, in the order in which they should be loaded
 * @param dependenciesOf names that a module depends on; undefined for a module that is not there
 * @throws Error for a module that is not there, or that depends on itself
 */
export function loadOrder(
  wanted: readonly string[],
  dependenciesOf: (name: string) => readonly string[] | undefined,
): string[] {
  const order = new Set<string>();
  const visit = (name: string, above: readonly string[]) => {
    if (order.has(name)) return;
    if (above.includes(name)) throw new Error(`${name} depends on itself`);
    const dependencies = dependenciesOf(name);
    if (!dependencies) {
      const by = above.length === 0 ? "" : `, which ${above.at(-1)} needs`;
      throw new Error(`There is no module ${name}${by}`);
    }
    for (const each of dependencies) visit(moduleName(each), [...above, name]);
    order.add(name);
  };
  for (const name of wanted) visit(moduleName(name), []);
  return [...order];
}
