/** Connections as streams, through the whole stack: half-close, push-back, fairness, resets. */

import assert from "node:assert/strict";
import { readAll, readFull, writeAll } from "../../lib/core/mod.ts";
import { eventually } from "../proxy/loopback.ts";
import { connectThrough, startStack } from "../support/stack.ts";
import { download, getPage, SITE, upload } from "../support/transfers.ts";

const MIB = 1024 * 1024;
const ECHO = { ...SITE, port: 7 };
const CHARGEN = { ...SITE, port: 19 };

Deno.test("a client's end of input reaches the destination, whose answer still comes", async () => {
  await using stack = await startStack();
  const conn = await connectThrough(stack, ECHO);
  const sent = crypto.getRandomValues(new Uint8Array(60_000));
  const received = readAll(conn);
  for (let i = 0; i < 20; i++) await writeAll(conn, sent);
  await conn.closeWrite();
  const all = await received;
  assert.equal(all.byteLength, 20 * sent.byteLength);
  assert.deepEqual(all.subarray(-sent.byteLength), sent);
  conn.close();
});

Deno.test("a client that does not read holds its source back and delays nobody else", async () => {
  await using stack = await startStack();
  const lazy = await connectThrough(stack, CHARGEN);
  const { sandbox } = stack;
  const relayed = () => sandbox.sessions()[0]!.counters.bytesToClient;
  // Until every buffer on the way is full.
  let last = -1;
  await eventually(
    async () => {
      if (last === relayed()) return true;
      last = relayed();
      await new Promise((resolve) => setTimeout(resolve, 200));
      return false;
    },
    "the source is held back",
    20_000,
  );
  assert.ok(last < 24 * MIB, `${last} bytes for a client that reads none`);
  const since = performance.now();
  await getPage(stack);
  await download(stack, { size: MIB });
  await upload(stack, { size: MIB });
  assert.ok(performance.now() - since < 5000);
  // And it goes on where it was.
  assert.ok(await readFull(lazy, new Uint8Array(2 * MIB)));
  lazy.close();
});

Deno.test("downloads and uploads at the same time share the session", async () => {
  await using stack = await startStack({ settings: { "max-sessions": 1 } });
  await Promise.all([1, 2, 3, 4].flatMap((seed) => [
    download(stack, { size: MIB, seed }),
    upload(stack, { size: MIB, seed: seed + 10 }),
  ]));
  assert.equal(stack.sandbox.sessions().length, 1);
});

Deno.test("a client that resets its connection ends it at the destination", async () => {
  await using stack = await startStack();
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  using _events = stack.sandbox.on((event) => event.type === "channel-closed" && resolve());
  const conn = await connectThrough(stack, CHARGEN);
  assert.ok(await readFull(conn, new Uint8Array(100_000)));
  // Unread data in the socket makes the kernel send a reset.
  conn.close();
  await closed;
  await eventually(() => stack.manager.stats().active === 0, "no client is connected");
  await getPage(stack);
});
