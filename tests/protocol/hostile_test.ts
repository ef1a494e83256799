/** Peers that mean harm: bounded memory, a clear error, no crash, at both ends of the tunnel. */

import assert from "node:assert/strict";
import {
  type Conn,
  connPair,
  isAwsocksError,
  readAll,
  systemClock,
  writeAll,
} from "../../lib/core/mod.ts";
import { createGuestTunnel, createHostTunnel, type GuestTunnel } from "../../lib/protocol/mod.ts";
import { encodeHeader } from "../../lib/protocol/header.ts";
import { encodeMessage, readMessage } from "../../lib/protocol/message.ts";
import { Command, createSmuxSession, encodeFrame, type SmuxSession } from "../../lib/smux/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { concat, random } from "../smux/bytes.ts";
import { guestOptions, services } from "./pair.ts";

const { Syn, Psh, Fin, Nop } = Command;

const HELLO = {
  type: "hello",
  protocol: { major: 1, minor: 0 },
  program: "someone",
  capabilities: ["proxy"],
};

const heapUsed = () => Deno.memoryUsage().heapUsed;

/** A payload that looks like what belongs on a stream, maybe broken. */
function randomPayload(next: () => number): Uint8Array {
  const kind = next();
  if (kind < 0.2) return Uint8Array.from({ length: next() * 40 }, () => next() * 256);
  const message = kind < 0.4
    ? { route: next() < 0.5 ? "proxy" : "nowhere", host: "db", port: Math.floor(next() * 70_000) }
    : kind < 0.5
    ? HELLO
    : {
      type: ["request", "response", "cancel", "notice", "what"][Math.floor(next() * 5)],
      id: Math.floor(next() * 10),
      name: ["ping", "configure", "sign", "state", "log", "time"][Math.floor(next() * 6)],
      params: next() < 0.5 ? { state: "active", now: next() } : next() * 10,
    };
  const bytes = encodeMessage(message, 10_000);
  return next() < 0.2 ? bytes.subarray(0, Math.floor(next() * bytes.byteLength)) : bytes;
}

/** A frame of the peer, maybe broken. Its ids are those of a peer in that role. */
function randomFrame(next: () => number, first: number): Uint8Array {
  const id = next() < 0.95 ? first + 2 * Math.floor(next() * 4) : Math.floor(next() * 2 ** 32);
  const kind = next();
  const frame = kind < 0.65
    ? encodeFrame(2, Psh, id, randomPayload(next))
    : kind < 0.85
    ? encodeFrame(2, Syn, id)
    : kind < 0.92
    ? encodeFrame(2, Fin, id)
    : kind < 0.97
    ? encodeFrame(2, Nop, next() < 0.5 ? 0 : id)
    : Uint8Array.from({ length: 1 + next() * 30 }, () => next() * 256);
  return next() < 0.02 ? frame.subarray(0, Math.floor(next() * frame.byteLength)) : frame;
}

Deno.test("100,000 random and truncated frames at both ends: an error each time, no crash, no growth", async () => {
  const next = random(11);
  const codes: Record<string, number> = {};
  let frames = 0;
  let established = 0;
  let before = 0;
  for (let round = 0; frames < 100_000; round++) {
    const [near, far] = connPair(1 << 20);
    const side = round % 2 === 0 ? "host" : "guest";
    const clock = new FakeClock();
    const opening = side === "host"
      ? createHostTunnel(near, { services: services(), clock })
      : createGuestTunnel(near, guestOptions({ clock }));
    // Half of the peers greet first, so that what follows finds the tunnel open.
    const greeting = next() < 0.5
      ? [
        ...(side === "guest" ? [encodeFrame(2, Syn, 3)] : []),
        encodeFrame(2, Psh, 3, encodeMessage(HELLO, 1000)),
      ]
      : [];
    if (side === "host") await settle(1); // its SYN comes first
    const list = Array.from({ length: 20 }, () => randomFrame(next, side === "host" ? 2 : 3));
    // The last one is certainly none.
    await writeAll(far, concat(...greeting, ...list, Uint8Array.of(2, 99, 0, 0, 0, 0, 0, 0)));
    await far.closeWrite();
    frames += list.length;
    let error: unknown;
    try {
      const tunnel = await opening;
      established++;
      error = await tunnel.closed;
    } catch (failure) {
      error = failure;
    }
    assert.ok(
      isAwsocksError(error, "tunnel-protocol-error", "tunnel-closed", "tunnel-incompatible"),
      String(error),
    );
    codes[error.code] = (codes[error.code] ?? 0) + 1;
    far.close();
    await settle(1);
    assert.equal(clock.pending, 0);
    if (round === 500) before = heapUsed();
  }
  assert.ok(established > 1000, `${established}`);
  assert.ok(codes["tunnel-protocol-error"]! > 3000, JSON.stringify(codes));
  assert.ok(heapUsed() - before < 60_000_000, `${heapUsed() - before}`);
});

