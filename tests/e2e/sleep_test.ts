/** The machine sleeps under an open connection. */

import assert from "node:assert/strict";
import { type Clock, readFull, systemClock, writeAll } from "../../lib/core/mod.ts";
import { EXPIRY_MARGIN_MS } from "../../lib/credentials/schedule.ts";
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

Deno.test("credentials that ran out during the sleep are replaced before the session resumes", async () => {
  let asleep = 0;
  const clock: Clock = { ...systemClock, now: () => Date.now() + asleep };
  const folder = await Deno.makeTempDir();
  const file = `${folder}/credentials.json`;
  try {
    await using stack = await startStack({
      clock,
      credentials: "chain",
      env: { AWS_ACCESS_KEY_ID: null, AWS_SECRET_ACCESS_KEY: null, AWS_SESSION_TOKEN: null },
      files: { ".aws/config": `[default]\ncredential_process = cat ${file}\n` },
      settings: { "max-sessions": 1 },
    });
    const { sandbox } = stack;
    const issue = async (lifetime: number) => {
      const credentials = sandbox.setCredentials(
        sandbox.temporaryCredentials(lifetime),
      );
      const { accessKeyId, secretAccessKey, sessionToken, expiration } = credentials;
      await Deno.writeTextFile(
        file,
        JSON.stringify({
          Version: 1,
          AccessKeyId: accessKeyId,
          SecretAccessKey: secretAccessKey,
          SessionToken: sessionToken,
          Expiration: new Date(expiration!).toISOString(),
        }),
      );
    };
    await issue(EXPIRY_MARGIN_MS + 50_000);
    const conn = await connectThrough(stack, { ...SITE, port: 7 });
    const byte = Uint8Array.of(7);
    await writeAll(conn, byte);
    assert.ok(await readFull(conn, byte));

    await issue(3_600_000); // the first ones are refused from here on
    asleep = 60_000;
    sandbox.cut({ mode: "bye" });
    await writeAll(conn, byte);
    assert.ok(await readFull(conn, byte));
    await stack.logged(/^AWS credentials refreshed/);
    assert.equal(sandbox.sessions().length, 1);
    assert.ok(stack.log.every(({ code }) => code === undefined), "nothing was refused meanwhile");
    conn.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
