/**
 * The programs as `deno compile` makes them.
 *
 * AWSOCKS_COMPILE_DENO is the version of the Deno that compiles; DENORT_BIN, where it is set, a runtime
 * file for it.
 *
 * @module
 */

import { note } from "./external.ts";

/** What to do about a skipped test; empty when programs can be compiled. */
export const COMPILE_NEED = Deno.env.get("AWSOCKS_COMPILE_DENO")
  ? ""
  : "needs AWSOCKS_COMPILE_DENO, the version of the Deno to compile with, such as " +
    Deno.version.deno;

const SCRIPT = new URL("../../scripts/build.ts", import.meta.url).pathname;

const built = new Map<string, Promise<string>>();

/**
 * Compiles a program once for all tests of a file; the operating system's temporary folder keeps it.
 * @returns its path
 * @throws Error with what the compiler said
 */
export function compiled(program: "awsocks" | "awsocks-agent" | "vsock-client"): Promise<string> {
  const known = built.get(program) ?? build(program);
  built.set(program, known);
  return known;
}

async function build(program: string): Promise<string> {
  const start = performance.now();
  const version = Deno.env.get("AWSOCKS_COMPILE_DENO")!;
  const folder = await Deno.makeTempDir({ prefix: "awsocks-compiled-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  const out = `${folder}/${program}`;
  const [command, ...before] = version === Deno.version.deno
    ? [Deno.execPath()]
    : ["npx", "-y", `deno@${version}`];
  const { success, stdout, stderr } = await new Deno.Command(command!, {
    args: [...before, "run", "-A", SCRIPT, program, "--out", out],
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`${decoder.decode(stdout)}${decoder.decode(stderr)}`);
  const { size } = await Deno.stat(out);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  await note(
    `${program}: ${(size / 1e6).toFixed(0)} MB, compiled by Deno ${version} in ${seconds} s`,
  );
  return out;
}
