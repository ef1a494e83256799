/** Several instances behind one Name tag: sessions on all of them, and some that go under load. */

import assert from "node:assert/strict";
import type { Target } from "../../lib/core/mod.ts";
import type { Sandbox, SandboxOptions } from "../../lib/sandbox/mod.ts";
import { type Client, startDownload, startEcho } from "../support/load.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { download, getPage } from "../support/transfers.ts";

const NAME = "web";
/** Bytes that take a session some seconds at the pace of real agents. */
const LONG_DOWNLOAD = 3_000_000;
/** Milliseconds in which a new connection must have its answer. */
const FAILOVER_LIMIT = 5000;
/** Milliseconds that are noticed on a connection in use. */
const STALL_LIMIT = 1000;

interface TwoOptions {
  readonly settings?: Record<string, unknown>;
  readonly sandbox?: SandboxOptions;
}

function startTwo({ settings, sandbox }: TwoOptions = {}): Promise<Stack> {
  return startStack({
    sandbox: { instances: [{ name: NAME }, { name: NAME }, { name: "other" }], ...sandbox },
    settings: { "instance-id": null, "name": NAME, "instances": "all", ...settings },
  });
}

const idsOf = ({ sandbox }: Stack) => sandbox.instances().map(({ instanceId }) => instanceId);

/** Live sessions of an instance. */
function sessionsOn({ sandbox }: Pick<Stack, "sandbox">, instanceId: string) {
  return sandbox.sessions().filter((each) => each.live && each.instanceId === instanceId);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Looks often; a test that waits in vain ends by the limit of the runner. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(20);
}

/** Gets the page on a new connection. @returns milliseconds */
async function timedPage(stack: Stack, target?: Target): Promise<number> {
  const since = performance.now();
  await getPage(stack, target);
  return performance.now() - since;
}

/** What can happen to an instance, worst last. */
const WAYS: readonly {
  readonly name: string;
  readonly sandbox?: SandboxOptions;
  readonly happen: (sandbox: Sandbox, instanceId: string) => void;
}[] = [
  {
    name: "loses its sessions",
    happen: (sandbox, instanceId) => {
      for (const { sessionId } of sessionsOn({ sandbox }, instanceId)) sandbox.terminate(sessionId);
    },
  },
  { name: "is stopped", happen: (sandbox, instanceId) => sandbox.stopInstance(instanceId) },
  { name: "is terminated", happen: (sandbox, id) => sandbox.terminateInstance(id) },
  {
    name: "falls silent while AWS calls it online",
    // Not even the service has noticed that the agent is gone.
    sandbox: { switches: { pace: true, publication: "off" } },
    happen: (sandbox, instanceId) => sandbox.freezeInstance(instanceId),
  },
];

for (const { name, sandbox = { switches: { pace: true } }, happen } of WAYS) {
  Deno.test(`one of two instances ${name} under load: the other serves on`, async () => {
    await using stack = await startTwo({ settings: { "max-sessions": 4 }, sandbox });
    const [first, second] = idsOf(stack) as [string, string];
    const clients: Client[] = [];
    try {
      for (let i = 0; i < 8; i++) clients.push(await startEcho(stack));
      await until(() => clients.every(({ progress }) => progress > 2));
      for (let i = 0; i < 4; i++) clients.push(await startDownload(stack, LONG_DOWNLOAD));
      await until(() => clients.every(({ progress }) => progress > 2));
      assert.equal(sessionsOn(stack, first).length, 2);
      assert.equal(sessionsOn(stack, second).length, 2);
      const survivors = clients.filter(({ instanceId }) => instanceId === second);
      for (const kind of ["echo", "download"]) {
        for (const id of [first, second]) {
          const on = clients.filter((each) => each.kind === kind && each.instanceId === id);
          assert.ok(on.length > 0, `no ${kind} on ${id}`);
        }
      }

      // What a busy machine does to all of them is not the instance's doing.
      for (const client of clients) client.reset();
      await pause(1000);
      const usual = Math.max(...clients.map(({ longestStall }) => longestStall));
      for (const client of clients) client.reset();
      happen(stack.sandbox, first);
      const pages = await Promise.all(Array.from({ length: 20 }, async (_, i) => {
        await pause(150 * i);
        return await timedPage(stack);
      }));
      await download(stack, { size: 200_000 });
      await Promise.all(survivors.map((each) => each.kind === "download" && each.done));

      const slowest = Math.max(...pages);
      const stall = Math.max(...survivors.map(({ longestStall }) => longestStall));
      console.log(
        `${name}: slowest of ${pages.length} new connections ${slowest.toFixed(0)} ms; ` +
          `longest stall of ${survivors.length} on the other instance ${stall.toFixed(0)} ms`,
      );
      assert.ok(slowest < FAILOVER_LIMIT, `${slowest} ms for a page`);
      for (const { failure } of survivors) assert.equal(failure, undefined);
      assert.ok(stall < STALL_LIMIT + 2 * usual, `${stall} ms without progress, ${usual} before`);
    } finally {
      await Promise.all(clients.map((client) => client.end()));
    }
  });
}

