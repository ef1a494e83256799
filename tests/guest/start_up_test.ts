/** The parts of the guest's start-up, with a kernel that a test plays. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { waitForEntropy } from "../../lib/guest/entropy.ts";
import { GuestLog, recordOf } from "../../lib/guest/guest_log.ts";
import type { Kernel } from "../../lib/guest/kernel.ts";
import { LEASE_SCRIPT, parseLeaseEvent, resolvConf } from "../../lib/guest/lease.ts";
import { loadModules, parseModules } from "../../lib/guest/modules.ts";
import { mountAll, parseMounts } from "../../lib/guest/mounts.ts";
import { LeaseKeeper } from "../../lib/guest/network.ts";
import { configureLogging, getLog } from "../../lib/core/mod.ts";
import type { GuestLogRecord } from "../../lib/protocol/mod.ts";
import { captureLog } from "../support/log_capture.ts";
import { FakeClock } from "../support/fake_clock.ts";

type Call = readonly [name: string, ...rest: unknown[]];

/** A kernel that keeps what it is asked, and fails as told. */
function toyKernel(failures: Readonly<Record<string, string>> = {}) {
  const calls: Call[] = [];
  const record = (name: string) => (...args: unknown[]) => {
    calls.push([name, ...args]);
    const code = failures[name];
    if (code !== undefined) throw Object.assign(new Error(`${name}: ${code}`), { code });
    return name === "reapOrphans" ? [] : true;
  };
  const kernel = {
    mount: record("mount"),
    loadModule: record("loadModule"),
    setInterfaceUp: record("setInterfaceUp"),
    setInterfaceAddress: record("setInterfaceAddress"),
    setInterfaceMtu: record("setInterfaceMtu"),
    addRoute: record("addRoute"),
    removeRoute: record("removeRoute"),
    setHostName: record("setHostName"),
    setTime: record("setTime"),
    reapOrphans: record("reapOrphans"),
    powerOff: record("powerOff"),
    // Safe: nothing looks at what these give back but the reaper, which gets a list.
  } as unknown as Kernel;
  return { kernel, calls };
}

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("mountAll() mounts what is not mounted and covers nothing that is in use", async () => {
  await withFolder(async (folder) => {
    const { kernel, calls } = toyKernel();
    await Deno.mkdir(`${folder}/used`);
    await Deno.writeTextFile(`${folder}/used/file`, "");
    const tmpfs = (name: string) => ({ type: "tmpfs", target: `${folder}/${name}`, flags: 0 });
    await mountAll(kernel, [
      { type: "proc", target: "/proc", flags: 0 },
      tmpfs("used"),
      tmpfs("new"),
    ]);
    assert.deepEqual(calls, [["mount", { source: "tmpfs", ...tmpfs("new") }]]);
    assert.ok((await Deno.stat(`${folder}/new`)).isDirectory);
  });
});

Deno.test("mountAll() goes on after a failure; one that is mounted meanwhile is none", async () => {
  await captureLog(async (lines) => {
    await withFolder(async (folder) => {
      const mounts = ["a", "b"].map((name) => ({
        type: "sysfs",
        target: `${folder}/${name}`,
        flags: 0,
      }));
      const broken = toyKernel({ mount: "EPERM" });
      await mountAll(broken.kernel, mounts);
      assert.equal(broken.calls.length, 2);
      assert.equal(lines.filter(({ level }) => level === "error").length, 2);
      await mountAll(toyKernel({ mount: "EBUSY" }).kernel, mounts);
      assert.equal(lines.length, 2);
    });
  });
});

Deno.test("parseMounts() knows the escapes of fstab", () => {
  const text = "proc /proc proc rw 0 0\ntmpfs /with\\040space tmpfs rw 0 0\n\n";
  assert.deepEqual([...parseMounts(text)], ["/proc", "/with space"]);
});

Deno.test("loadModules() loads the list in order and goes on after a failure", async () => {
  await captureLog(async (lines) => {
    await withFolder(async (folder) => {
      const list = `${folder}/modules`;
      await Deno.writeTextFile(list, "# devices\nvirtio\nvirtio_net # the card\n\n");
      const { kernel, calls } = toyKernel({ loadModule: "ENOENT" });
      await loadModules(kernel, { list, folder: "/m" });
      assert.deepEqual(calls, [["loadModule", "/m/virtio.ko"], ["loadModule", "/m/virtio_net.ko"]]);
      assert.equal(lines.filter(({ level }) => level === "warn").length, 2);
      await loadModules(kernel, { list: `${folder}/none` });
      assert.equal(calls.length, 2);
    });
  });
});

