/**
 * The npm packages that bundled sources use, as a flat `node_modules`.
 *
 * @module
 */

import { BuildError, run } from "./command.ts";
import type { Entry } from "./cpio.ts";

/** Packages that the guest never uses, though sources or packages name them. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  "@aws-sdk/credential-providers", // credentials come from the host
  "cpu-features", // optional parts of ssh2, native and not built
  "nan",
]);

/** Of a package, what runs; and what its licence asks for. */
const KEPT = /(\.(c|m)?js|\.json|^(licen[cs]e|copying|notice)[^/]*)$/i;
const DROPPED = /(^|\/)(tests?|docs?|examples?|benchmarks?|\.github|types|src\/types)\//;

interface NpmPackage {
  readonly name: string;
  readonly version: string;
  readonly dependencies: readonly string[];
  /** Where Deno's cache has it. */
  readonly localPath: string;
}

interface Graph {
  readonly npmPackages: Readonly<Record<string, NpmPackage>>;
}

/**
 * Collects packages and what they depend on.
 * @param folder of a staged tree, with `deno.json` and `deno.lock`
 * @param entry of the graph, relative to it
 * @param specifiers what the bundle imports, as `deno.json` names it
 */
export async function npmTree(
  folder: URL,
  entry: string,
  specifiers: readonly string[],
): Promise<Entry[]> {
  const json = await run(
    Deno.execPath(),
    ["info", "--json", "--frozen", "--node-modules-dir=none", entry],
    { cwd: folder.pathname },
  );
  const { npmPackages } = JSON.parse(json) as Graph;
  const chosen = new Map<string, NpmPackage>();
  const add = (id: string) => {
    const found = npmPackages[id];
    if (!found) throw new BuildError(`deno info lacks the npm package ${id}`);
    if (LEFT_OUT.has(found.name)) return;
    const other = chosen.get(found.name);
    if (other?.version === found.version) return;
    if (other) throw new BuildError(`The guest would need two versions of ${found.name}`);
    chosen.set(found.name, found);
    for (const each of found.dependencies) add(each);
  };
  const ids = Object.keys(npmPackages);
  for (const name of specifiers) {
    const id = ids.find((id) => npmPackages[id]!.name === name);
    if (id === undefined) throw new BuildError(`deno info lacks the npm package ${name}`);
    add(id);
  }
  const entries: Entry[] = [];
  for (const { name, localPath } of chosen.values()) {
    for await (const path of filesBelow(localPath)) {
      if (!KEPT.test(path) || DROPPED.test(path)) continue;
      const data = await Deno.readFile(`${localPath}/${path}`);
      entries.push({ kind: "file", path: `node_modules/${name}/${path}`, data });
    }
  }
  return entries;
}

async function* filesBelow(folder: string, prefix = ""): AsyncGenerator<string> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(`${folder}/${prefix}`)) {
    if (isDirectory) yield* filesBelow(folder, `${prefix}${name}/`);
    else if (isFile) yield `${prefix}${name}`;
  }
}
