/**
 * What process 1 asks of the kernel, in namespaces of its own.
 *
 * The clock, entropy and real modules have no namespace: the guest in `tests/interop` tries those.
 *
 * @module
 */

import assert from "node:assert/strict";
import { addRoute, setInterfaceAddress, setInterfaceUp } from "../../ffi/linux.ts";
import { LINUX_REMEDY } from "../support/descriptors.ts";
import { need } from "../support/external.ts";

/** What to do about tests that cannot run; empty where they can. */
const remedy = LINUX_REMEDY || need("unshare", "util-linux") || mayUnshare();

function mayUnshare(): string {
  const { success } = new Deno.Command("unshare", { args: ["-nmup", "--fork", "true"] })
    .outputSync();
  return success ? "" : "needs root with CAP_SYS_ADMIN";
}

/** Runs a part of `linux_child.ts` in new namespaces, given as flags of unshare(1). */
function child(part: string, flags: readonly string[], before = ""): Promise<Deno.CommandOutput> {
  const script = new URL("./linux_child.ts", import.meta.url).pathname;
  const deno = [Deno.execPath(), "run", "-A", "--no-check", script, part];
  const pids = Deno.readLinkSync("/proc/self/ns/pid");
  return new Deno.Command("timeout", {
    args: ["60", "unshare", ...flags, "sh", "-c", `${before} exec "$@"`, "sh", ...deno, pids],
    stdin: "null",
  }).output();
}

function test(
  name: string,
  part: string,
  flags: readonly string[],
  options: { readonly before?: string; readonly needs?: string } = {},
): void {
  const missing = remedy || (options.needs ?? "");
  Deno.test({
    name: missing === "" ? name : `${name} (skipped: ${missing})`,
    ignore: missing !== "",
    fn: async () => {
      const { code, stderr } = await child(part, flags, options.before);
      assert.equal(code, 0, new TextDecoder().decode(stderr));
    },
  });
}

const PROCESSES = ["--pid", "--fork", "--mount-proc", "--kill-child"];

test(
  "process 1 reaps orphans, leaves the runtime its children, and ends groups",
  "init",
  PROCESSES,
);
test("any process can adopt its orphans", "subreaper", []);
test("file systems come, change and go", "mounts", ["--mount"]);
test("the machine gets its name", "names", ["--uts"]);
test("what is no module is not loaded", "modules", []);
test("loopback works once it is up", "loopback", ["--net"]);
test("interfaces get addresses and routes", "links", ["--net", "--mount"], {
  needs: need("ip", "iproute2"),
  before: "mount -t sysfs none /sys && ip link add left type veth peer name right &&",
});

Deno.test({
  name: remedy === "" ? "powerOff() ends process 1" : `powerOff() (skipped: ${remedy})`,
  ignore: remedy !== "",
  fn: async () => {
    const { success, signal, stderr } = await child("powerOff", PROCESSES);
    assert.deepEqual({ success, signal }, { success: false, signal: "SIGINT" }, decode(stderr));
  },
});

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

Deno.test("addresses, prefixes and names of interfaces are checked before anything is asked", () => {
  if (LINUX_REMEDY !== "") return;
  for (const address of ["", "1.2.3", "1.2.3.256", "::1", "a.b.c.d", "1.2.3.4.5"]) {
    assert.throws(() => setInterfaceAddress("lo", address, 8), RangeError, address);
    assert.throws(() => addRoute({ gateway: address }), RangeError, address);
  }
  for (const prefix of [-1, 33, 1.5]) {
    assert.throws(() => setInterfaceAddress("lo", "127.0.0.1", prefix), RangeError);
    assert.throws(() => addRoute({ destination: "127.0.0.0", prefix }), RangeError);
  }
  for (const name of ["", "x".repeat(16)]) assert.throws(() => setInterfaceUp(name), RangeError);
});
