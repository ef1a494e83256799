import assert from "node:assert/strict";
import { createQemuMachine } from "../../lib/vm/mod.ts";
import { commandLineOf } from "../../lib/vm/process.ts";
import { need } from "../support/external.ts";
import { DEVICE, FakePrograms } from "./fake_programs.ts";

/** A program whose command line goes on naming the folder, as those of the real ones do. */
const STAY = 'while :; do sleep 0.2; done # "$@"';

/** Starts machines in a process that is killed. @returns the ids of what that has started */
async function killOwner(fake: FakePrograms, path: string): Promise<number[]> {
  fake.program("qemu", `echo guest is up; ${STAY}`);
  fake.program("device", DEVICE.replace("exec sleep 1000", STAY));
  const script = new URL("killed_owner.ts", import.meta.url).pathname;
  const { signal, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, fake.folder, path],
  }).output();
  assert.equal(signal, "SIGKILL", new TextDecoder().decode(stderr));
  const [name] = fake.runFolders();
  return ["qemu", "vsock-device"].map((each) =>
    Number(Deno.readTextFileSync(`${fake.folder}/run/${name}/${each}.pid`))
  );
}

async function gone(pid: number): Promise<void> {
  // The kernel's signal, or ours, is on its way.
  for (let looks = 0; await commandLineOf(pid) !== ""; looks++) {
    assert.ok(looks < 200, `${pid} lives`);
  }
}

const needs = Deno.build.os === "linux" ? need("setpriv", "util-linux") : "needs Linux";

Deno.test({
  name: `programs of a killed process die with it${needs && ` (skipped: ${needs})`}`,
  ignore: needs !== "",
  fn: async () => {
    await using fake = new FakePrograms();
    for (const pid of await killOwner(fake, fake.env.PATH!)) await gone(pid);
  },
});

Deno.test({
  name: "what a killed process leaves behind is cleared by the next machine",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using fake = new FakePrograms();
    const pids = await killOwner(fake, "/nowhere");
    for (const pid of pids) assert.match(await commandLineOf(pid), /awsocks-vm-/);
    // One whose owner lives, one of somebody else's making, and one that is being made stay.
    const living = await Deno.makeTempDir({ dir: `${fake.folder}/run`, prefix: "awsocks-vm-" });
    using _owner = Deno.listen({ transport: "unix", path: `${living}/owner` });
    await Deno.mkdir(`${fake.folder}/run/other`);
    await Deno.mkdir(`${fake.folder}/run/awsocks-vm-new`);
    const machine = await createQemuMachine({
      image: fake.image,
      memory: 512,
      cpus: 1,
      qemu: `${fake.folder}/qemu`,
      vsockDevice: `${fake.folder}/device`,
      env: fake.env,
    });
    await machine.close();
    for (const pid of pids) await gone(pid);
    assert.deepEqual(
      fake.runFolders().sort(),
      ["other", "awsocks-vm-new", living.split("/").at(-1)!].sort(),
    );
  },
});
