/**
 * The agent as the image has it: compiled into one program, or Deno and the bundled sources.
 *
 * @module
 */

import { stage } from "../stage.ts";
import { BuildError, run } from "./command.ts";
import type { Entry } from "./cpio.ts";
import { lockedDeno } from "./deno_runtime.ts";
import { type Arch, machineOf } from "./elf.ts";
import type { Lock } from "./lock.ts";
import { npmTree } from "./npm_tree.ts";

/** Program that runs the agent's commands, in the image. */
export const AGENT_PATH = "usr/bin/awsocks-agent";

/** Folder of the bundled sources, in the image. */
const SOURCES = "opt/awsocks";

/** Process 1 of a machine of its own may do everything; and nothing is worth caching in memory. */
const DENO_FLAGS = "--quiet --cached-only --no-code-cache -A";

/** The agent's files. */
export interface PackedAgent {
  readonly kind: "compiled" | "bundled";
  readonly entries: readonly Entry[];
}

/**
 * A program that `deno compile` made for the guest, for example by `scripts/build.ts`.
 * @throws BuildError when it is for another architecture
 */
export async function compiledAgent(path: string, arch: Arch): Promise<PackedAgent> {
  const data = await Deno.readFile(path);
  const machine = machineOf(data);
  if (machine === arch) {
    return { kind: "compiled", entries: [{ kind: "file", path: AGENT_PATH, mode: 0o755, data }] };
  }
  throw new BuildError(`${path} is ${machine ? `for ${machine}` : "no program"}, not for ${arch}`);
}

/** Deno as published on npm, the sources as few files of JavaScript, and the npm packages they use. */
export async function bundledAgent(arch: Arch, lock: Lock): Promise<PackedAgent> {
  const folder = await stage();
  try {
    const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", folder)));
    const names = Object.keys(config.imports as Record<string, string>);
    await run(Deno.execPath(), [
      "bundle",
      "--quiet",
      "--frozen",
      "--node-modules-dir=none",
      "--platform=deno",
      "--code-splitting",
      ...names.flatMap((name) => ["--external", name, "--external", `${name}/*`]),
      "--outdir",
      "out",
      "agent.ts",
    ], { cwd: folder.pathname });
    const sources: Entry[] = [];
    const used = new Set<string>();
    for await (const { name } of Deno.readDir(new URL("out/", folder))) {
      const data = await Deno.readFile(new URL(`out/${name}`, folder));
      sources.push({ kind: "file", path: name, data });
      for (const each of packagesIn(new TextDecoder().decode(data), names)) used.add(each);
    }
    const packages = await npmTree(folder, "agent.ts", [...used].sort());
    const deno = await lockedDeno(arch, lock.deno);
    return {
      kind: "bundled",
      entries: [
        { kind: "file", path: "usr/bin/deno", mode: 0o755, data: deno },
        script(AGENT_PATH, `exec /usr/bin/deno run ${DENO_FLAGS} /${SOURCES}/agent.js "$@"`),
        text(`${SOURCES}/deno.json`, JSON.stringify(guestConfig(config), undefined, 2)),
        ...[...sources, ...packages].map((each) => ({ ...each, path: `${SOURCES}/${each.path}` })),
      ],
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Of the tree's configuration, what running needs. */
function guestConfig({ imports }: Record<string, unknown>) {
  return { imports, nodeModulesDir: "manual", lock: false };
}

/** The packages of `names` that bundled code imports. */
function packagesIn(code: string, names: readonly string[]): string[] {
  const imported = new Set(
    [...code.matchAll(/(?:\bfrom|\bimport|\bimport\(|\bresolve\()\s*"([^"]+)"/g)].map(([, name]) =>
      name!
    ),
  );
  return names.filter((name) =>
    [...imported].some((each) => each === name || each.startsWith(`${name}/`))
  );
}

function script(path: string, line: string): Entry {
  return { ...text(path, `#!/bin/sh\n${line}\n`), mode: 0o755 };
}

function text(path: string, content: string): Entry {
  return { kind: "file", path, data: new TextEncoder().encode(content) };
}