Deno.test("the image's own list of modules can be read", async () => {
  const names = parseModules(
    await Deno.readTextFile(new URL("../../guest/modules", import.meta.url)),
  );
  assert.ok(names.includes("vmw_vsock_virtio_transport"));
  assert.ok(names.every((name) => /^[a-z0-9_]+$/.test(name)));
});

Deno.test("waitForEntropy() waits for the kernel, for a bounded time", async () => {
  await captureLog(async (lines) => {
    const clock = new FakeClock();
    let bits = "12\n";
    const waiting = waitForEntropy(clock, { read: () => Promise.resolve(bits) });
    await clock.advance(1000);
    bits = "256\n";
    await clock.advance(1000);
    assert.equal(await waiting, true);
    assert.equal(lines.length, 0);
    const vain = waitForEntropy(clock, { read: () => Promise.reject(new Error("no /proc")) });
    await clock.advance(6000);
    assert.equal(await vain, false);
    assert.match(lines[0]!.message, /0 bits/);
  });
});

const BOUND =
  "lease|bound|eth0|10.0.2.15|24|10.0.2.2|10.0.2.3 10.0.2.4|corp.example lab.example||1400|86400";

Deno.test("parseLeaseEvent() reads what the script writes", () => {
  assert.deepEqual(parseLeaseEvent(BOUND), {
    event: "bound",
    device: "eth0",
    lease: {
      address: "10.0.2.15",
      prefix: 24,
      routers: ["10.0.2.2"],
      nameServers: ["10.0.2.3", "10.0.2.4"],
      search: ["corp.example", "lab.example"],
      mtu: 1400,
      seconds: 86_400,
    },
  });
  assert.deepEqual(parseLeaseEvent("lease|deconfig|eth0||||||||"), {
    event: "deconfig",
    device: "eth0",
  });
  assert.deepEqual(parseLeaseEvent("lease|renew|eth0|10.0.2.15|24||||home||")?.lease, {
    address: "10.0.2.15",
    prefix: 24,
    routers: [],
    nameServers: [],
    search: ["home"],
  });
});

Deno.test("the script writes what parseLeaseEvent() reads", async () => {
  await withFolder(async (folder) => {
    const script = `${folder}/script`;
    await Deno.writeTextFile(script, LEASE_SCRIPT, { mode: 0o700 });
    const { stdout } = await new Deno.Command("sh", {
      args: [script, "bound"],
      clearEnv: true,
      env: {
        interface: "eth0",
        ip: "10.0.2.15",
        mask: "24",
        router: "10.0.2.2",
        dns: "10.0.2.3 10.0.2.4",
        search: "corp.example lab.example",
        mtu: "1400",
        lease: "86400",
      },
    }).output();
    assert.equal(new TextDecoder().decode(stdout), `${BOUND}\n`);
  });
});

Deno.test("parseLeaseEvent() ignores what else a DHCP client writes, and what a server makes up", () => {
  const others = [
    "",
    "udhcpc: started, v1.35.0",
    "lease|what|eth0||||||||",
    "lease|bound||10.0.2.15|24||||||",
    `${BOUND}|more`,
  ];
  for (const line of others) assert.equal(parseLeaseEvent(line), undefined, line);
  // An event without a usable address has no lease.
  for (
    const [ip, mask] of [["999.1.1.1", "24"], ["10.0.0.1", "33"], ["", "24"], ["$(reboot)", "24"]]
  ) {
    assert.equal(parseLeaseEvent(`lease|bound|eth0|${ip}|${mask}||||||`)?.lease, undefined);
  }
  const evil = parseLeaseEvent(
    "lease|bound|eth0|10.0.0.2|24|10.0.0.1;reboot|8.8.8.8\tx 1.2.3|good.example bad;example||9|0",
  );
  assert.deepEqual(evil?.lease, {
    address: "10.0.0.2",
    prefix: 24,
    routers: [],
    nameServers: ["8.8.8.8"],
    search: ["good.example"],
  });
});

Deno.test("parseLeaseEvent() takes any line", () => {
  const field = fc.oneof(fc.ipV4(), fc.domain(), fc.nat().map(String), fc.string());
  fc.assert(
    fc.property(fc.array(field, { maxLength: 12 }), (fields) => {
      const event = parseLeaseEvent(["lease", "bound", ...fields].join("|"));
      if (event?.lease) {
        assert.match(resolvConf(event.lease), /^(search [^\n]*\n)?(nameserver \S+\n)*$/);
      }
    }),
  );
});

const lease = parseLeaseEvent(BOUND)!;

