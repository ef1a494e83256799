/** Bytes through the tunnel: 200 transfers at a time with random stalls, and how fast one goes. */

import assert from "node:assert/strict";
import {
  type Conn,
  connPair,
  fromDenoConn,
  relay,
  RELAY_BUFFER_BYTES,
  systemClock,
  writeAll,
} from "../../lib/core/mod.ts";
import { note } from "../support/external.ts";
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

async function socketPair(): Promise<[Conn, Conn]> {
  const path = `${await Deno.makeTempDir()}/s`;
  const listener = Deno.listen({ transport: "unix", path });
  const [a, b] = await Promise.all([listener.accept(), Deno.connect({ transport: "unix", path })]);
  listener.close();
  await Deno.remove(path.slice(0, -2), { recursive: true });
  return [fromDenoConn(a), fromDenoConn(b)];
}

/** Seconds that bytes take from one conn to another. */
async function time(from: Conn, to: Conn, bytes: number): Promise<number> {
  const begin = performance.now();
  const sending = (async () => {
    const buffer = new Uint8Array(RELAY_BUFFER_BYTES);
    for (let left = bytes; left > 0; left -= buffer.byteLength) await writeAll(from, buffer);
    await from.closeWrite();
  })();
  const buffer = new Uint8Array(RELAY_BUFFER_BYTES);
  let received = 0;
  for (let n; (n = await to.read(buffer)) !== null;) received += n;
  await sending;
  assert.equal(received, bytes);
  return (performance.now() - begin) / 1000;
}

/** A sender, a relay and a receiver, with a socket on either side of the relay. */
async function overRelay(bytes: number): Promise<number> {
  const [from, left] = await socketPair();
  const [right, to] = await socketPair();
  const relaying = relay(left, right);
  const seconds = await time(from, to, bytes);
  to.close();
  from.close();
  await relaying;
  return seconds;
}

/** The same, but what is on the first socket is the tunnel, and the relay is the guest's. */
async function overTunnel(bytes: number): Promise<number> {
  const [right, to] = await socketPair();
  using pair = await tunnelPair({
    clock: systemClock,
    conns: await socketPair(),
    guest: { dial: () => Promise.resolve(right) },
  });
  const conn = await pair.host.dial({ route: "proxy", host: "peer", port: 1 });
  const seconds = await time(conn, to, bytes);
  to.close();
  conn.close();
  await settle();
  return seconds;
}

Deno.test({
  name: "a connection through the tunnel goes at half the pace of a plain relay, at least",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const BYTES = 128 * 1024 * 1024;
    const best = { relay: Infinity, tunnel: Infinity };
    // The best of several: other work on the machine makes a run slower, never faster.
    for (let round = 0; round < 8; round++) {
      best.relay = Math.min(best.relay, await overRelay(BYTES));
      best.tunnel = Math.min(best.tunnel, await overTunnel(BYTES));
      if (round >= 2 && best.relay / best.tunnel > 0.6) break;
    }
    const pace = (seconds: number) => `${(BYTES / 1e6 / seconds).toFixed(0)} MB/s`;
    const ratio = best.relay / best.tunnel;
    await note(
      `tunnel ${pace(best.tunnel)}, plain relay ${pace(best.relay)}: ratio ${ratio.toFixed(2)}`,
    );
    assert.ok(ratio >= 0.5, `${ratio}`);
  },
});
