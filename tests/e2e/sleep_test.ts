/** The machine sleeps under an open connection. */

import assert from "node:assert/strict";
import { type Clock, readFull, systemClock, writeAll } from "../../lib/core/mod.ts";
import { connectThrough, startStack } from "../support/stack.ts";
import { SITE } from "../support/transfers.ts";

for (const backend of ["ssh", "port"] as const) {
  Deno.test(`${backend}: after sleep a connection goes on within seconds, though its WebSocket is silent`, async () => {
    let asleep = 0;
    const clock: Clock = { ...systemClock, now: () => Date.now() + asleep };
    await using stack = await startStack({ clock, settings: { "backend": backend } });
    const conn = await connectThrough(stack, { ...SITE, port: 7 });
    const say = async (text: string) => {
      const bytes = new TextEncoder().encode(text);
      await writeAll(conn, bytes);
      const back = new Uint8Array(bytes.length);
      assert.ok(await readFull(conn, back));
      assert.equal(new TextDecoder().decode(back), text);
    };
    await say("before");
    assert.equal(stack.sandbox.cut({ mode: "stall" }), 1);
    asleep = 60_000;
    const since = performance.now();
    await say("after");
    assert.ok(performance.now() - since < 10_000);
    await stack.logged(/^This machine was asleep for 60 s/);
    await stack.logged(/no pong from the gateway; resuming$/);
    assert.equal(stack.sandbox.sessions().length, 1);
    conn.close();
  });
}
