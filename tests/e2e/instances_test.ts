/** Several instances behind one Name tag: sessions on all of them, and one that goes under load. */

import assert from "node:assert/strict";
import { readFull, writeAll } from "../../lib/core/mod.ts";
import { connectThrough, type Stack, startStack } from "../support/stack.ts";
import { download, getPage, SITE } from "../support/transfers.ts";

const NAME = "web";

function startTwo(settings: Record<string, unknown> = {}): Promise<Stack> {
  return startStack({
    sandbox: { instances: [{ name: NAME }, { name: NAME }, { name: "other" }] },
    settings: { "instance-id": null, "name": NAME, "instances": "all", ...settings },
  });
}

/** Live sessions by instance. */
function sessionsOn({ sandbox }: Stack, instanceId: string) {
  return sandbox.sessions().filter((each) => each.live && each.instanceId === instanceId);
}

/** Asks and answers in turn on one connection until it is told to stop. */
class Echo {
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  rounds = 0;
  /** Milliseconds of the slowest round. */
  slowest = 0;
  /** The connection is the one that died. */
  failed = false;

  constructor(stack: Stack, readonly pause = 10) {
    this.#done = this.#run(stack);
  }

  async #run(stack: Stack): Promise<void> {
    const conn = await connectThrough(stack, { ...SITE, port: 7 });
    const onStop = () => conn.close();
    this.#stop.signal.addEventListener("abort", onStop);
    try {
      const said = new Uint8Array(100);
      for (;;) {
        crypto.getRandomValues(said);
        const since = performance.now();
        const heard = new Uint8Array(said.length);
        await writeAll(conn, said);
        assert.ok(await readFull(conn, heard));
        assert.deepEqual(heard, said);
        this.rounds++;
        this.slowest = Math.max(this.slowest, performance.now() - since);
        await new Promise((resolve) => setTimeout(resolve, this.pause));
      }
    } catch (error) {
      this.failed = !this.#stop.signal.aborted;
      if (error instanceof assert.AssertionError && !this.failed) return;
    } finally {
      conn.close();
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }
}

for (const way of ["stopped", "frozen", "its sessions terminated"] as const) {
  Deno.test(`an instance of two is ${way} under load: the other serves on`, async () => {
    await using stack = await startTwo({ "max-sessions": 4 });
    const { sandbox } = stack;
    const [first, second] = sandbox.instances().map(({ instanceId }) => instanceId);
    const echoes = Array.from({ length: 8 }, () => new Echo(stack));
    try {
      while (echoes.some(({ rounds }) => rounds < 5)) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.equal(sessionsOn(stack, first!).length, 2);
      assert.equal(sessionsOn(stack, second!).length, 2);

      const before = echoes.map(({ rounds }) => rounds);
      for (const echo of echoes) echo.slowest = 0;
      const since = performance.now();
      if (way === "stopped") sandbox.stopInstance(first!);
      else if (way === "frozen") sandbox.freezeInstance(first!);
      else for (const { sessionId } of sessionsOn(stack, first!)) sandbox.terminate(sessionId);

      const pages = await Promise.all(Array.from({ length: 8 }, async (_, i) => {
        await new Promise((resolve) => setTimeout(resolve, 100 * i));
        const asked = performance.now();
        await getPage(stack);
        return performance.now() - asked;
      }));
      await download(stack, { size: 1_000_000 });
      const took = performance.now() - since;
      console.log(
        `${way}: slowest of 8 pages ${Math.max(...pages).toFixed(0)} ms, ` +
          `1 MB after ${took.toFixed(0)} ms`,
      );
      assert.ok(Math.max(...pages) < 5000, `${Math.max(...pages)} ms for a page`);

      const rounds = () => echoes.map((echo, i) => echo.rounds - before[i]!);
      const living = () => echoes.filter((echo, i) => !echo.failed && rounds()[i]! > 20);
      while (living().length < 4) await new Promise((resolve) => setTimeout(resolve, 50));
      for (const { slowest } of living()) assert.ok(slowest < 1000, `${slowest} ms for an echo`);
    } finally {
      await Promise.all(echoes.map((echo) => echo.stop()));
    }
    if (way === "frozen") sandbox.freezeInstance(first!, false);
  });
}

Deno.test("when all instances have gone, the one that comes in their place is found", async () => {
  await using stack = await startTwo({ "max-sessions": 2 });
  const { sandbox } = stack;
  const [first, second] = sandbox.instances().map(({ instanceId }) => instanceId);
  sandbox.stopInstance(second!);
  await getPage(stack);
  assert.equal(sessionsOn(stack, second!).length, 0);
  sandbox.stopInstance(first!);
  for (const { sessionId } of sessionsOn(stack, first!)) sandbox.terminate(sessionId);
  await assert.rejects(getPage(stack), /reply/);
  while (sandbox.instances().find((each) => each.instanceId === second)?.state !== "stopped") {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  sandbox.startInstance(second!);
  for (let attempt = 1;; attempt++) {
    try {
      await getPage(stack);
      break;
    } catch (error) {
      if (attempt === 40) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
  assert.ok(sessionsOn(stack, second!).length > 0);
});

Deno.test("an id means one instance, whatever `instances` says", async () => {
  await using stack = await startTwo({ "name": null });
  await stack.stop();
  const [first] = stack.sandbox.instances();
  await using one = await startStack({
    sandbox: { instances: [{ name: NAME }, { name: NAME }] },
    settings: { "instances": "all" },
  });
  await Promise.all([getPage(one), getPage(one), getPage(one)]);
  const used = new Set(one.sandbox.sessions().map(({ instanceId }) => instanceId));
  assert.equal(used.size, 1, first!.name);
});
