/**
 * What `linux_test.ts` runs in namespaces of its own: one part per name.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  addRoute,
  adoptOrphans,
  type ChildExit,
  getPid,
  interfaceHardwareAddress,
  killGroup,
  loadModule,
  mount,
  MountFlag,
  powerOff,
  reapOrphans,
  removeRoute,
  setHostName,
  setInterfaceAddress,
  setInterfaceMtu,
  setInterfaceUp,
  unmount,
} from "../../ffi/linux.ts";

/** Reaps until so many have ended, 10 s at most. */
async function reap(count: number, isOurs: (pid: number) => boolean): Promise<ChildExit[]> {
  const exits: ChildExit[] = [];
  for (const end = Date.now() + 10_000; exits.length < count && Date.now() < end;) {
    exits.push(...reapOrphans(isOurs));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return exits;
}

function sh(script: string): Deno.ChildProcess {
  return new Deno.Command("sh", { args: ["-c", script], stdin: "null", stdout: "null" }).spawn();
}

async function orphans(): Promise<void> {
  // The shell leaves two behind, which become ours.
  const shell = sh(
    "(sleep 0.05; exit 7) & (sleep 0.1; kill -9 $(exec sh -c 'echo $PPID')) & exit 5",
  );
  const isOurs = (pid: number) => pid === shell.pid;
  const exits = await reap(2, isOurs);
  assert.deepEqual(exits.map(({ code, signal }) => ({ code, signal })), [
    { code: 7, signal: undefined },
    { code: undefined, signal: 9 },
  ]);
  assert.equal((await shell.status).code, 5);
  assert.deepEqual(reapOrphans(isOurs), []);

  // Reaping all the time takes no child away from the runtime.
  for (let i = 0; i < 20; i++) {
    const child = sh(`exit ${i}`);
    let status: Deno.CommandStatus | undefined;
    void child.status.then((ended) => status = ended);
    while (!status) {
      assert.deepEqual(reapOrphans((pid) => pid === child.pid), []);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    assert.equal(status.code, i);
  }
}

async function groups(): Promise<void> {
  const leader = new Deno.Command("setsid", {
    args: ["sh", "-c", "sleep 100 & echo; wait"],
    stdout: "piped",
  }).spawn();
  const reader = leader.stdout.getReader();
  await reader.read();
  assert.throws(() => killGroup(leader.pid, 99), { code: "EINVAL", syscall: "kill" });
  assert.equal(killGroup(leader.pid, 0), true);
  assert.equal(killGroup(leader.pid, 15), true);
  assert.equal((await leader.status).signal, "SIGTERM");
  // The other one held the pipe open.
  assert.equal((await reader.read()).done, true);
  const [orphan] = await reap(1, () => false);
  assert.equal(orphan?.signal, 15);
  assert.equal(killGroup(leader.pid, 15), false);
  for (const wrong of [0, 1, -1, 1.5]) assert.throws(() => killGroup(wrong, 0), RangeError);
}

const parts: Readonly<Record<string, () => Promise<void> | void>> = {
  async init() {
    assert.equal(getPid(), 1);
    await orphans();
    await groups();
  },

  async subreaper() {
    adoptOrphans();
    await orphans();
  },

  mounts() {
    const folder = Deno.makeTempDirSync();
    mount({ source: "none", target: folder, type: "tmpfs", data: "size=64k,mode=0700" });
    Deno.writeTextFileSync(`${folder}/file`, "here");
    assert.throws(() => Deno.writeFileSync(`${folder}/big`, new Uint8Array(100_000)));
    const flags = MountFlag.Remount | MountFlag.ReadOnly;
    mount({ source: "none", target: folder, flags });
    assert.throws(() => Deno.writeTextFileSync(`${folder}/file`, "x"), { code: "EROFS" });
    const file = Deno.openSync(`${folder}/file`);
    assert.throws(() => unmount(folder), { code: "EBUSY", syscall: "umount2", address: folder });
    unmount(folder, { lazy: true });
    file.close();
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    const missing = { source: "none", target: `${folder}/missing`, type: "tmpfs" };
    assert.throws(() => mount(missing), { code: "ENOENT", syscall: "mount" });
    assert.throws(() => mount({ ...missing, target: folder, type: "nofs" }), { code: "ENODEV" });
    Deno.removeSync(folder);
  },

  names() {
    setHostName("guest-7");
    assert.equal(Deno.hostname(), "guest-7");
    assert.throws(() => setHostName("x".repeat(65)), { code: "EINVAL", syscall: "sethostname" });
  },

  modules() {
    assert.throws(() => loadModule("/dev/null"), { syscall: "finit_module", address: "/dev/null" });
    assert.throws(() => loadModule("/dev/null/x"), { code: "ENOTDIR", syscall: "open" });
  },

  async loopback() {
    const connect = () => Deno.connect({ hostname: "127.0.0.1", port: 9 });
    await assert.rejects(connect(), { code: "ENETUNREACH" });
    setInterfaceUp("lo");
    await assert.rejects(connect(), { code: "ECONNREFUSED" });
  },

  links() {
    // Made by the test: a pair of interfaces in this namespace.
    const [device, other] = ["left", "right"];
    setInterfaceUp(device);
    setInterfaceUp(other);
    const isUp = () => (Number(Deno.readTextFileSync(`/sys/class/net/${other}/flags`)) & 1) === 1;
    assert.equal(isUp(), true);
    setInterfaceUp(other, false);
    assert.equal(isUp(), false);
    setInterfaceUp(other);
    setInterfaceAddress(device, "192.0.2.9", 24);
    setInterfaceMtu(device, 1400);
    const found = Deno.networkInterfaces().find(({ name, family }) =>
      name === device && family === "IPv4"
    );
    assert.equal(found?.address, "192.0.2.9");
    assert.equal(found?.netmask, "255.255.255.0");
    assert.equal(
      [...interfaceHardwareAddress(device)].map((byte) => byte.toString(16).padStart(2, "0"))
        .join(":"),
      found?.mac.toLowerCase(),
    );
    assert.equal(Deno.readTextFileSync(`/sys/class/net/${device}/mtu`).trim(), "1400");

    const routes = () =>
      Deno.readTextFileSync("/proc/net/route").trim().split("\n").slice(1)
        .map((line) => line.split(/\s+/)).map((f) => ({ to: f[1], by: f[2], metric: f[6] }))
        .filter(({ to }) => to !== "000200C0"); // 192.0.2.0 comes with the address
    addRoute({ gateway: "192.0.2.1", metric: 3 });
    addRoute({ destination: "198.51.100.0", prefix: 24, device });
    assert.deepEqual(routes(), [
      { to: "00000000", by: "010200C0", metric: "3" },
      { to: "006433C6", by: "00000000", metric: "0" },
    ]);
    assert.throws(() => addRoute({ destination: "198.51.100.0", prefix: 24, device }), {
      code: "EEXIST",
      address: "198.51.100.0/24",
    });
    removeRoute({ destination: "198.51.100.0", prefix: 24, device });
    removeRoute({ gateway: "192.0.2.1", metric: 3 });
    assert.deepEqual(routes(), []);
    assert.throws(() => removeRoute({ gateway: "192.0.2.1" }), { code: "ESRCH" });
    assert.throws(() => addRoute({ gateway: "203.0.113.1" }), { code: "ENETUNREACH" });
    setInterfaceAddress(device, "0.0.0.0", 0);
    assert.equal(Deno.networkInterfaces().some(({ address }) => address === "192.0.2.9"), false);
    assert.throws(() => setInterfaceUp("none0"), {
      code: "ENODEV",
      syscall: "ioctl SIOCGIFFLAGS",
      address: "none0",
    });
  },

  powerOff() {
    // In a namespace of processes this ends process 1 of the namespace; see reboot(2).
    assert.equal(getPid(), 1);
    assert.notEqual(Deno.readLinkSync("/proc/self/ns/pid"), Deno.args[1]);
    powerOff();
  },
};

await parts[Deno.args[0]!]!();
