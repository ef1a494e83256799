import assert from "node:assert/strict";
import { AwsocksError } from "../../lib/core/mod.ts";
import { createQemuMachine, type MachineEvent, type QemuMachineOptions } from "../../lib/vm/mod.ts";
import { commandLineOf } from "../../lib/vm/process.ts";
import { SkippingClock } from "../support/skipping_clock.ts";
import { DEVICE, FakePrograms, QEMU } from "./fake_programs.ts";

/** A machine of scripts. */
async function machineOf(
  fake: FakePrograms,
  { qemu = QEMU, device = DEVICE }: { qemu?: string; device?: string } = {},
  options: Partial<QemuMachineOptions> = {},
) {
  return await createQemuMachine({
    image: fake.image,
    memory: 512,
    cpus: 1,
    qemu: fake.program("qemu", qemu),
    vsockDevice: fake.program("device", device),
    accelerators: ["tcg"],
    env: fake.env,
    ...options,
  });
}

/** Process ids that the only machine has noted, or notes soon: a program may speak before that. */
async function pidsOf(fake: FakePrograms): Promise<{ qemu: number; device: number }> {
  const folder = `${fake.folder}/run/${fake.runFolders()[0]}`;
  const of = async (name: string): Promise<number> => {
    for (;;) {
      const text = await Deno.readTextFile(`${folder}/${name}.pid`).catch(() => "");
      if (Number(text) > 0) return Number(text);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return { qemu: await of("qemu"), device: await of("vsock-device") };
}

const code = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof AwsocksError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

const linux = { ignore: Deno.build.os !== "linux" };

Deno.test(
  "a machine starts, crashes, starts again, stops, and leaves nothing behind",
  linux,
  async () => {
    await using fake = new FakePrograms();
    const machine = await machineOf(fake);
    const events: MachineEvent[] = [];
    machine.onEvent((event) => events.push(event));
    assert.equal(machine.state, "stopped");
    await machine.start();
    assert.equal(machine.state, "running");
    assert.deepEqual(machine.console.tail(), ["guest is up"]);
    await assert.rejects(machine.start(), code("internal", /runs already/));

    const first = await pidsOf(fake);
    Deno.kill(first.qemu, "SIGKILL");
    assert.deepEqual(await machine.exited, {
      orderly: false,
      reason: "QEMU was ended by SIGKILL",
    });
    assert.equal(machine.state, "crashed");
    assert.equal(await commandLineOf(first.device), "");

    await machine.start();
    const second = await pidsOf(fake);
    await machine.stop();
    assert.deepEqual(await machine.exited, { orderly: true, reason: "QEMU was ended by SIGTERM" });
    assert.deepEqual(
      events.map(({ state, exit }) => exit ? `${state}, orderly ${exit.orderly}` : state),
      [
        "starting",
        "running",
        "crashed, orderly false",
        "starting",
        "running",
        "stopped, orderly true",
      ],
    );
    await machine.close();
    await machine.close();
    await assert.rejects(machine.start(), code("aborted", /closed/));
    assert.deepEqual(fake.runFolders(), []);
    for (const pid of [second.qemu, second.device]) assert.equal(await commandLineOf(pid), "");
  },
);

Deno.test(
  "a machine whose vsock device dies has crashed: neither is of use alone",
  linux,
  async () => {
    await using fake = new FakePrograms();
    const machine = await machineOf(fake);
    await machine.start();
    const { qemu, device } = await pidsOf(fake);
    Deno.kill(device, "SIGKILL");
    const { orderly, reason } = await machine.exited;
    assert.deepEqual([orderly, reason], [false, "The vsock device was ended by SIGKILL"]);
    assert.equal(await commandLineOf(qemu), "");
    await machine.close();
  },
);

Deno.test("a machine that ignores a polite end is ended all the same", linux, async () => {
  await using fake = new FakePrograms();
  const clock = new SkippingClock();
  const qemu = "trap '' TERM; echo guest is up; while :; do sleep 0.1; done";
  const machine = await machineOf(fake, { qemu }, { clock });
  await machine.start();
  const stopped = machine.stop();
  clock.skip(1000);
  await stopped;
  const { reason } = await machine.exited;
  assert.equal(reason, "QEMU was ended by SIGKILL");
  await machine.close();
});

Deno.test(
  "a machine that dies before its guest speaks fails with its last words",
  linux,
  async () => {
    await using fake = new FakePrograms();
    const machine = await machineOf(fake, { qemu: "echo no such board >&2; exit 3" });
    await assert.rejects(
      machine.start(),
      code("vm-failed", /did not come up: QEMU ended with code 3; .*ends with: no such board$/),
    );
    assert.equal(machine.state, "crashed");
    await machine.close();
    assert.deepEqual(fake.runFolders(), []);
  },
);

Deno.test("QEMU's own words are no sign of life", linux, async () => {
  await using fake = new FakePrograms();
  const clock = new SkippingClock();
  const machine = await machineOf(fake, { qemu: "echo warning >&2; exec sleep 1000" }, { clock });
  const said = Promise.withResolvers<void>();
  machine.console.onLine(() => said.resolve());
  const started = machine.start();
  await said.promise;
  clock.skip(90_000);
  await assert.rejects(started, code("vm-failed", /no sign of life within 90 s; .*: warning$/));
  await machine.close();
});

Deno.test(
  "a guest that does not boot with KVM is translated, from then on at once",
  linux,
  async () => {
    await using fake = new FakePrograms();
    const qemu = `echo "$*" >> ${fake.folder}/calls
case "$*" in *"-accel kvm"*) exit 1 ;; esac
${QEMU}`;
    const machine = await machineOf(fake, { qemu }, { accelerators: ["kvm", "tcg"] });
    await machine.start();
    assert.equal(machine.engine, "QEMU without KVM");
    await machine.stop();
    await machine.start();
    await machine.close();
    const calls = (await Deno.readTextFile(`${fake.folder}/calls`)).match(/-accel \w+/g);
    assert.deepEqual(calls, ["-accel kvm", "-accel tcg", "-accel tcg"]);
  },
);

Deno.test("a start that is given up, or stopped, leaves nothing running", linux, async () => {
  await using fake = new FakePrograms();
  const machine = await machineOf(fake, { qemu: "echo silent >&2; exec sleep 1000" });
  for (const end of ["signal", "stop", "close"] as const) {
    const said = Promise.withResolvers<void>();
    const unlisten = machine.console.onLine(() => said.resolve());
    const abort = new AbortController();
    const started = machine.start({ signal: abort.signal });
    const outcome = started.then(() => "started", (error) => error);
    await said.promise;
    unlisten();
    const { qemu } = await pidsOf(fake);
    if (end === "signal") abort.abort(new AwsocksError("aborted", "Given up"));
    else await machine[end]();
    assert.ok(await outcome instanceof AwsocksError);
    assert.equal(machine.state, "stopped");
    assert.equal(await commandLineOf(qemu), "");
  }
  assert.deepEqual(fake.runFolders(), []);
});

Deno.test("a vsock device that does not open its socket fails the start", linux, async () => {
  await using fake = new FakePrograms();
  const dead = await machineOf(fake, { device: "exit 7" });
  await assert.rejects(dead.start(), code("vm-failed", /vsock device ended with code 7/));
  await dead.close();
  const clock = new SkippingClock();
  const mute = await machineOf(fake, { device: "echo here; exec sleep 1000" }, { clock });
  mute.console.onLine(() => clock.skip(10_000));
  await assert.rejects(mute.start(), code("vm-failed", /did not open/));
  await mute.close();
});

Deno.test("createQemuMachine() names what is missing and what to do", linux, async () => {
  await using fake = new FakePrograms();
  const options = { image: fake.image, memory: 512, cpus: 1, env: fake.env };
  const fails = async (more: Partial<QemuMachineOptions>, message: RegExp, hint: RegExp) => {
    await assert.rejects(createQemuMachine({ ...options, ...more }), (error) => {
      code("vm-unavailable", message)(error);
      assert.match((error as AwsocksError).hint, hint);
      return true;
    });
  };
  const qemu = fake.program("qemu", QEMU);
  await fails({ qemu: "/no/qemu" }, /\/no\/qemu is not installed/, /--qemu/);
  await fails({ qemu, vsockDevice: "no-such-device" }, /no-such-device/, /--vsock-device/);
  const TMPDIR = `${fake.folder}/${"x".repeat(90)}`;
  await Deno.mkdir(TMPDIR);
  await fails({ qemu, env: { ...fake.env, TMPDIR } }, /too long/, /TMPDIR/);
  await Deno.remove(TMPDIR); // empty, or this fails
  assert.deepEqual(fake.runFolders(), []);
});
