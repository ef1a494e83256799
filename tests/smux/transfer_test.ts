import assert from "node:assert/strict";
import { DenoConn, writeAll } from "../../lib/core/mod.ts";
import type { SmuxSession, SmuxStream } from "../../lib/smux/mod.ts";
import { createSmuxSession } from "../../lib/smux/mod.ts";
import { smuxSettings } from "../../lib/smux/options.ts";
import { Session } from "../../lib/smux/session.ts";
import { connPair } from "../../lib/core/mod.ts";
import { settle } from "../support/fake_clock.ts";
import { cutting, pattern, random } from "./bytes.ts";
import { acceptOne, sessionPair } from "./pair.ts";

async function send(stream: SmuxStream, seed: number, total: number, next: () => number) {
  for (let at = 0; at < total;) {
    if (next() < 0.1) await settle(Math.floor(next() * 20));
    const n = Math.min(total - at, 1 + Math.floor(next() * 60_000));
    await writeAll(stream, pattern(seed, at, n));
    at += n;
  }
}

async function receive(stream: SmuxStream, seed: number, total: number, next: () => number) {
  const buffer = new Uint8Array(65_536);
  let at = 0;
  while (at < total) {
    if (next() < 0.1) await settle(Math.floor(next() * 20));
    const n = await stream.read(buffer.subarray(0, 1 + Math.floor(next() * 65_535)));
    assert.notEqual(n, null, `stream ${stream.id} ends after ${at}`);
    const expected = pattern(seed, at, n!);
    assert.ok(same(buffer, expected, n!), `stream ${stream.id}, from byte ${at}`);
    at += n!;
  }
  assert.equal(await stream.read(buffer), null);
}

function same(a: Uint8Array, b: Uint8Array, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

async function transfers(client: SmuxSession, server: SmuxSession, count: number, bytes: number) {
  const serve = async (stream: SmuxStream) => {
    const next = random(stream.id);
    await Promise.all([
      send(stream, 2 * stream.id, bytes, next).then(() => stream.closeWrite()),
      receive(stream, 2 * stream.id + 1, bytes, next),
    ]);
  };
  const served: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const stream of server.accept()) {
      served.push(serve(stream));
      if (served.length === count) break;
    }
  })();
  await Promise.all(Array.from({ length: count }, async () => {
    const stream = await client.open();
    const next = random(stream.id);
    await Promise.all([
      send(stream, 2 * stream.id + 1, bytes, next).then(() => stream.closeWrite()),
      receive(stream, 2 * stream.id, bytes, next),
    ]);
    stream.close();
  }));
  await accepting;
  await Promise.all(served);
  await settle();
}

Deno.test("200 parallel transfers with random stalls, version 2: every byte right", async () => {
  using pair = sessionPair({ version: 2 }, cutting);
  await transfers(pair.client, pair.server, 200, 400_000);
  assert.deepEqual([pair.client.streams, pair.server.streams], [0, 0]);
  assert.deepEqual([pair.client.buffered, pair.server.buffered], [0, 0]);
});

Deno.test("200 parallel transfers with random stalls, version 1: every byte right", async () => {
  using pair = sessionPair({ version: 1, halfClose: true }, cutting);
  await transfers(pair.client, pair.server, 200, 200_000);
});

Deno.test("one stalled reader holds up nobody else", async () => {
  using pair = sessionPair({ version: 2 });
  const stalled = await pair.client.open();
  const far = await acceptOne(pair.server);
  let taken = 0;
  const writing = (async () => {
    for (;;) taken += await stalled.write(new Uint8Array(10_000));
  })().catch(() => {});
  await settle();
  assert.ok(taken <= 262_144, `${taken}`);
  await transfers(pair.client, pair.server, 20, 1_000_000);
  assert.equal(far.buffered, 262_144);
  stalled.close();
  await writing;
});

Deno.test("counters wrap at 4 GiB in the middle of a transfer", async () => {
  const [a, b] = connPair();
  const settings = (role: "client" | "server") => ({
    ...smuxSettings({ role, version: 2, keepAlive: false, maxStreamBuffer: 100_000 }),
    counterStart: 2 ** 32 - 1_000_000,
  });
  using client = new Session(a, settings("client"));
  using server = new Session(b, settings("server"));
  await transfers(client, server, 3, 3_000_000);
  assert.deepEqual([client.streams, server.streams], [0, 0]);
});

Deno.test({
  name: "over a Unix socket",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const dir = await Deno.makeTempDir();
    const path = `${dir}/s`;
    try {
      using listener = Deno.listen({ transport: "unix", path });
      const [accepted, connected] = await Promise.all([
        listener.accept(),
        Deno.connect({ transport: "unix", path }),
      ]);
      using client = createSmuxSession(new DenoConn(connected), { role: "client", version: 2 });
      using server = createSmuxSession(new DenoConn(accepted), { role: "server", version: 2 });
      await transfers(client, server, 10, 1_000_000);
      client.close();
      assert.equal(await server.closed, undefined);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});
