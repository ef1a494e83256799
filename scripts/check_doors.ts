/**
 * Fails when an import goes through a door that the architecture does not have.
 *
 * `deno run --allow-read scripts/check_doors.ts`
 *
 * @module
 */

import { checkDoors } from "./doors.ts";

const root = new URL("../", import.meta.url);

async function* sources(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(new URL(folder, root))) {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory) yield* sources(`${path}/`);
    else if (path.endsWith(".ts")) yield path;
  }
}

const files = new Map<string, string>();
const read = async (path: string) => {
  files.set(path, await Deno.readTextFile(new URL(path, root)));
};
for (const path of ["main.ts", "agent.ts"]) await read(path);
for (const folder of ["lib/", "ffi/"]) for await (const path of sources(folder)) await read(path);

const faults = checkDoors(files);
for (const fault of faults) console.error(fault);
console.log(`doors: ${files.size} files, ${faults.length} faults`);
if (faults.length > 0) Deno.exit(1);
