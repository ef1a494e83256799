import assert from "node:assert/strict";
import { connPair, isAwsocksError, readAll, writeAll } from "../../lib/core/mod.ts";
import { Command, createSmuxSession, encodeFrame } from "../../lib/smux/mod.ts";
import { settle } from "../support/fake_clock.ts";
import { concat, pattern, random, update } from "./bytes.ts";
import { acceptOne, RawPeer, sessionPair, withRawPeer } from "./pair.ts";

const { Syn, Fin, Psh, Nop } = Command;

/** A frame that may be right, then maybe broken. */
function randomFrame(next: () => number): Uint8Array {
  const version = next() < 0.995 ? 2 : Math.floor(next() * 256);
  const id = next() < 0.9 ? 3 + 2 * Math.floor(next() * 4) : Math.floor(next() * 2 ** 32);
  const kind = next();
  const frame = kind < 0.35
    ? encodeFrame(2, Psh, id, pattern(1, 0, Math.floor(next() * 200)))
    : kind < 0.55
    ? encodeFrame(2, Syn, id)
    : kind < 0.65
    ? encodeFrame(2, Fin, id)
    : kind < 0.75
    ? encodeFrame(2, Nop, next() < 0.5 ? 0 : id)
    : kind < 0.9
    ? update(id, next() < 0.9 ? 0 : Math.floor(next() * 2 ** 32), Math.floor(next() * 2 ** 32))
    : Uint8Array.from({ length: 1 + Math.floor(next() * 30) }, () => next() * 256);
  frame[0] = version;
  return next() < 0.03 ? frame.subarray(0, Math.floor(next() * frame.byteLength)) : frame;
}

Deno.test("100,000 random and truncated frames: an error each session, no crash, no growth", async () => {
  const next = random(7);
  const reasons = { "smux-protocol-error": 0, "smux-closed": 0 };
  let frames = 0;
  let before = 0;
  for (let round = 0; frames < 100_000; round++) {
    const [a, b] = connPair(1 << 20);
    const session = createSmuxSession(a, { role: "server", version: 2, keepAlive: false });
    const serving = (async () => {
      for await (const stream of session.accept()) {
        void readAll(stream).catch(() => stream.close());
      }
    })();
    // Frames that were good, then one that is certainly none.
    const list = Array.from({ length: 10 }, () => randomFrame(next));
    frames += list.length;
    await writeAll(b, concat(...list, Uint8Array.of(2, 99, 0, 0, 0, 0, 0, 0)));
    await b.closeWrite();
    const reason = await session.closed;
    assert.ok(isAwsocksError(reason, "smux-protocol-error", "smux-closed"), String(reason));
    reasons[reason.code as keyof typeof reasons]++;
    await serving;
    await settle(2);
    assert.deepEqual([session.streams, session.buffered], [0, 0]);
    b.close();
    if (round === 1000) before = Deno.memoryUsage().heapUsed;
  }
  assert.ok(reasons["smux-protocol-error"] > 5000, JSON.stringify(reasons));
  const grown = Deno.memoryUsage().heapUsed - before;
  assert.ok(grown < 50_000_000, `${grown}`);
});

Deno.test("a peer that never reads holds its writers back, and nothing piles up", async () => {
  using pair = withRawPeer({ role: "client", version: 1 });
  const { session } = pair;
  let accepted = 0;
  const opened = await Promise.all(Array.from({ length: 50 }, () => session.open()));
  for (const stream of opened) {
    void (async () => {
      for (;;) accepted += await stream.write(new Uint8Array(65_536));
    })().catch(() => {});
  }
  await settle(100);
  // What the connection takes, and one batch.
  assert.ok(accepted < 1_000_000, `${accepted}`);
});

