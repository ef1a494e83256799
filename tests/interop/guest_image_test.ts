/**
 * The image of the guest: the same twice, and what the builder says when it cannot be made.
 *
 * AWSOCKS_GUEST_LOCK names another lock file than that of the tree, for mirrors that have its packages
 * no more.
 *
 * @module
 */

import assert from "node:assert/strict";
import { sha256 } from "../../scripts/guest/command.ts";
import { type Lock, readLock } from "../../scripts/guest/lock.ts";
import { interopTest, need } from "../support/external.ts";

const LOCK = Deno.env.get("AWSOCKS_GUEST_LOCK");
const ARCH = Deno.build.arch;
const NEEDS = [need("apt-get", "apt"), need("dpkg-deb", "dpkg")];

async function build(args: readonly string[], cwd: string) {
  const script = new URL("../../scripts/build_guest.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, "--arch", ARCH, ...args],
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "awsocks-built-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interopTest(
  "guest image: two builds have the same bytes, and say their hashes",
  NEEDS,
  async () => {
    await inFolder(async (folder) => {
      const hashes: string[] = [];
      for (const out of ["one", "two"]) {
        const lock = LOCK === undefined ? [] : ["--lock", LOCK];
        const args = ["--runtime", "deno", "--out", `${folder}/${out}`, ...lock];
        const { success, stdout, stderr } = await build(args, folder);
        assert.ok(success, stderr);
        for (const file of ["vmlinuz", "initrd.gz"]) {
          const hash = await sha256(await Deno.readFile(`${folder}/${out}/${ARCH}/${file}`));
          assert.ok(stdout.includes(hash), stdout);
          hashes.push(hash);
        }
        const facts = JSON.parse(await Deno.readTextFile(`${folder}/${out}/${ARCH}/guest.json`));
        assert.equal(facts.agent, "bundled");
      }
      assert.deepEqual(hashes.slice(0, 2), hashes.slice(2));
    });
  },
);

interopTest("guest image: what cannot be had is named, with what to do", NEEDS, async () => {
  const lock = await readLock(LOCK);
  const broken = (change: Partial<Lock["packages"][typeof ARCH][number]>): Lock => {
    const [kernel, first, ...rest] = lock.packages[ARCH];
    const packages = [kernel!, { ...first!, ...change }, ...rest];
    return { ...lock, packages: { ...lock.packages, [ARCH]: packages } };
  };
  await inFolder(async (folder) => {
    const fails = async (content: Lock, message: RegExp) => {
      await Deno.writeTextFile(`${folder}/lock.json`, JSON.stringify(content));
      // Packing an agent that is there takes no time; it is never started.
      const args = ["--lock", `${folder}/lock.json`, "--agent", Deno.execPath(), "--out", folder];
      const { success, stderr } = await build(args, folder);
      assert.ok(!success);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n {4}at /);
    };
    const sha = "0".repeat(64);
    await fails(
      broken({ version: "0.0-gone", sha256: sha }),
      /busybox-static 0\.0-gone cannot be had: .*\ntry: .*--update-lock/,
    );
    await fails(
      broken({ sha256: sha }),
      /busybox-static .* is not the package whose hash is locked/,
    );
    const { success, stderr } = await build(["--arch", "mips"], folder);
    assert.ok(!success);
    assert.match(stderr, /--arch is x86_64 or aarch64, not mips/);
  });
});
