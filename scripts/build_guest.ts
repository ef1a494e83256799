/**
 * Builds the image of the guest: kernel and initramfs. The same input gives the same bytes.
 *
 *     deno task build:guest [--arch x86_64|aarch64] [--out DIR] [--agent FILE] [--runtime KIND]
 *     deno task build:guest --update-lock
 *
 * Nothing is installed on this machine and no rights are needed; packages come through apt, with the
 * sources that the machine has, which must have Debian's. Files are written to `DIR/ARCH/`; DIR is
 * `dist/guest` by default.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { bundledAgent, compiledAgent, type PackedAgent } from "./guest/agent.ts";
import { attempt, BuildError, sha256 } from "./guest/command.ts";
import { Apt } from "./guest/debian.ts";
import { fetchDeno } from "./guest/deno_runtime.ts";
import type { Arch } from "./guest/elf.ts";
import { buildImage } from "./guest/image.ts";
import { type Lock, LOCK_FILE, PACKAGES, readLock, writeLock } from "./guest/lock.ts";

const ARCHITECTURES: readonly Arch[] = ["x86_64", "aarch64"];

const USAGE = `usage: build_guest.ts [options]

  --arch x86_64|aarch64     architecture of the guest; default this machine's
  --out DIR                 folder for ARCH/vmlinuz, ARCH/initrd.gz and ARCH/guest.json; default dist/guest
  --runtime RUNTIME         compiled: the agent as one program; deno: Deno and bundled sources;
                            auto (default): compiled where Deno's runtime can be had, else deno
  --agent FILE              a compiled agent to take
  --lock FILE               versions and hashes; default guest/packages.lock.json
  --update-lock             write the versions that there are now into it
`;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    "arch": { type: "string", default: Deno.build.arch },
    "out": { type: "string", default: new URL("../dist/guest", import.meta.url).pathname },
    "runtime": { type: "string", default: "auto" },
    "agent": { type: "string" },
    "lock": { type: "string" },
    "update-lock": { type: "boolean" },
    "help": { type: "boolean" },
  },
});

const cache = `${Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME")}/.cache`}/awsocks-guest`;

/** A value for each architecture. */
async function each<T>(of: (arch: Arch) => Promise<T>): Promise<Record<Arch, T>> {
  return { x86_64: await of("x86_64"), aarch64: await of("aarch64") };
}

async function updateLock(): Promise<void> {
  const { deno: version } = Deno.version;
  const lock: Lock = {
    packages: await each((arch) => {
      const apt = new Apt(arch, cache);
      return Promise.all(PACKAGES[arch].map((name) => apt.newest(name)));
    }),
    deno: {
      version,
      sha256: await each(async (arch) => await sha256(await fetchDeno(arch, version))),
    },
  };
  await writeLock(lock, values.lock ?? LOCK_FILE);
}

/** The agent as `--runtime` wants it. */
async function packAgent(arch: Arch, lock: Lock): Promise<PackedAgent> {
  if (values.agent !== undefined) return await compiledAgent(values.agent, arch);
  switch (values.runtime) {
    case "deno":
      return await bundledAgent(arch, lock);
    case "compiled":
      return await compileAgent(arch);
    case "auto":
      try {
        return await compileAgent(arch);
      } catch (error) {
        if (!(error instanceof BuildError)) throw error;
        console.error(`build_guest: ${error.message}; taking Deno from npm`);
        return await bundledAgent(arch, lock);
      }
  }
  throw new BuildError(`--runtime is compiled, deno or auto, not ${values.runtime}`);
}

/** Compiles the agent, with the Deno version of AWSOCKS_COMPILE_DENO if there is one. */
async function compileAgent(arch: Arch): Promise<PackedAgent> {
  const folder = await Deno.makeTempDir({ prefix: "awsocks-agent-" });
  const out = `${folder}/awsocks-agent`;
  try {
    const version = Deno.env.get("AWSOCKS_COMPILE_DENO");
    const [deno, ...before] = version === undefined || version === Deno.version.deno
      ? [Deno.execPath()]
      : ["npx", "-y", `deno@${version}`];
    const script = new URL("build.ts", import.meta.url).pathname;
    const target = `${arch}-unknown-linux-gnu`;
    const args = [...before, "run", "-A", script, "awsocks-agent", "--out", out];
    if (!Deno.env.has("DENORT_BIN")) args.push("--target", target);
    const { ok, stderr } = await attempt(deno!, args);
    if (!ok) throw new BuildError(`No agent compiled for ${target}: ${stderr.split("\n").at(0)}`);
    return await compiledAgent(out, arch);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function build(arch: Arch): Promise<void> {
  const lock = await readLock(values.lock ?? LOCK_FILE);
  const agent = await packAgent(arch, lock);
  const image = await buildImage({ arch, lock, agent, cache });
  const folder = `${values.out}/${arch}`;
  await Deno.mkdir(folder, { recursive: true });
  const files = { "vmlinuz": image.kernel, "initrd.gz": image.initrd };
  const hashes: Record<string, string> = {};
  for (const [name, data] of Object.entries(files)) {
    hashes[name] = await sha256(data);
    await Deno.writeFile(`${folder}/${name}`, data);
    console.log(`${folder}/${name}  ${megabytes(data.byteLength)}  sha256 ${hashes[name]}`);
  }
  const facts = {
    arch,
    kernel: image.kernelRelease,
    agent: agent.kind,
    unpackedBytes: image.unpackedBytes,
    sha256: hashes,
  };
  await Deno.writeTextFile(`${folder}/guest.json`, `${JSON.stringify(facts, undefined, 2)}\n`);
  const { kernelRelease, unpackedBytes } = image;
  console.log(`Linux ${kernelRelease}, agent ${agent.kind}, ${megabytes(unpackedBytes)} unpacked`);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

async function main(): Promise<number> {
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  try {
    if (values["update-lock"]) {
      await updateLock();
      return 0;
    }
    const arch = ARCHITECTURES.find((each) => each === values.arch);
    if (!arch) throw new BuildError(`--arch is ${ARCHITECTURES.join(" or ")}, not ${values.arch}`);
    await build(arch);
    return 0;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`build_guest: ${error.message}`);
    return 1;
  }
}

Deno.exit(await main());
