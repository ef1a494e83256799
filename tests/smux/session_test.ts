import assert from "node:assert/strict";
import { connPair, isAwsocksError, readAll, writeAll } from "../../lib/core/mod.ts";
import {
  Command,
  createSmuxSession,
  encodeFrame,
  readUpdate,
  type SmuxStream,
} from "../../lib/smux/mod.ts";
import { smuxSettings } from "../../lib/smux/options.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { pattern, toHex, update } from "./bytes.ts";
import { acceptOne, sessionPair, withRawPeer } from "./pair.ts";

const { Syn, Fin, Psh, Nop } = Command;
const closedError = { name: "AwsocksError", code: "smux-closed" };

Deno.test("stream ids: the client's are odd from 3, the server's even from 2", async () => {
  using pair = sessionPair({ version: 2 });
  const ids: number[] = [];
  for (const session of [pair.client, pair.client, pair.server, pair.server]) {
    ids.push((await session.open()).id);
  }
  assert.deepEqual(ids, [3, 5, 2, 4]);
  assert.equal((await acceptOne(pair.server)).id, 3);
  assert.equal((await acceptOne(pair.client)).id, 2);
});

Deno.test("both ends open and accept at the same time", async () => {
  using pair = sessionPair({ version: 2 });
  const echo = async (stream: SmuxStream) => {
    await writeAll(stream, await readAll(stream));
    await stream.closeWrite();
  };
  const serve = async (accepts: AsyncIterable<SmuxStream>) => {
    const all: Promise<void>[] = [];
    for await (const stream of accepts) all.push(echo(stream));
    await Promise.all(all);
  };
  const serving = Promise.all([serve(pair.client.accept()), serve(pair.server.accept())]);
  const ask = async (open: () => Promise<SmuxStream>, seed: number) => {
    const stream = await open();
    await writeAll(stream, pattern(seed, 0, 5000));
    await stream.closeWrite();
    assert.equal(toHex(await readAll(stream)), toHex(pattern(seed, 0, 5000)));
  };
  await Promise.all(
    Array.from({ length: 40 }, (_, i) => ask(() => [pair.client, pair.server][i % 2]!.open(), i)),
  );
  assert.deepEqual([pair.client.streams, pair.server.streams], [0, 0]);
  pair.client.close();
  pair.server.close();
  await serving;
});

Deno.test("frames for streams that are not there are dropped", async () => {
  for (const version of [1, 2] as const) {
    using pair = withRawPeer({ role: "server", version });
    const { session, peer } = pair;
    await peer.send(
      encodeFrame(version, Psh, 77, pattern(1, 0, 1000)),
      encodeFrame(version, Fin, 77),
      encodeFrame(version, Nop, 77),
      encodeFrame(version, Nop, 0),
      update(77, 5, 5).fill(version, 0, 1),
      encodeFrame(version, Syn, 3),
      encodeFrame(version, Syn, 3),
      encodeFrame(version, Psh, 3, pattern(3, 0, 10)),
    );
    const stream = await acceptOne(session);
    const buffer = new Uint8Array(99);
    assert.equal(await stream.read(buffer), 10);
    assert.equal(session.streams, 1);
  }
});

Deno.test("an id that was closed can be opened again", async () => {
  using pair = withRawPeer({ role: "server", version: 1 });
  const { session, peer } = pair;
  await peer.send(encodeFrame(1, Syn, 3), encodeFrame(1, Psh, 3, pattern(1, 0, 5)));
  const first = await acceptOne(session);
  await peer.send(encodeFrame(1, Fin, 3), encodeFrame(1, Syn, 3));
  await peer.send(encodeFrame(1, Psh, 3, pattern(2, 0, 5)));
  const second = await acceptOne(session);
  assert.equal(toHex(await readAll(first)), toHex(pattern(1, 0, 5)));
  first.close();
  const buffer = new Uint8Array(9);
  assert.equal(await second.read(buffer), 5);
  assert.equal(toHex(buffer.subarray(0, 5)), toHex(pattern(2, 0, 5)));
  assert.equal(session.streams, 1);
});

Deno.test("a SYN with an id that is not the peer's ends the session", async () => {
  for (const [role, id] of [["server", 2], ["client", 3], ["client", 0], ["server", 0]] as const) {
    using pair = withRawPeer({ role, version: 2 });
    await pair.peer.send(encodeFrame(2, Syn, id));
    assert.ok(isAwsocksError(await pair.session.closed, "smux-protocol-error"), `${role} ${id}`);
  }
});

