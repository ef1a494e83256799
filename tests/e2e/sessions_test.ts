/** Several sessions behind one proxy: where connections go, and what they gain by it. */

import assert from "node:assert/strict";
import { readFull, writeAll } from "../../lib/core/mod.ts";
import { connectThrough, type Stack, startStack } from "../support/stack.ts";
import { download, SITE, upload } from "../support/transfers.ts";

const KIB = 1024;
const RANGE = [1, 2, 3, 4, 5, 6, 7, 8];

/** Bytes that the gateway has relayed to the client, by session, oldest first. */
function relayed({ sandbox }: Stack): number[] {
  return sandbox.sessions().map(({ counters }) => counters.bytesToClient);
}

/** Opens 8 connections that stay, says as much on each, and closes them. */
async function echoOn8(stack: Stack): Promise<void> {
  const conns = await Promise.all(RANGE.map(() => connectThrough(stack, { ...SITE, port: 7 })));
  const said = new Uint8Array(64 * KIB);
  await Promise.all(conns.map(async (conn) => {
    await Promise.all([writeAll(conn, said), readFull(conn, new Uint8Array(said.length))]);
    conn.close();
  }));
}

for (const sessions of [1, 2, 4]) {
  Deno.test(`8 connections spread evenly over ${sessions} sessions`, async () => {
    await using stack = await startStack({
      settings: { "max-sessions": sessions, "compression": false },
    });
    // On a busy machine a session may come up too late for the first ones.
    while (relayed(stack).length < sessions) await echoOn8(stack);
    const before = relayed(stack);
    await echoOn8(stack);
    const bytes = relayed(stack).map((after, i) => after - before[i]!).sort((a, b) => a - b);
    assert.equal(bytes.length, sessions);
    assert.ok(bytes.at(-1)! < 1.2 * bytes[0]!, `bytes by session: ${bytes.join(", ")}`);
  });
}

Deno.test("paced sessions side by side are as many times faster", async () => {
  const rate = async (sessions: number) => {
    await using stack = await startStack({
      sandbox: { switches: { pace: true } },
      settings: { "max-sessions": sessions, "compression": false },
    });
    await echoOn8(stack);
    const since = performance.now();
    await Promise.all(RANGE.map((seed) => download(stack, { size: 96 * KIB, seed })));
    return 8 * 96 * KIB / (performance.now() - since);
  };
  const [one, four] = [await rate(1), await rate(4)];
  assert.ok(four > 2 * one, `${one.toFixed(0)} and ${four.toFixed(0)} bytes per ms`);
});

for (const backend of ["ssh", "port"] as const) {
  Deno.test(`${backend}: an upload goes out in messages of the payload size`, async () => {
    const size = 400_000;
    const messages = async (payload: number) => {
      await using stack = await startStack({
        settings: { backend, "payload-size": payload, "max-sessions": 1, "compression": false },
      });
      await upload(stack, { size });
      return stack.sandbox.sessions()[0]!.counters.messagesFromClient;
    };
    const [small, large] = [await messages(512), await messages(8192)];
    assert.ok(small > size / 512, `${small} messages`);
    assert.ok(large < small / 4, `${large} messages, not ${small}`);
  });
}