Deno.test("a lease becomes address, route and resolver; what is renewed is not touched", async () => {
  await withFolder(async (folder) => {
    const { kernel, calls } = toyKernel({ removeRoute: "ESRCH" });
    const resolver = `${folder}/resolv.conf`;
    const keeper = new LeaseKeeper({ kernel, resolver });
    await keeper.take({ event: "deconfig", device: "eth0" });
    await keeper.take(lease);
    assert.deepEqual(calls, [
      ["setInterfaceAddress", "eth0", "0.0.0.0", 0],
      ["setInterfaceUp", "eth0"],
      ["setInterfaceAddress", "eth0", "10.0.2.15", 24],
      ["setInterfaceMtu", "eth0", 1400],
      ["setInterfaceUp", "eth0"],
      ["removeRoute", { device: "eth0" }],
      ["addRoute", { gateway: "10.0.2.2", device: "eth0" }],
    ]);
    assert.equal(
      await Deno.readTextFile(resolver),
      "search corp.example lab.example\nnameserver 10.0.2.3\nnameserver 10.0.2.4\n",
    );
    calls.length = 0;
    await keeper.take({ ...lease, event: "renew", lease: { ...lease.lease!, seconds: 7 } });
    assert.equal(calls.length, 0);
    await keeper.take({ ...lease, lease: { ...lease.lease!, routers: ["10.0.2.9"] } });
    assert.deepEqual(calls.map(([name]) => name), [
      "setInterfaceMtu",
      "setInterfaceUp",
      "removeRoute",
      "addRoute",
    ]);
  });
});

Deno.test("a lease that is lost is withdrawn, and what fails is tried with the next event", async () => {
  await captureLog(async (lines) => {
    await withFolder(async (folder) => {
      const failures: Record<string, string> = { addRoute: "EPERM" };
      const { kernel, calls } = toyKernel(failures);
      const keeper = new LeaseKeeper({ kernel, resolver: `${folder}/resolv.conf` });
      await keeper.take(lease);
      assert.equal(lines.filter(({ level }) => level === "error").length, 1);
      delete failures.addRoute;
      calls.length = 0;
      await keeper.take({ ...lease, event: "renew" });
      assert.ok(calls.some(([name]) => name === "addRoute"));
      calls.length = 0;
      await keeper.take({ event: "deconfig", device: "eth0" });
      assert.deepEqual(calls[0], ["setInterfaceAddress", "eth0", "0.0.0.0", 0]);
      assert.ok(lines.some(({ message }) => message.includes("10.0.2.15 is lost")));
      await keeper.take({ event: "leasefail", device: "eth0" });
      assert.ok(lines.some(({ message }) => message.includes("leasefail")));
    });
  });
});

Deno.test("the log is on the console and with the host, early lines included", async () => {
  const written: string[] = [];
  const sent: GuestLogRecord[] = [];
  const log = new GuestLog({ write: (line) => written.push(line) });
  try {
    await log.configure({ level: "info", rooms: { ssm: "debug" } });
    getLog("guest").info("Connected to {host}", { host: "awsocks 0.1.0", tries: 2 });
    getLog("ssh").debug("Not wanted");
    getLog("ssm").debug("Wanted");
    log.attach({ log: (record) => sent.push(record) });
    getLog("ssh").warn("Failed: {error}", { error: new Error("it\nbroke"), token: "hush" });
    assert.match(
      written[0]!,
      /^\d\d:\d\d:\d\d\.\d{3} INFO {2}guest {7}Connected to awsocks 0\.1\.0 tries=2$/,
    );
    assert.match(written[2]!, /WARN {2}ssh {9}Failed: it broke token=\[redacted\]$/);
    assert.deepEqual(sent.map(({ level, room, message }) => [level, room, message]), [
      ["info", "guest", "Connected to awsocks 0.1.0"],
      ["debug", "ssm", "Wanted"],
      ["warn", "ssh", "Failed: it\nbroke"],
    ]);
    assert.deepEqual(sent[0]!.fields, { host: "awsocks 0.1.0", tries: 2 });
    log.detach();
    getLog("ssm").info("Nobody is there");
    assert.equal(sent.length, 3);
    for (let i = 0; i < 300; i++) getLog("ssm").info("{i}", { i });
    log.attach({ log: (record) => sent.push(record) });
    assert.equal(sent.length, 203);
    assert.equal(sent.at(-1)!.message, "299");
  } finally {
    await configureLogging({ level: "error", write: () => {} });
  }
});

Deno.test("recordOf() keeps what a line has, nested values as JSON", () => {
  const record = recordOf(JSON.stringify({
    time: "2025-01-01T00:00:00.000Z",
    level: "info",
    room: "ssm",
    message: "m",
    deep: { a: [1] },
    none: null,
  }));
  assert.deepEqual(record, {
    time: Date.UTC(2025, 0, 1),
    level: "info",
    room: "ssm",
    message: "m",
    fields: { deep: '{"a":[1]}' },
  });
});
