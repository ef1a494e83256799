/** What is left of connections when they are gone, and of the proxy when it stops: nothing. */

import assert from "node:assert/strict";
import { readFull, writeAll } from "../../lib/core/mod.ts";
import { eventually } from "../proxy/loopback.ts";
import { collectGarbage, openDescriptors } from "../support/memory.ts";
import { connectThrough, type Stack, startStack } from "../support/stack.ts";
import { download, getPage, SITE } from "../support/transfers.ts";

const ECHO = { ...SITE, port: 7 };

/** Counts the channels that are open at the instance. */
function countChannels({ sandbox }: Stack) {
  let open = 0;
  const listener = sandbox.on((event) => {
    if (event.type === "direct-tcpip" && event.result === "open") open++;
    if (event.type === "channel-closed") open--;
  });
  return {
    get open() {
      return open;
    },
    [Symbol.dispose]: () => listener[Symbol.dispose](),
  };
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

async function assertIdle(stack: Stack, channels: { readonly open: number }): Promise<void> {
  await eventually(() => stack.manager.stats().active === 0, "no client is connected");
  await eventually(() => channels.open === 0, "no channel is open");
}

Deno.test({
  name: "500 short connections leave no channel, no descriptor and no memory behind",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using stack = await startStack({ settings: { "max-sessions": 1 } });
    using channels = countChannels(stack);
    const some = async (connections: number) => {
      for (let i = 0; i < connections; i += 10) {
        await Promise.all(range(10).map(() => getPage(stack)));
      }
      await assertIdle(stack, channels);
      collectGarbage();
      return { fds: openDescriptors(), heap: Deno.memoryUsage().heapUsed };
    };
    // What is loaded and compiled on first use is no leak.
    await some(100);
    const before = await some(100);
    const after = await some(500);
    assert.ok(after.fds <= before.fds, `descriptors: ${before.fds}, then ${after.fds}`);
    const growth = after.heap - before.heap;
    assert.ok(growth < 500 * 2048, `memory grew by ${growth} bytes`);
    assert.equal(stack.sandbox.sessions().length, 1);
  },
});

Deno.test("100 connections at a time get each its own bytes", async () => {
  await using stack = await startStack();
  using channels = countChannels(stack);
  await Promise.all(range(100).map((seed) => download(stack, { size: 64 * 1024, seed })));
  await assertIdle(stack, channels);
  assert.equal(stack.manager.stats().accepted, 100);
  assert.equal(stack.manager.stats().failed, 0);
});

/** A client that asks for a destination and leaves without waiting for the answer. */
async function askAndLeave({ proxy }: Stack, host: string): Promise<void> {
  const tcp = await Deno.connect({ hostname: proxy.host, port: proxy.port });
  const name = new TextEncoder().encode(host);
  const greeting = [5, 1, 0];
  await tcp.write(Uint8Array.of(...greeting, 5, 1, 0, 3, name.length, ...name, 0, 80));
  // The choice of method: the request is being served.
  await tcp.read(new Uint8Array(2));
  tcp.close();
}

Deno.test("clients that vanish while their destination is dialled leave nothing behind", async () => {
  await using stack = await startStack({ sandbox: { connectTimeout: 300 } });
  using channels = countChannels(stack);
  await getPage(stack);
  const hosts = ["blackhole.sandbox.internal", SITE.host, "refused.sandbox.internal"];
  await Promise.all(range(60).map((i) => askAndLeave(stack, hosts[i % hosts.length]!)));
  await assertIdle(stack, channels);
  await getPage(stack);
  await assertIdle(stack, channels);
});

Deno.test("clients that vanish while the session is started leave it to the next", async () => {
  await using stack = await startStack({
    sandbox: { switches: { agentDelay: 500 } },
    settings: { "max-sessions": 1 },
  });
  using channels = countChannels(stack);
  await Promise.all(range(20).map(() => askAndLeave(stack, SITE.host)));
  await eventually(() => stack.manager.stats().active === 0, "no client is connected");
  assert.notEqual(stack.backend.state, "active");
  await getPage(stack);
  await assertIdle(stack, channels);
  assert.equal(stack.sandbox.sessions().length, 1);
});

/** Bound of a clean end, in milliseconds. */
const STOP_LIMIT = 5000;

const STOPS: Readonly<Record<string, (stack: Stack) => void>> = {
  "": () => {},
  ", while its session resumes": ({ sandbox }) => {
    sandbox.setFaults({ refuseResume: 60_000 });
    assert.equal(sandbox.cut({ mode: "abrupt" }), 1);
  },
  ", while the API throttles": ({ sandbox }) => sandbox.setFaults({ throttle: 1 }),
  ", while nothing comes through": ({ sandbox }) => sandbox.setFaults({ drop: 1 }),
};

for (const [when, arrange] of Object.entries(STOPS)) {
  Deno.test(`a stop in mid-transfer${when} is over in time, every session terminated`, async () => {
    await using stack = await startStack();
    const conn = await connectThrough(stack, { ...SITE, port: 19 });
    assert.ok(await readFull(conn, new Uint8Array(2_000_000)));
    const reading = (async () => {
      const buffer = new Uint8Array(64 * 1024);
      while (await conn.read(buffer).catch(() => null) !== null);
    })();
    arrange(stack);
    const since = performance.now();
    await stack.stop();
    const ms = performance.now() - since;
    assert.ok(ms < STOP_LIMIT, `${ms} ms`);
    await reading;
    conn.close();
    assert.equal(stack.backend.state, "closed");
    await eventually(() => stack.sandbox.sessions().every(({ live }) => !live), "no live session");
  });
}

Deno.test("a stop while a session is started terminates it too", async () => {
  await using stack = await startStack({ sandbox: { switches: { agentDelay: 60_000 } } });
  const { promise, resolve } = Promise.withResolvers<void>();
  using _started = stack.sandbox.on(({ type }) => type === "session-started" && resolve());
  const asking = assert.rejects(getPage(stack));
  await promise;
  await stack.stop();
  await asking;
  assert.deepEqual(stack.sandbox.sessions().map(({ live }) => live), [false]);
});

Deno.test("an idle and an active connection live through 30 hourly closes of the WebSocket", async () => {
  await using stack = await startStack({ settings: { "max-sessions": 1 } });
  const { sandbox } = stack;
  const [idle, active] = [await connectThrough(stack, ECHO), await connectThrough(stack, ECHO)];
  const say = async (conn: typeof idle, text: string) => {
    const bytes = new TextEncoder().encode(text);
    await writeAll(conn, bytes);
    const back = new Uint8Array(bytes.length);
    assert.ok(await readFull(conn, back));
    assert.equal(new TextDecoder().decode(back), text);
  };
  for (const hour of range(30)) {
    const { promise: resumed, resolve } = Promise.withResolvers<void>();
    using _events = sandbox.on((event) => event.type === "websocket-opened" && resolve());
    const talking = say(active, `hour ${hour}`);
    assert.equal(sandbox.cut({ mode: "bye" }), 1);
    await Promise.all([resumed, talking]);
  }
  await say(idle, "still here");
  for (const conn of [idle, active]) conn.close();
  const [session, ...others] = sandbox.sessions();
  assert.deepEqual(others, []);
  assert.equal(session!.counters.webSockets, 31);
  assert.equal(stack.backend.state, "active");
});