/** A tunnel's guest and a host of which only the multiplexer is real. */
async function guestOf(
  session: SmuxSession,
  conn: Conn,
  options = {},
): Promise<[GuestTunnel, Conn]> {
  const opening = createGuestTunnel(conn, guestOptions(options));
  const control = await session.open();
  await writeAll(control, encodeMessage(HELLO, 1000));
  const guest = await opening;
  await readMessage(control, 10_000);
  return [guest, control];
}

Deno.test("10,000 streams that say nothing cost a bounded number, and end in time", async () => {
  const clock = new FakeClock();
  const [near, far] = connPair();
  using session = createSmuxSession(far, { role: "client", version: 2, keepAlive: false });
  const [guest] = await guestOf(session, near, { clock });
  const before = heapUsed();
  for (let i = 0; i < 10_000; i++) await session.open();
  await settle(50);
  assert.ok(guest.connections <= 4096, `${guest.connections}`);
  assert.ok(heapUsed() - before < 100_000_000, `${heapUsed() - before}`);
  await clock.advance(10_000);
  assert.equal(guest.connections, 0);
  guest.close();
});

Deno.test("10,000 connections in turn and at once leave nothing behind", async () => {
  const dial = () => {
    const [near, far] = connPair();
    void readAll(far).then(async (bytes) => {
      await writeAll(far, bytes);
      await far.closeWrite();
    });
    return Promise.resolve(near);
  };
  const clock = new FakeClock();
  const [near, far] = connPair();
  const [host, guest] = await Promise.all([
    createHostTunnel(near, { services: services(), clock }),
    createGuestTunnel(far, guestOptions({ clock, dial })),
  ]);
  const one = async (i: number) => {
    const conn = await host.dial({ route: "vm-direct", host: "echo", port: 1 + i % 65_535 });
    const bytes = Uint8Array.of(i, i >> 8);
    await writeAll(conn, bytes);
    await conn.closeWrite();
    assert.deepEqual(await readAll(conn), bytes);
    conn.close();
  };
  for (let i = 0; i < 1000; i++) await one(i);
  await settle();
  const before = heapUsed();
  for (let i = 0; i < 10_000; i += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, k) => one(i + k)));
  }
  await settle();
  assert.equal(guest.connections, 0);
  assert.equal(clock.pending, 4); // keep-alives of both ends, the keeper of time, the watch
  assert.ok(heapUsed() - before < 60_000_000, `${heapUsed() - before}`);
  host.close();
  guest.close();
});

Deno.test("a peer that never reads holds its writers back; logs are dropped, calls fail in time", async () => {
  const clock = new FakeClock();
  const [near, far] = connPair(1);
  let open = true;
  // Reads until the greeting is through, then no more.
  const stalling: Conn = { ...far, read: (into) => open ? far.read(into) : new Promise(() => {}) };
  using session = createSmuxSession(stalling, { role: "client", version: 2, keepAlive: false });
  const [guest] = await guestOf(session, near, { clock });
  open = false;
  await settle();
  const before = heapUsed();
  for (let i = 0; i < 100_000; i++) {
    guest.log({ time: i, level: "info", room: "ssm", message: "x".repeat(500) });
  }
  const call = guest.host.credentials({ refresh: false }, {}).catch((error) => error);
  await settle();
  assert.ok(heapUsed() - before < 30_000_000, `${heapUsed() - before}`);
  await clock.advance(300_000);
  // Silence of that length ends the session below first.
  assert.ok(isAwsocksError(await call, "timeout", "tunnel-closed"));
  guest.close();
});

Deno.test("a guest that opens streams of its own is refused them", async () => {
  const [near, far] = connPair();
  const opening = createHostTunnel(near, { services: services(), clock: new FakeClock() });
  using session = createSmuxSession(far, { role: "server", version: 2, keepAlive: false });
  const { value: control } = await session.accept()[Symbol.asyncIterator]().next();
  await writeAll(control!, encodeMessage(HELLO, 1000));
  const host = await opening;
  const stream = await session.open();
  await writeAll(stream, encodeHeader({ route: "proxy", host: "127.0.0.1", port: 22 }));
  await assert.rejects(stream.read(new Uint8Array(1)));
  assert.equal(await Promise.race([host.closed, settle().then(() => "open")]), "open");
  host.close();
});

Deno.test("a stalled destination hurts nobody else", async () => {
  const far: Conn[] = [];
  const dial = () => {
    const [a, b] = connPair();
    far.push(b);
    return Promise.resolve(a);
  };
  const [near, other] = connPair();
  const [host, guest] = await Promise.all([
    createHostTunnel(near, { services: services(), clock: systemClock }),
    createGuestTunnel(other, guestOptions({ clock: systemClock, dial })),
  ]);
  const target = { route: "proxy", host: "x", port: 1 } as const;
  const stalled = await host.dial(target);
  const writing = writeAll(stalled, new Uint8Array(10_000_000)).catch(() => {});
  await settle();
  const fine = await host.dial(target);
  const bytes = new Uint8Array(2_000_000).fill(3);
  const sending = writeAll(fine, bytes).then(() => fine.closeWrite());
  assert.equal((await readAll(far[1]!)).byteLength, bytes.byteLength);
  await sending;
  assert.ok(await host.ping() < 1000);
  host.close();
  guest.close();
  await writing;
});