Deno.test("a wrong version ends the session and every stream with the reason", async () => {
  using pair = withRawPeer({ role: "client", version: 2 });
  const { session, peer } = pair;
  const stream = await session.open();
  const read = assert.rejects(stream.read(new Uint8Array(9)), { code: "smux-protocol-error" });
  await peer.send(encodeFrame(1, Psh, 3, pattern(1, 0, 9)));
  await read;
  const reason = await session.closed;
  assert.match(String(reason?.message), /version 1 instead of 2/);
  await assert.rejects(stream.write(new Uint8Array(1)), { code: "smux-protocol-error" });
  await assert.rejects(session.open(), { code: "smux-protocol-error" });
  for await (const _ of session.accept()) assert.fail("nothing to accept");
  assert.equal(session.streams, 0);
  await peer.expect(1);
  assert.equal(await peer.next(), undefined);
});

Deno.test("close() ends streams, accepts and the connection, once", async () => {
  using pair = sessionPair({ version: 2 });
  const near = await pair.client.open();
  const far = await acceptOne(pair.server);
  const reading = assert.rejects(near.read(new Uint8Array(9)), closedError);
  const accepting = pair.client.accept()[Symbol.asyncIterator]().next();
  pair.client.close();
  pair.client.close();
  await reading;
  assert.deepEqual(await accepting, { value: undefined, done: true });
  assert.equal(await pair.client.closed, undefined);
  await assert.rejects(pair.client.open(), closedError);
  // The peer had a stream open: for it this is no plain end.
  const reason = await pair.server.closed;
  assert.ok(isAwsocksError(reason, "smux-closed"), String(reason));
  await assert.rejects(far.read(new Uint8Array(9)), closedError);
  await assert.rejects(far.write(new Uint8Array(9)), closedError);
});

Deno.test("a peer that leaves with no stream open is a plain end", async () => {
  using pair = sessionPair({ version: 2 });
  pair.client.close();
  assert.equal(await pair.server.closed, undefined);
});

Deno.test("streams that came before the end of the connection can still be taken and read", async () => {
  using pair = withRawPeer({ role: "server", version: 2 });
  const { session, peer } = pair;
  await peer.send(encodeFrame(2, Syn, 3), encodeFrame(2, Psh, 3, pattern(1, 0, 70)));
  await peer.send(encodeFrame(2, Fin, 3), encodeFrame(2, Syn, 5));
  await peer.conn.closeWrite();
  assert.ok(await session.closed);
  const accepted: SmuxStream[] = [];
  for await (const stream of session.accept()) accepted.push(stream);
  assert.deepEqual(accepted.map(({ id }) => id), [3, 5]);
  assert.equal(toHex(await readAll(accepted[0]!)), toHex(pattern(1, 0, 70)));
  await assert.rejects(readAll(accepted[1]!), closedError);
});

Deno.test("a connection that ends inside a frame is an error", async () => {
  using pair = withRawPeer({ role: "server", version: 2 });
  await pair.peer.send(encodeFrame(2, Syn, 3).subarray(0, 5));
  await pair.peer.conn.closeWrite();
  assert.match(String((await pair.session.closed)?.message), /inside a frame/);
});

Deno.test("a connection that fails gives its failure as the cause", async () => {
  const failure = new Deno.errors.ConnectionReset("gone");
  const [a] = connPair();
  const session = createSmuxSession({ ...a, read: () => Promise.reject(failure) }, {
    role: "client",
    version: 2,
  });
  const reason = await session.closed;
  assert.ok(isAwsocksError(reason, "smux-closed"));
  assert.equal(reason.cause, failure);
});

Deno.test("an end that the connection has not taken fails with it, the peer having ended before", async () => {
  const [a, b] = connPair();
  using session = createSmuxSession({ ...a, write: () => new Promise<never>(() => {}) }, {
    role: "server",
    version: 2,
    keepAlive: false,
  });
  await writeAll(b, encodeFrame(2, Syn, 3));
  const stream = await acceptOne(session);
  await writeAll(b, encodeFrame(2, Fin, 3));
  assert.equal(await stream.read(new Uint8Array(1)), null);
  const ending = assert.rejects(stream.closeWrite(), closedError);
  await settle();
  assert.equal(session.streams, 1);
  b.close();
  await ending;
});

