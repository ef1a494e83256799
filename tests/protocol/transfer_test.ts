/** Bytes through the tunnel: 200 transfers at a time with random stalls. */

import assert from "node:assert/strict";
import { type Conn, connPair, systemClock, writeAll } from "../../lib/core/mod.ts";
import { settle } from "../support/fake_clock.ts";
import { cutting, pattern, random } from "../smux/bytes.ts";
import { tunnelPair } from "./pair.ts";

async function send(conn: Conn, seed: number, total: number, next: () => number): Promise<void> {
  for (let at = 0; at < total;) {
    if (next() < 0.1) await settle(Math.floor(next() * 20));
    const n = Math.min(total - at, 1 + Math.floor(next() * 60_000));
    await writeAll(conn, pattern(seed, at, n));
    at += n;
  }
  await conn.closeWrite();
}

async function receive(conn: Conn, seed: number, total: number, next: () => number): Promise<void> {
  const buffer = new Uint8Array(65_536);
  let at = 0;
  for (;;) {
    if (next() < 0.1) await settle(Math.floor(next() * 20));
    const n = await conn.read(buffer.subarray(0, 1 + Math.floor(next() * 65_535)));
    if (n === null) break;
    const expected = pattern(seed, at, n);
    for (let i = 0; i < n; i++) {
      if (buffer[i] !== expected[i]) assert.fail(`stream ${seed}: byte ${at + i} is wrong`);
    }
    at += n;
  }
  assert.equal(at, total, `stream ${seed}`);
}

Deno.test("200 transfers both ways at a time with random stalls: every byte right", async () => {
  const BYTES = 200_000;
  const served: Promise<void>[] = [];
  const [near, far] = connPair();
  using pair = await tunnelPair({
    clock: systemClock,
    conns: [cutting(near, 1), cutting(far, 2)],
    guest: {
      dial: ({ port }) => {
        const [a, b] = connPair();
        const next = random(port);
        served.push(send(b, 2 * port, BYTES, next), receive(b, 2 * port + 1, BYTES, next));
        return Promise.resolve(a);
      },
    },
  });
  await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    const port = i + 1;
    const conn = await pair.host.dial({ route: "proxy", host: "peer", port });
    const next = random(1000 + port);
    await Promise.all([
      send(conn, 2 * port + 1, BYTES, next),
      receive(conn, 2 * port, BYTES, next),
    ]);
    conn.close();
  }));
  await Promise.all(served);
  await settle();
  assert.equal(pair.guest.connections, 0);
});
