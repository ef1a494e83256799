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
  "awsocks-agent": { entry: "agent.ts", permissions: "agent", args: [] },
};

const root = new URL("../", import.meta.url);

async function build(name: string, options: { target?: string; out?: string }): Promise<number> {
  const program = PROGRAMS[name];
  if (!program) {
    console.error(`build: no program "${name}"; there are ${Object.keys(PROGRAMS).join(", ")}`);
    return 2;
  }
  const windows = options.target?.includes("windows") ?? Deno.build.os === "windows";
  const out = options.out ?? new URL(`dist/${name}${windows ? ".exe" : ""}`, root).pathname;
  const folder = await stage();
  try {
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: [
        "compile",
        "--quiet",
        "--no-check",
        "--frozen",
        `-P=${program.permissions}`,
        ...(options.target ? ["--target", options.target] : []),
        "--output",
        out,
        program.entry,
        ...program.args,
      ],
      cwd: folder,
    }).output().then(async (result) => {
      await Deno.stderr.write(result.stderr);
      return result;
    });
    if (code === 0) {
      const { size } = await Deno.stat(out);
      console.log(`${out}  ${(size / 1e6).toFixed(1)} MB`);
    }
    return code;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const { values, positionals } = parseArgs({
  args: Deno.args,
  options: { target: { type: "string" }, out: { type: "string" } },
  allowPositionals: true,
});
let code = 0;
for (const name of positionals.length > 0 ? positionals : ["awsocks"]) {
  code ||= await build(name, values);
}
Deno.exit(code);