Deno.test("an end that the connection has not taken fails with it, even after the peer's end", async () => {
  const [a, b] = connPair();
  using session = createSmuxSession({ ...a, write: () => new Promise<never>(() => {}) }, {
    role: "server",
    version: 2,
    keepAlive: false,
  });
  await writeAll(b, encodeFrame(2, Syn, 3));
  const stream = await acceptOne(session);
  const ending = assert.rejects(stream.closeWrite(), closedError);
  await writeAll(b, encodeFrame(2, Fin, 3));
  assert.equal(await stream.read(new Uint8Array(1)), null);
  assert.equal(session.streams, 0);
  b.close();
  await ending;
});

Deno.test("a stream that is over lets another have its share of the receive buffer", async () => {
  using pair = withRawPeer({ role: "server", version: 2, maxReceiveBuffer: 262_144 });
  const { session, peer } = pair;
  const windowAfter = async (id: number) => {
    await peer.send(encodeFrame(2, Syn, id));
    for (let i = 0; i < 5; i++) await peer.send(encodeFrame(2, Psh, id, new Uint8Array(40_000)));
    const stream = await acceptOne(session);
    await settle();
    assert.equal(await stream.read(new Uint8Array(200_000)), 200_000);
    const frame = (await peer.next())!;
    return { stream, window: readUpdate(frame.payload).window };
  };
  const first = await windowAfter(3);
  assert.equal(first.window, 524_288);
  assert.equal((await windowAfter(5)).window, 262_144);
  first.stream.close();
  assert.deepEqual(await peer.expect(2), [[Nop, 3, 0], [Fin, 3, 0]]);
  assert.equal((await windowAfter(7)).window, 524_288);
});

Deno.test("close() drops the streams that nobody has taken", async () => {
  using pair = withRawPeer({ role: "server", version: 2 });
  const { session, peer } = pair;
  await peer.send(encodeFrame(2, Syn, 3), encodeFrame(2, Psh, 3, pattern(1, 0, 9)));
  await settle();
  assert.equal(session.buffered, 9);
  session.close();
  assert.equal(session.buffered, 0);
  for await (const _ of session.accept()) assert.fail("nothing to accept");
});

Deno.test("open() gives up when told, and leaves no stream behind", async () => {
  // A connection that takes nothing.
  const [a] = connPair();
  using session = createSmuxSession({ ...a, write: () => new Promise<never>(() => {}) }, {
    role: "client",
    version: 2,
    keepAlive: false,
  });
  await session.open();
  const controller = new AbortController();
  const second = session.open({ signal: controller.signal });
  const third = session.open();
  await settle();
  controller.abort(new Error("enough"));
  await assert.rejects(second, /enough/);
  assert.equal(session.streams, 2);
  await assert.rejects(session.open({ signal: controller.signal }), /enough/);
  session.close();
  await assert.rejects(third, closedError);
});

Deno.test("a stream whose opening was given up is never announced", async () => {
  using pair = withRawPeer({ role: "client", version: 2 }, 1);
  const { session, peer } = pair;
  await session.open();
  await session.open();
  const controller = new AbortController();
  const third = session.open({ signal: controller.signal });
  controller.abort();
  await assert.rejects(third, { name: "AbortError" });
  const fourth = session.open();
  assert.deepEqual(await peer.expect(3), [[Syn, 3, 0], [Syn, 5, 0], [Syn, 9, 0]]);
  assert.equal((await fourth).id, 9);
});