Deno.test("a peer that never reads and provokes answers is cut off", async () => {
  const floods: [string, (id: number) => Uint8Array][] = [
    ["refusals", (id) => encodeFrame(1, Syn, id)],
    ["answers to FIN", (id) => concat(encodeFrame(1, Syn, id), encodeFrame(1, Fin, id))],
  ];
  for (const [name, flood] of floods) {
    const maxStreams = name === "refusals" ? 0 : 100;
    using pair = withRawPeer({ role: "server", version: 1, maxStreams }, 1);
    const { session, peer } = pair;
    void (async () => {
      for await (const stream of session.accept()) stream.close();
    })();
    let sent = 0;
    const flooding = (async () => {
      for (let id = 3;; id += 2) {
        await peer.send(flood(id));
        sent++;
      }
    })().catch(() => {});
    const reason = await session.closed;
    assert.ok(isAwsocksError(reason, "smux-protocol-error"), `${name}: ${reason}`);
    assert.match(reason.message, /more than it reads answers to/);
    await flooding;
    assert.ok(sent < 25_000, `${name}: ${sent}`);
  }
});

Deno.test("unread bytes are bounded by streams and windows, and hurt no other stream", async () => {
  using pair = withRawPeer({ role: "server", version: 2, maxStreams: 33 });
  const { session, peer } = pair;
  for (let id = 3; id < 67; id += 2) {
    await peer.send(encodeFrame(2, Syn, id));
    for (let sent = 0; sent < 262_144; sent += 32_768) {
      await peer.send(encodeFrame(2, Psh, id, new Uint8Array(32_768)));
    }
  }
  await settle();
  assert.equal(session.buffered, 32 * 262_144);
  await peer.send(encodeFrame(2, Syn, 99), encodeFrame(2, Psh, 99, pattern(9, 0, 77)));
  await peer.send(encodeFrame(2, Fin, 99));
  const streams = [];
  for await (const stream of session.accept()) {
    streams.push(stream);
    if (stream.id === 99) break;
  }
  assert.equal((await readAll(streams.at(-1)!)).byteLength, 77);
  for (const stream of streams) stream.close();
  assert.equal(session.buffered, 0);
});

Deno.test("an acceptor that is slow gets its turn before streams are refused", async () => {
  using pair = withRawPeer({ role: "server", version: 2, acceptBacklog: 10 });
  const { session, peer } = pair;
  let taken = 0;
  void (async () => {
    for await (const _ of session.accept()) taken++;
  })();
  const all = Array.from({ length: 4000 }, (_, i) => encodeFrame(2, Syn, 3 + 2 * i));
  await peer.send(concat(...all));
  while (taken < 4000) await settle(1);
  assert.equal(session.streams, 4000);
});

Deno.test("10,000 streams opened at once and in turn leave nothing behind", async () => {
  using pair = sessionPair({ version: 2, maxStreams: 10_000 });
  const { client, server } = pair;
  void (async () => {
    for await (const stream of server.accept()) {
      void (async () => {
        await writeAll(stream, await readAll(stream));
        await stream.closeWrite();
      })();
    }
  })();
  const one = async (i: number) => {
    const stream = await client.open();
    const bytes = pattern(i, 0, 10);
    await writeAll(stream, bytes);
    await stream.closeWrite();
    assert.deepEqual(await readAll(stream), bytes);
  };
  await Promise.all(Array.from({ length: 10_000 }, (_, i) => one(i)));
  assert.deepEqual([client.streams, server.streams], [0, 0]);
  await settle();
  const before = Deno.memoryUsage().heapUsed;
  for (let i = 0; i < 10_000; i++) await one(i);
  assert.deepEqual([client.streams, server.streams], [0, 0]);
  assert.deepEqual([client.buffered, server.buffered], [0, 0]);
  const grown = Deno.memoryUsage().heapUsed - before;
  assert.ok(grown < 50_000_000, `${grown}`);
});

Deno.test("a peer that stops in the middle of everything leaves no promise hanging", async () => {
  const [a, b] = connPair();
  const session = createSmuxSession(a, { role: "server", version: 2, keepAlive: false });
  const peer = new RawPeer(b, 2);
  await peer.send(encodeFrame(2, Syn, 3), encodeFrame(2, Psh, 3, pattern(1, 0, 5)));
  const stream = await acceptOne(session);
  const waits = [
    writeAll(stream, new Uint8Array(1_000_000)),
    readAll(stream),
    stream.closeWrite(),
    Promise.all(Array.from({ length: 100_000 }, () => session.open())),
  ];
  await settle();
  b.close();
  const results = await Promise.allSettled(waits);
  assert.deepEqual(results.map(({ status }) => status), Array(4).fill("rejected"));
});
