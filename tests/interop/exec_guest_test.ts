/**
 * Commands over AF_VSOCK itself, in a QEMU guest: every test of the two sides over vsock's loopback, and
 * `awsocks exec` on the host with `vsock-client` in the guest.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { HostSession } from "../../lib/exec/mod.ts";
import { formatVsockAddress, listenVsock } from "../../lib/vsock/mod.ts";
import { SCENARIOS } from "../exec/scenarios.ts";
import { outcomeOf } from "../exec/support.ts";
import { interopTest, note } from "../support/external.ts";
import { runProgram } from "../support/program.ts";
import { type GuestArch, guestNeed, type QemuGuest, startGuest } from "../support/qemu_guest.ts";

/** Command lines of `vsock-client`, in the order in which the guest runs them. */
const LINES = [
  "--wait 120", // single, from the default address
  "--wait 120 2:1025 persistent",
  "--listen any:1026",
  "--wait 120 host:1027",
] as const;

/** `awsocks exec` and its client of this line. */
async function execWith(guest: QemuGuest, line: typeof LINES[number], ...args: string[]) {
  await guest.seen(new RegExp(`^starts ${line}\r?$`, "m"));
  return await guest.orEnd(runProgram(["exec", ...args]));
}

async function exitOf(guest: QemuGuest, line: typeof LINES[number]): Promise<number> {
  return Number((await guest.seen(new RegExp(`^exit (\\d+) ${line}\r?$`, "m")))[1]);
}

/** Megabytes through `cat` in the guest and back. */
async function echo(host: HostSession, megabytes: number): Promise<void> {
  const { events, write, closeInput } = await host.run("cat");
  const piece = crypto.getRandomValues(new Uint8Array(65_536));
  const sent = createHash("sha256");
  const feeding = (async () => {
    for (let i = 0; i < megabytes * 16; i++) {
      sent.update(piece);
      await write(piece);
    }
    await closeInput();
  })();
  const got = createHash("sha256");
  for await (const event of events) {
    if (event.type === "stdout") got.update(event.data);
    else assert.deepEqual(event, { type: "exit", status: 0 });
  }
  await feeding;
  assert.equal(got.digest("hex"), sent.digest("hex"));
}

async function tryGuest(arch: GuestArch): Promise<void> {
  const start = performance.now();
  await using guest = await startGuest({
    arch,
    program: new URL("./exec_guest_program.ts", import.meta.url),
    args: LINES,
    limit: 400_000,
  });
  const at = (port: number) => formatVsockAddress(guest.port(port));

  // A client that starts before its host has no answer from this device for as long as it connects.
  const script = "uname -s; echo err >&2; exit 42";
  const single = await execWith(guest, LINES[0], "--listen", at(1024), "--", "sh", "-c", script);
  assert.deepEqual(single, { code: 42, stdout: "Linux\n", stderr: "err\n" });
  assert.equal(await exitOf(guest, LINES[0]), 42);

  {
    using listener = await listenVsock(guest.port(1025));
    using host = new HostSession(await guest.orEnd(listener.accept()));
    for (let i = 0; i < 20; i++) {
      const outcome = await guest.orEnd(outcomeOf(host, `cat; echo ${i} >&2; exit ${i}`, "in"));
      assert.deepEqual(outcome, { stdout: "in", stderr: `${i}\n`, status: i });
    }
    await guest.orEnd(echo(host, 8));
  }
  assert.equal(await exitOf(guest, LINES[1]), 0);

  const connect = ["--connect", at(1026), "--wait", "60"];
  const listening = await execWith(guest, LINES[2], ...connect, "--", "kill -9 $$");
  assert.deepEqual(listening, { code: 137, stdout: "", stderr: "" });
  assert.equal(await exitOf(guest, LINES[2]), 137);

  {
    using listener = await listenVsock(guest.port(1027));
    using host = new HostSession(await guest.orEnd(listener.accept()));
    const { events } = await host.run("sleep 1000 & echo started; wait");
    for await (const event of events) {
      assert.equal(event.type, "stdout");
      break;
    }
  }
  assert.equal(await exitOf(guest, LINES[3]), 125);

  await guest.seen(/^done/m);
  assert.ok((await guest.ended).success, guest.tail());
  assert.deepEqual(guest.console.match(/^failed .*$/gm) ?? [], [], guest.tail(60));
  const passed = guest.console.match(/^ok .*$/gm) ?? [];
  assert.equal(passed.length, Object.keys(SCENARIOS).length, guest.tail(60));
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  await note(`commands in a guest (${arch}): ${seconds} s in all`);
}

for (const arch of ["x86_64", "aarch64"] as const) {
  const name = `commands over AF_VSOCK in a guest (${arch})`;
  interopTest(name, [guestNeed(arch)], () => tryGuest(arch));
}
