/**
 * Deno for the guest, out of its npm package and with the hash that the lock has.
 *
 * @module
 */

import { attempt, BuildError, sha256 } from "./command.ts";
import type { Arch } from "./elf.ts";

/** npm packages with the program, for glibc. */
const NPM: Readonly<Record<Arch, string>> = {
  x86_64: "@deno/linux-x64-glibc",
  aarch64: "@deno/linux-arm64-glibc",
};

/** The program, as fetched; the Deno that runs this fetches it through its own cache. */
export async function fetchDeno(arch: Arch, version: string): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir({ prefix: "awsocks-deno-" });
  try {
    const name = `${NPM[arch]}@${version}`;
    const script = `${folder}/find.ts`;
    const specifier = JSON.stringify(`npm:${name}/package.json`);
    await Deno.writeTextFile(
      script,
      `import ${specifier} with { type: "json" };\nconsole.log(import.meta.resolve(${specifier}));\n`,
    );
    const args = ["run", "--quiet", "--no-config", "--no-lock", "--allow-read", script];
    const { ok, stdout, stderr } = await attempt(Deno.execPath(), args, { cwd: folder });
    if (!ok) throw new BuildError(`npm package ${name} cannot be had: ${stderr.split("\n")[0]}`);
    return await Deno.readFile(new URL("deno", stdout.trim()));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * The program of the locked version.
 * @throws BuildError when it is another file than the locked one
 */
export async function lockedDeno(
  arch: Arch,
  lock: { readonly version: string; readonly sha256: Readonly<Record<Arch, string>> },
): Promise<Uint8Array<ArrayBuffer>> {
  const program = await fetchDeno(arch, lock.version);
  if (await sha256(program) === lock.sha256[arch]) return program;
  throw new BuildError(`${NPM[arch]}@${lock.version} does not hold the program that is locked`);
}
