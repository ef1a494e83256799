/**
 * An hour's work with the service hanging up ("Bye") every minute, time compressed: nothing is lost, and
 * nothing is left.
 *
 * AWSOCKS_SOAK_BYES is the number of Byes (default 20), AWSOCKS_SOAK_MS the time between two (300).
 */

import assert from "node:assert/strict";
import { readFull, writeAll } from "../../lib/core/mod.ts";
import { eventually } from "../proxy/loopback.ts";
import { startEcho } from "../support/load.ts";
import { collectGarbage, memoryHeld, openDescriptors } from "../support/memory.ts";
import { connectThrough, type Stack, startStack } from "../support/stack.ts";
import { download, getPage, SITE, upload } from "../support/transfers.ts";

const BYES = Number(Deno.env.get("AWSOCKS_SOAK_BYES") ?? 20);
const INTERVAL_MS = Number(Deno.env.get("AWSOCKS_SOAK_MS") ?? 300);

/** Bytes in use, buffers included, and descriptors, once the garbage is gone. */
function held(): { readonly bytes: number; readonly descriptors: number } {
  collectGarbage();
  const descriptors = openDescriptors();
  return { bytes: memoryHeld(), descriptors };
}

/** Works without a pause until told to stop. @returns how often it has worked */
function again(work: (round: number) => Promise<void>) {
  let stopped = false;
  const done = (async () => {
    let rounds = 0;
    while (!stopped) await work(rounds++);
    return rounds;
  })();
  return {
    async stop(): Promise<number> {
      stopped = true;
      return await done;
    },
  };
}

async function mixedTraffic(stack: Stack, byes: number): Promise<Record<string, number>> {
  const { sandbox } = stack;
  const workers = {
    downloads: again((seed) => download(stack, { size: 300_000, seed })),
    uploads: again((seed) => upload(stack, { size: 200_000, seed })),
    pages: again(() => getPage(stack)),
  };
  const echo = await startEcho(stack);
  let cuts = 0;
  for (let bye = 0; bye < byes; bye++) {
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    cuts += sandbox.cut({ mode: "bye" });
  }
  assert.ok(cuts >= byes, `only ${cuts} WebSockets were closed`);
  assert.equal(echo.failure, undefined);
  const counts = {
    echoes: echo.progress,
    downloads: await workers.downloads.stop(),
    uploads: await workers.uploads.stop(),
    pages: await workers.pages.stop(),
  };
  await echo.end();
  // Port sessions have no half-close: the destination of an echo is given a while to answer.
  const lingering = stack.backend.name === "port" ? 2 : 0;
  await eventually(
    () => stack.manager.stats().active <= 1 + lingering,
    "only the idle client is connected",
  );
  return counts;
}

for (const backend of ["ssh", "port"] as const) {
  Deno.test({
    name: `${BYES} Byes under mixed traffic, backend ${backend}: nothing is lost and nothing left`,
    ignore: Deno.build.os !== "linux",
    async fn() {
      await using stack = await startStack({ settings: { backend }, logLevel: "warn" });
      const idle = await connectThrough(stack, { ...SITE, port: 7 });
      await mixedTraffic(stack, 5); // what is loaded and compiled on first use is no leak
      const before = held();
      const counts = await mixedTraffic(stack, BYES);
      const after = held();
      for (const [name, count] of Object.entries(counts)) assert.ok(count > 3, `${count} ${name}`);

      // The connection that nobody used has lived through all of it.
      const byte = Uint8Array.of(42);
      await writeAll(idle, byte);
      assert.ok(await readFull(idle, byte));
      assert.equal(byte[0], 42);
      idle.close();

      const growth = after.bytes - before.bytes;
      const descriptors = after.descriptors - before.descriptors;
      const started = stack.sandbox.sessions();
      console.log(
        `${backend}: ${Object.entries(counts).map(([name, n]) => `${n} ${name}`).join(", ")}; ` +
          `${started.length} sessions, ${descriptors} descriptors and ` +
          `${(growth / 1e6).toFixed(1)} MB more than before`,
      );
      assert.ok(growth < 8e6, `memory grew by ${growth} bytes`);
      assert.ok(descriptors <= 4, `${descriptors} more descriptors`);
      assert.ok(started.length <= 6, `${started.length} sessions were started`);
      assert.equal(stack.manager.stats().failed, 0);
      await stack.stop();
      assert.ok(stack.sandbox.sessions().every(({ live }) => !live), "a session was left");
    },
  });
}
