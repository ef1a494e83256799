import assert from "node:assert/strict";
import { readAll, writeAll } from "../../lib/core/mod.ts";
import { CIDS, createMemoryVsock, type VsockAddress } from "../../lib/vsock/mod.ts";

const at = (cid: number, port: number): VsockAddress => ({ kind: "vsock", cid, port });

Deno.test("a network in memory connects a guest to the host that listens on any CID", async () => {
  const net = createMemoryVsock();
  using listener = await net.listenVsock(at(CIDS.any!, 1024));
  const near = await net.connectVsock(at(2, 1024));
  await writeAll(near, Uint8Array.of(1, 2, 3));
  await near.closeWrite();
  const far = await listener.accept();
  assert.deepEqual(await readAll(far), Uint8Array.of(1, 2, 3));
  await assert.rejects(net.connectVsock(at(2, 1025)), { code: "vsock-connect-failed" });
});

Deno.test("a listener on one CID takes what goes there, before the one on any CID", async () => {
  const net = createMemoryVsock();
  using any = await net.listenVsock(at(CIDS.any!, 7));
  using three = await net.listenVsock(at(3, 7));
  const toThree = await net.connectVsock(at(3, 7));
  const toFour = await net.connectVsock(at(4, 7));
  toThree.close();
  toFour.close();
  (await three.accept()).close();
  (await any.accept()).close();
});

Deno.test("a network in memory knows taken addresses, full backlogs and closed listeners", async () => {
  const net = createMemoryVsock();
  const address: VsockAddress = { kind: "unix", path: "/vm", port: 5 };
  const listener = await net.listenVsock(address);
  await assert.rejects(net.listenVsock(address), { code: "listen-failed" });
  const conns = [];
  for (let i = 0; i < 128; i++) conns.push(await net.connectVsock(address));
  await assert.rejects(net.connectVsock(address), {
    facts: { address: "unix:/vm:5", errno: "ECONNREFUSED" },
  });
  listener.close();
  for (const conn of conns) assert.equal(await conn.read(new Uint8Array(1)), null);
  await assert.rejects(net.connectVsock(address), { code: "vsock-connect-failed" });
  await assert.rejects(listener.accept(), { code: "aborted" });
  (await net.listenVsock(address)).close();
});

Deno.test("a network in memory obeys signals", async () => {
  const net = createMemoryVsock();
  const controller = new AbortController();
  const { signal } = controller;
  const listener = await net.listenVsock(at(2, 1), { signal });
  const accepting = listener.accept();
  controller.abort();
  await assert.rejects(accepting, { code: "aborted" });
  await assert.rejects(net.connectVsock(at(2, 1), { signal }), { name: "AbortError" });
  await assert.rejects(net.listenVsock(at(2, 1), { signal }), { name: "AbortError" });
});
