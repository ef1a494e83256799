/**
 * What runs in the guest of `vsock_guest_test.ts`: tries `ffi/` and says on the console how it went, a
 * line `ok NAME` or `failed NAME` for each check.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  addEntropy,
  getPid,
  loadModule,
  setHostName,
  setInterfaceUp,
  setTime,
} from "../../ffi/linux.ts";
import type { AdoptOptions } from "../../ffi/fd_conn.ts";
import {
  CID_HOST,
  CID_LOCAL,
  connectVsock,
  listenVsock,
  localCid,
  PORT_ANY,
} from "../../ffi/vsock.ts";
import { readAll, writeAll } from "../../lib/core/conn.ts";
import {
  connectVsock as connect,
  listenVsock as listen,
  parseVsockAddress,
} from "../../lib/vsock/mod.ts";
import { openFds } from "../support/descriptors.ts";
import { exchange, type Received } from "../support/streams.ts";

/** Ports that the test knows too. */
const [TO_HOST, FROM_HOST] = [7000, 7001];

/** Nobody listens there. */
const DEAD_PORT = 9;

const megabytes = Number(Deno.args[0]);
const fewMegabytes = Math.ceil(megabytes / 16);

async function say(line: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${line}\n`));
}

async function check(name: string, work: () => unknown): Promise<void> {
  try {
    await work();
    await say(`ok ${name}`);
  } catch (error) {
    await say(`failed ${name}: ${error instanceof Error ? error.stack : error}`);
  }
}

const ways: AdoptOptions[] = [{ via: "pipe" }, { via: "socket" }];

await check("modules load once", () => {
  assert.throws(() => listenVsock({ port: TO_HOST }), { code: "EAFNOSUPPORT" });
  for (const module of ["vsock", "vmw_vsock_virtio_transport_common", "vsock_loopback"]) {
    assert.equal(loadModule(`/lib/modules/${module}.ko`), true);
    assert.equal(loadModule(`/lib/modules/${module}.ko`), false);
  }
  assert.equal(loadModule("/lib/modules/vmw_vsock_virtio_transport.ko"), true);
});

await check("the machine has the context id of its device", () => {
  assert.equal(localCid(), Number(Deno.args[1]));
});

await check("clock, name, entropy and loopback are set", async () => {
  const time = Date.UTC(2031, 4, 6, 7, 8, 9, 123);
  setTime(time);
  const late = Date.now() - time;
  assert.ok(late >= 0 && late < 10_000, `${late} ms`);
  setHostName("guest");
  assert.equal(Deno.hostname(), "guest");
  addEntropy(crypto.getRandomValues(new Uint8Array(64)));
  setInterfaceUp("lo");
  await assert.rejects(Deno.connect({ port: 9 }), { code: "ECONNREFUSED" });
  assert.equal(getPid(), Deno.pid);
});

await check("accept() ends at its deadline and its signal", async () => {
  using listener = listenVsock({ port: PORT_ANY });
  const start = performance.now();
  await assert.rejects(listener.accept({ timeout: 200 }), {
    code: "ETIMEDOUT",
    syscall: "accept",
    address: `vsock any:${PORT_ANY}`,
  });
  const took = performance.now() - start;
  assert.ok(took > 190 && took < 5000, `${took} ms`);
  const reason = new Error("enough");
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 50);
  await assert.rejects(listener.accept({ signal: controller.signal }), reason);
  setTimeout(() => listener.close(), 50);
  await assert.rejects(listener.accept(), { code: "ECANCELED" });
});

await check("a dead port refuses", async () => {
  await assert.rejects(connectVsock({ cid: CID_LOCAL, port: DEAD_PORT, timeout: 20_000 }), {
    code: "ECONNREFUSED",
    syscall: "connect",
    address: `vsock ${CID_LOCAL}:${DEAD_PORT}`,
  });
});

await check(
  "connect() ends at its deadline, later than the kernel's 2 s, and its signal",
  async () => {
    // The device has no answer for a port that nobody on the host listens on.
    const start = performance.now();
    await assert.rejects(connectVsock({ cid: CID_HOST, port: DEAD_PORT, timeout: 3000 }), {
      code: "ETIMEDOUT",
      syscall: "connect",
    });
    const took = performance.now() - start;
    assert.ok(took > 2950 && took < 10_000, `${took} ms`);
    const reason = new Error("enough");
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 50);
    const { signal } = controller;
    await assert.rejects(connectVsock({ cid: CID_HOST, port: DEAD_PORT, signal }), reason);
  },
);

await check("addresses are what they are", async () => {
  using listener = listenVsock({ port: PORT_ANY });
  const { port } = listener.address;
  assert.ok(port >= 1024 && port < PORT_ANY);
  assert.throws(() => listenVsock({ port }), { code: "EADDRINUSE", syscall: "bind" });
  const [near, far] = await Promise.all([
    connectVsock({ cid: CID_LOCAL, port }),
    listener.accept({ timeout: 20_000 }),
  ]);
  assert.deepEqual(near.peer, { cid: CID_LOCAL, port });
  assert.equal(far.peer.cid, CID_LOCAL);
  near.close();
  far.close();
});

await check("lib/vsock connects, listens and fails in the words of the project", async () => {
  const local = (port: number) => parseVsockAddress(`local:${port}`);
  await assert.rejects(connect(local(DEAD_PORT)), {
    code: "vsock-connect-failed",
    message: `Could not connect to 1:${DEAD_PORT}: nothing listens there`,
    facts: { address: `1:${DEAD_PORT}`, errno: "ECONNREFUSED" },
  });
  await assert.rejects(connect(parseVsockAddress(`host:${DEAD_PORT}`), { timeout: 500 }), {
    code: "timeout",
    message: `Could not connect to 2:${DEAD_PORT}: no answer within 0.5 s`,
  });
  const listener = await listen(local(PORT_ANY));
  await assert.rejects(listen(listener.address), { code: "listen-failed" });
  const reason = new Error("enough");
  const controller = new AbortController();
  const accepting = listener.accept({ signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(accepting, reason);
  const near = await connect(listener.address);
  const far = await listener.accept();
  await writeAll(near, Uint8Array.of(1, 2, 3));
  await near.closeWrite();
  assert.deepEqual(await readAll(far), Uint8Array.of(1, 2, 3));
  near.close();
  far.close();
  const waiting = listener.accept();
  listener.close();
  await assert.rejects(waiting, { code: "aborted" });
  await assert.rejects(connect(listener.address), { code: "vsock-connect-failed" });
});

/** Says what came and how long it took; what it should have been is for the test to know. */
async function report(name: string, seed: number, work: Promise<Received>): Promise<void> {
  const start = performance.now();
  const { bytes, hash } = await work;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  await say(`received ${seed} ${bytes} ${hash} ${seconds} ${name}`);
}

async function loopback(count: number, seed: number, way: AdoptOptions): Promise<void> {
  using listener = listenVsock({ cid: CID_LOCAL, port: PORT_ANY, ...way });
  const [near, far] = await Promise.all([
    connectVsock({ ...listener.address, timeout: 20_000, ...way }),
    listener.accept({ timeout: 20_000 }),
  ]);
  const name = `over loopback, by ${way.via ?? "default"}`;
  await Promise.all([
    report(name, seed + 1, exchange(near, count, seed)),
    report(name, seed, exchange(far, count, seed + 1)),
  ]);
}

await check("loopback carries bytes", () => loopback(megabytes, 1, {}));
for (const [i, way] of ways.entries()) {
  await check(`loopback carries bytes by ${way.via}`, () => loopback(fewMegabytes, 3 + 2 * i, way));
}

await check("guest to host carries bytes", async () => {
  const conn = await connectVsock({ cid: CID_HOST, port: TO_HOST, timeout: 20_000 });
  await report("on the guest's connection to the host", 8, exchange(conn, megabytes, 7));
});

await check("host to guest carries bytes", async () => {
  using listener = listenVsock({ port: FROM_HOST });
  await say("listening");
  const conn = await listener.accept({ timeout: 60_000 });
  assert.equal(conn.peer.cid, CID_HOST);
  await report("on the host's connection to the guest", 10, exchange(conn, megabytes, 9));
});

for (const way of ways) {
  await check(`half-closes, resets and 100 connections leave nothing, by ${way.via}`, async () => {
    using listener = listenVsock({ cid: CID_LOCAL, port: PORT_ANY, ...way });
    const { cid, port } = listener.address;
    const before = openFds().length;
    for (let i = 0; i < 100; i++) {
      const [near, far] = await Promise.all([
        connectVsock({ cid, port, ...way }),
        listener.accept({ timeout: 20_000 }),
      ]);
      const reading = far.read(new Uint8Array(8));
      if (i % 4 === 0) await near.write(Uint8Array.of(1, 2));
      if (i % 4 === 1) await near.closeWrite();
      if (i % 4 !== 1) near.close();
      await reading.catch(() => {});
      if (i % 4 === 1) {
        await far.write(Uint8Array.of(7));
        far.close();
        const into = new Uint8Array(2);
        assert.equal(await near.read(into), 1);
        assert.equal(await near.read(into), null);
      }
      near.close();
      far.close();
    }
    for (let turns = 0; openFds().length > before && turns < 100; turns++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(openFds().length, before, openFds().join("\n"));
  });
}

await say("done");