Deno.test("streams beyond the limits are refused, the others go on", async () => {
  for (const limit of [{ maxStreams: 2 }, { acceptBacklog: 2 }]) {
    using pair = sessionPair({ version: 2, ...limit });
    const near = [await pair.client.open(), await pair.client.open(), await pair.client.open()];
    await assert.rejects(near[2]!.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
    const far = await acceptOne(pair.server);
    await writeAll(near[0]!, pattern(1, 0, 9));
    assert.equal(await far.read(new Uint8Array(99)), 9);
    assert.deepEqual([pair.client.streams, pair.server.streams], [2, 2]);
    // One that ends makes room for another.
    near[0]!.close();
    await settle();
    await (await pair.client.open()).closeWrite();
    await settle();
    assert.deepEqual([pair.client.streams, pair.server.streams], [2, 2]);
  }
});

Deno.test("version 1 refuses with a FIN", async () => {
  using pair = withRawPeer({ role: "server", version: 1, maxStreams: 0 });
  await pair.peer.send(encodeFrame(1, Syn, 3));
  assert.deepEqual(await pair.peer.expect(1), [[Fin, 3, 0]]);
});

Deno.test("keep-alive: a NOP each interval, and an error after silence", async () => {
  const clock = new FakeClock();
  using pair = withRawPeer({
    role: "client",
    version: 2,
    clock,
    keepAlive: { interval: 10_000, timeout: 30_000 },
  });
  const { session, peer } = pair;
  await clock.advance(20_000);
  assert.deepEqual(await peer.expect(2), [[Nop, 0, 0], [Nop, 0, 0]]);
  await peer.send(encodeFrame(2, Nop, 0));
  await clock.advance(20_000);
  assert.deepEqual(await peer.expect(2), [[Nop, 0, 0], [Nop, 0, 0]]);
  await clock.advance(9_999);
  await session.open();
  await clock.advance(1);
  const reason = await session.closed;
  assert.ok(isAwsocksError(reason, "smux-closed"));
  assert.equal(reason.message, "The peer was silent for 30000 ms");
  assert.equal(clock.pending, 0);
});

Deno.test("keep-alive: version 1 stands any silence, and closing stops the timer", async () => {
  const clock = new FakeClock();
  using pair = withRawPeer({ role: "client", version: 1, clock, keepAlive: smuxKeepAlive(1) });
  await clock.advance(3_600_000);
  assert.deepEqual(await pair.peer.expect(360), Array(360).fill([Nop, 0, 0]));
  pair.session.close();
  assert.equal(await pair.session.closed, undefined);
  assert.equal(clock.pending, 0);
});

function smuxKeepAlive(version: 1 | 2) {
  return smuxSettings({ role: "client", version }).keepAlive;
}

Deno.test("keep-alive: a full version 1 session does not take its own pause for silence", async () => {
  const clock = new FakeClock();
  using pair = withRawPeer({
    role: "client",
    version: 1,
    clock,
    maxReceiveBuffer: 100,
    keepAlive: { interval: 10, timeout: 30 },
  });
  const { session, peer } = pair;
  const stream = await session.open();
  await peer.send(encodeFrame(1, Psh, 3, pattern(1, 0, 100)));
  await clock.advance(100);
  assert.equal(session.streams, 1);
  assert.equal(await stream.read(new Uint8Array(200)), 100);
  await clock.advance(30);
  assert.ok(isAwsocksError(await session.closed, "smux-closed"));
});

Deno.test("version 1 stops reading at the limit and goes on as bytes are taken", async () => {
  using pair = withRawPeer({ role: "client", version: 1, maxReceiveBuffer: 10_000 });
  const { session, peer } = pair;
  const stream = await session.open();
  const total = 5_000_000;
  let sent = 0;
  const sending = (async () => {
    for (; sent < total; sent += 1000) {
      await peer.send(encodeFrame(1, Psh, 3, pattern(3, sent, 1000)));
    }
    await peer.send(encodeFrame(1, Fin, 3));
  })();
  await settle(50);
  assert.ok(session.buffered >= 10_000 && session.buffered < 150_000, `${session.buffered}`);
  // What the connection itself holds comes on top.
  assert.ok(sent < 600_000, `${sent}`);
  const got = await readAll(stream);
  await sending;
  assert.equal(got.byteLength, total);
  assert.equal(toHex(got.subarray(-100)), toHex(pattern(3, total - 100, 100)));
  assert.equal(session.buffered, 0);
});

Deno.test("options that make no sense are refused at once", () => {
  const bad = [
    { version: 3 as 2 },
    { maxFrameSize: 0 },
    { maxFrameSize: 65_536 },
    { maxFrameSize: 1.5 },
    { maxReceiveBuffer: -1 },
    { version: 1 as const, maxReceiveBuffer: 0 },
    { maxStreamBuffer: 0 },
    { maxStreamBuffer: 2 ** 31 },
    { maxStreams: -1 },
    { acceptBacklog: NaN },
    { keepAlive: { interval: 0, timeout: 10 } },
    { keepAlive: { interval: 10, timeout: 10 } },
  ];
  for (const options of bad) {
    assert.throws(
      () => smuxSettings({ role: "client", version: 2, ...options }),
      RangeError,
      JSON.stringify(options),
    );
  }
});