Deno.test("a start meets an instance that AWS calls online and that is not", async () => {
  await using stack = await startTwo({ sandbox: { switches: { publication: "off" } } });
  // The one that would be first.
  const [first] = idsOf(stack).slice(0, 2).sort();
  stack.sandbox.freezeInstance(first!);
  const took = await timedPage(stack);
  console.log(`first page after ${took.toFixed(0)} ms`);
  assert.ok(took < FAILOVER_LIMIT, `${took} ms for the first page`);
  await stack.stop();
  assert.deepEqual(stack.sandbox.sessions().filter(({ live }) => live), []);
});

Deno.test("both instances fall silent, and the one that comes in their place is found", async () => {
  await using stack = await startTwo({
    sandbox: { switches: { publication: "off" }, transitionTime: 2000, agentStartTime: 2000 },
  });
  const { sandbox } = stack;
  await getPage(stack);
  await until(() => idsOf(stack).slice(0, 2).every((id) => sessionsOn(stack, id).length > 0));
  for (const id of idsOf(stack).slice(0, 2)) sandbox.freezeInstance(id);
  const third = sandbox.launchInstance({ name: NAME });
  const waiting = timedPage(stack).catch(() => undefined);
  await until(() => sandbox.instances().at(-1)!.agentOnline);
  const since = performance.now();
  await pageAtLast(stack);
  const took = performance.now() - since;
  console.log(
    `page ${took.toFixed(0)} ms after the third was online; who waited: ${await waiting} ms`,
  );
  assert.ok(took < 2 * FAILOVER_LIMIT, `${took} ms until a page came`);
  assert.ok(sessionsOn(stack, third).length > 0);
});

Deno.test("both instances are stopped, and one of them is started again", async () => {
  await using stack = await startTwo();
  const { sandbox } = stack;
  await getPage(stack);
  const [first, second] = idsOf(stack) as [string, string];
  for (const id of [first, second]) sandbox.stopInstance(id);
  await until(() => sandbox.instances().slice(0, 2).every(({ state }) => state === "stopped"));
  sandbox.startInstance(second);
  await until(() => sandbox.instances()[1]!.agentOnline);
  const since = performance.now();
  await pageAtLast(stack);
  console.log(`page ${(performance.now() - since).toFixed(0)} ms after it was online again`);
  assert.ok(sessionsOn(stack, second).some(({ clientConnected }) => clientConnected));
});

/** Gets the page as a person does who presses reload. */
async function pageAtLast(stack: Stack): Promise<void> {
  const end = performance.now() + 30_000;
  for (;;) {
    try {
      return await getPage(stack);
    } catch (error) {
      if (performance.now() > end) throw error;
      await pause(250);
    }
  }
}

for (const publication of ["plain", "off"] as const) {
  const told = publication === "plain" ? "of which the service tells" : "that nobody has noticed";
  Deno.test(`port sessions spread over instances, and leave one ${told}`, async () => {
    await using stack = await startTwo({
      settings: { "backend": "port", "ssh-key": null },
      sandbox: { switches: { publication } },
    });
    const [first, second] = idsOf(stack) as [string, string];
    const pages = () => {
      const hosts = ["hello.sandbox.internal", "www.example.com", "10.0.1.20"];
      return Promise.all(hosts.map((host) => timedPage(stack, { host, port: 80 })));
    };
    await pages();
    const counts = [first, second].map((id) => sessionsOn(stack, id).length).sort();
    assert.deepEqual(counts, [1, 2]);
    stack.sandbox.freezeInstance(first);
    const slowest = Math.max(...await pages());
    console.log(`slowest of 3 pages ${slowest.toFixed(0)} ms`);
    assert.ok(slowest < FAILOVER_LIMIT, `${slowest} ms for a page`);
    assert.ok(sessionsOn(stack, second).length >= 3);
  });
}

Deno.test("an id means one instance, whatever `instances` says", async () => {
  await using stack = await startStack({
    sandbox: { instances: [{ name: NAME }, { name: NAME }] },
    settings: { "instances": "all" },
  });
  await Promise.all([getPage(stack), getPage(stack), getPage(stack)]);
  const used = new Set(stack.sandbox.sessions().map(({ instanceId }) => instanceId));
  assert.deepEqual(used, new Set([stack.sandbox.instanceId]));
});
