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

/** What a program is made of; tests, docs and tools stay out. */
const SOURCES = ["main.ts", "agent.ts", "deno.json", "deno.lock", "lib", "ffi"];

const root = new URL("../", import.meta.url);

async function copyTree(from: URL, to: URL): Promise<void> {
  const info = await Deno.stat(from);
  if (info.isFile) return await Deno.copyFile(from, to);
  await Deno.mkdir(to, { recursive: true });
  for await (const { name } of Deno.readDir(from)) {
    await copyTree(new URL(name, `${from.href}/`), new URL(name, `${to.href}/`));
  }
}

async function commitOf(): Promise<string> {
  const given = Deno.env.get("AWSOCKS_COMMIT");
  if (given) return given;
  try {
    const git = new Deno.Command("git", {
      args: ["rev-parse", "--short=7", "HEAD"],
      cwd: root,
      stderr: "null",
    });
    const { success, stdout } = await git.output();
    return success ? new TextDecoder().decode(stdout).trim() : "dev";
  } catch {
    return "dev"; // built from an archive, without git
  }
}

/** Copies the sources to a folder of their own and writes the commit into the copy. */
async function stage(): Promise<URL> {
  const folder = new URL(`file://${await Deno.makeTempDir({ prefix: "awsocks-build-" })}/`);
  for (const source of SOURCES) {
    try {
      await copyTree(new URL(source, root), new URL(source, folder));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  const info = new URL("lib/core/build_info.ts", folder);
  const source = await Deno.readTextFile(info);
  const stamped = source.replace(/(COMMIT: string = )"[^"]*"/, `$1"${await commitOf()}"`);
  await Deno.writeTextFile(info, stamped);
  return folder;
}

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
