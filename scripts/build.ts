/**
 * Compiles the programs of this tree with `deno compile`, named permissions and the commit stamped in.
 *
 *     deno run -A scripts/build.ts awsocks [--target TRIPLE] [--out FILE]
 *     deno run -A scripts/build.ts awsocks-agent
 *
 * The Deno that runs this script compiles. Where it cannot download its runtime, DENORT_BIN names a
 * file to use instead.
 *
 * @module
 */

import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { stage } from "./stage.ts";

/** A program of the tree. */
interface Program {
  readonly entry: string;
  /** Set of `permissions` in deno.json. */
  readonly permissions: string;
  /** Arguments put before the user's. */
  readonly args: readonly string[];
}

const PROGRAMS: Readonly<Record<string, Program>> = {
  "awsocks": { entry: "main.ts", permissions: "awsocks", args: [] },
  // Process 1 of a machine: most of what it reads lies in /proc and /sys, which no narrower set allows.
  "awsocks-agent": { entry: "agent.ts", permissions: "agent", args: [] },
  "vsock-client": { entry: "agent.ts", permissions: "vsock-client", args: ["exec"] },
};

const root = new URL("../", import.meta.url);

interface BuildOptions {
  readonly target?: string;
  readonly out?: string;
}

/** Compiles one program. @returns the compiler's exit code */
async function build(name: string, { target, out }: BuildOptions): Promise<number> {
  const program = PROGRAMS[name];
  if (!program) {
    return misuse(`no program "${name}"; there are ${Object.keys(PROGRAMS).join(", ")}`);
  }
  const windows = target?.includes("windows") ?? Deno.build.os === "windows";
  const file = out === undefined
    ? fileURLToPath(new URL(`dist/${name}${windows ? ".exe" : ""}`, root))
    : resolve(out); // the compiler works in another folder
  const folder = await stage();
  try {
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: [
        "compile",
        "--quiet",
        "--no-check",
        "--frozen",
        `-P=${program.permissions}`,
        ...(target ? ["--target", target] : []),
        "--output",
        file,
        program.entry,
        ...program.args,
      ],
      cwd: folder,
      stdout: "null",
      stderr: "inherit",
    }).output();
    if (code === 0) {
      const { size } = await Deno.stat(file);
      console.log(`${file}  ${(size / 1e6).toFixed(1)} MB`);
    }
    return code;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function misuse(why: string): number {
  console.error(`build: ${why}`);
  return 2;
}

async function main(): Promise<number> {
  let parsed;
  try {
    parsed = parseArgs({
      args: Deno.args,
      options: { target: { type: "string" }, out: { type: "string" } },
      allowPositionals: true,
    });
  } catch (error) {
    return misuse((error as Error).message);
  }
  const { values, positionals } = parsed;
  const names = positionals.length > 0 ? positionals : ["awsocks"];
  if (values.out !== undefined && names.length > 1) return misuse("--out takes one program");
  for (const name of names) {
    const code = await build(name, values);
    if (code !== 0) return code;
  }
  return 0;
}

Deno.exit(await main());
