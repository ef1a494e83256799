import assert from "node:assert/strict";
import { isAwsocksError, readAll, writeAll } from "../../lib/core/mod.ts";
import { settle } from "../support/fake_clock.ts";
import { Command, encodeFrame, readUpdate } from "../../lib/smux/mod.ts";
import { concat, pattern, toHex, update } from "./bytes.ts";
import { acceptOne, sessionPair, withRawPeer } from "./pair.ts";

const { Syn, Fin, Psh, Nop, Upd } = Command;
const text = (s: string) => new TextEncoder().encode(s);
const string = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function readText(stream: { read(into: Uint8Array): Promise<number | null> }) {
  return string(await readAll(stream));
}

Deno.test("version 1 says on the wire what the vectors of the Session Manager protocol say", async () => {
  using pair = withRawPeer({ role: "client", version: 1 });
  const { session, peer } = pair;
  const seen: string[] = [];
  const expect = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const frame = (await peer.next())!;
      seen.push(toHex(encodeFrame(1, frame.command, frame.streamId, frame.payload)));
    }
  };
  const stream = await session.open();
  await writeAll(stream, text("GET / HTTP/1.0\r\n\r\n"));
  await expect(2);
  await peer.send(
    encodeFrame(1, Psh, 3, text("HTTP/1.0 200 OK\r\n\r\nhi")),
    encodeFrame(1, Fin, 3),
  );
  assert.equal(await readText(stream), "HTTP/1.0 200 OK\r\n\r\nhi");
  stream.close();
  await session.open();
  await expect(2);
  assert.deepEqual(seen, [
    "0100000003000000",
    "0102120003000000474554202f20485454502f312e300d0a0d0a",
    "0101000003000000",
    "0100000005000000",
  ]);
});

Deno.test("full close: the end of the output sends no FIN, which would cut off the answer", async () => {
  using pair = withRawPeer({ role: "client", version: 1 });
  const { session, peer } = pair;
  const stream = await session.open();
  await writeAll(stream, text("request"));
  await stream.closeWrite();
  await assert.rejects(stream.write(text("more")), Deno.errors.BrokenPipe);
  await peer.send(encodeFrame(1, Psh, 3, text("answer")), encodeFrame(1, Fin, 3));
  assert.equal(await readText(stream), "answer");
  assert.deepEqual(await peer.expect(3), [[Syn, 3, 0], [Psh, 3, 7], [Fin, 3, 0]]);
  assert.equal(session.streams, 0);
});

Deno.test("full close: after the peer's FIN writes fail, and ending the output is no fault", async () => {
  using pair = withRawPeer({ role: "client", version: 1 });
  const { session, peer } = pair;
  const stream = await session.open();
  await peer.send(encodeFrame(1, Psh, 3, text("bye")), encodeFrame(1, Fin, 3));
  assert.equal(await readText(stream), "bye");
  await assert.rejects(stream.write(text("more")), Deno.errors.BrokenPipe);
  await stream.closeWrite();
  stream.close();
  assert.deepEqual(await peer.expect(2), [[Syn, 3, 0], [Fin, 3, 0]]);
});

Deno.test("full close: close() sends one FIN and drops what comes after", async () => {
  using pair = withRawPeer({ role: "client", version: 1 });
  const { session, peer } = pair;
  const stream = await session.open();
  const other = await session.open();
  stream.close();
  stream.close();
  assert.equal(await stream.read(new Uint8Array(9)), null);
  await peer.send(encodeFrame(1, Psh, 3, text("late")), encodeFrame(1, Fin, 3));
  await peer.send(encodeFrame(1, Psh, 5, text("kept")), encodeFrame(1, Fin, 5));
  assert.equal(await readText(other), "kept");
  assert.deepEqual(await peer.expect(4), [[Syn, 3, 0], [Syn, 5, 0], [Fin, 3, 0], [Fin, 5, 0]]);
});

Deno.test("half-close: each end goes on until both have ended", async () => {
  using pair = sessionPair({ version: 2 });
  const { client, server } = pair;
  const near = await client.open();
  const far = await acceptOne(server);
  await writeAll(near, text("question"));
  await near.closeWrite();
  await near.closeWrite();
  assert.equal(await readText(far), "question");
  assert.equal(await far.read(new Uint8Array(1)), null);
  assert.deepEqual([client.streams, server.streams], [1, 1]);
  await writeAll(far, text("answer"));
  await far.closeWrite();
  assert.equal(await readText(near), "answer");
  assert.deepEqual([client.streams, server.streams], [0, 0]);
  near.close();
  far.close();
  await assert.rejects(near.write(text("x")), Deno.errors.BrokenPipe);
});

Deno.test("half-close: closing a stream that has ended both ways says nothing more", async () => {
  using pair = withRawPeer({ role: "client", version: 2 });
  const { session, peer } = pair;
  const stream = await session.open();
  await stream.closeWrite();
  await peer.send(encodeFrame(2, Psh, 3, text("unread")), encodeFrame(2, Fin, 3));
  await settle();
  assert.equal(session.streams, 0);
  assert.equal(stream.buffered, 6);
  stream.close();
  assert.equal(session.buffered, 0);
  await session.open();
  assert.deepEqual(await peer.expect(3), [[Syn, 3, 0], [Fin, 3, 0], [Syn, 5, 0]]);
});

Deno.test("abort: the peer reads what was sent, then an error, and its writes fail", async () => {
  using pair = sessionPair({ version: 2 });
  const near = await pair.client.open();
  const far = await acceptOne(pair.server);
  await writeAll(near, text("half an ans"));
  near.close();
  const buffer = new Uint8Array(64);
  const n = await far.read(buffer);
  assert.equal(string(buffer.subarray(0, n!)), "half an ans");
  await assert.rejects(far.read(buffer), Deno.errors.ConnectionReset);
  await assert.rejects(far.write(text("x")), Deno.errors.ConnectionReset);
  await assert.rejects(far.closeWrite(), Deno.errors.ConnectionReset);
  far.close();
  assert.equal(await far.read(buffer), null);
  assert.deepEqual([pair.client.streams, pair.server.streams], [0, 0]);
});

Deno.test("abort after the output ended: the peer's input is whole, its writer is freed", async () => {
  using pair = sessionPair({ version: 2 });
  const near = await pair.client.open();
  const far = await acceptOne(pair.server);
  await writeAll(near, text("all"));
  await near.closeWrite();
  // Far more than a window: it waits until the reader is gone.
  const stuck = assert.rejects(writeAll(far, new Uint8Array(2_000_000)), {
    name: "ConnectionReset",
  });
  await settle();
  near.close();
  await stuck;
  assert.equal(await readText(far), "all");
});

Deno.test("abort: a Go peer sees a FIN and a NOP that it ignores", async () => {
  using pair = withRawPeer({ role: "client", version: 2 });
  const { session, peer } = pair;
  const broken = await session.open();
  const ended = await session.open();
  await ended.closeWrite();
  broken.close();
  ended.close();
  assert.deepEqual(await peer.expect(6), [
    [Syn, 3, 0],
    [Syn, 5, 0],
    [Fin, 5, 0],
    [Nop, 3, 0],
    [Fin, 3, 0],
    [Nop, 5, 0],
  ]);
});

Deno.test("what waits to be written is lost by close() and the writer learns it", async () => {
  using pair = sessionPair({ version: 2 });
  const near = await pair.client.open();
  const far = await acceptOne(pair.server);
  const write = assert.rejects(writeAll(near, pattern(1, 0, 1_000_000)), Deno.errors.BrokenPipe);
  await settle();
  near.close();
  await write;
  const got: Uint8Array[] = [];
  const buffer = new Uint8Array(65_536);
  await assert.rejects(async () => {
    for (;;) {
      const n = await far.read(buffer);
      assert.notEqual(n, null);
      got.push(buffer.slice(0, n!));
    }
  }, Deno.errors.ConnectionReset);
  const all = concat(...got);
  assert.equal(all.byteLength, 262_144);
  assert.equal(toHex(all), toHex(pattern(1, 0, 262_144)));
});

Deno.test("the sender keeps to the peer's window, wherever it is moved", async () => {
  using pair = withRawPeer({ role: "client", version: 2 });
  const { session, peer } = pair;
  const stream = await session.open();
  let done = false;
  const write = writeAll(stream, new Uint8Array(300_000)).then(() => done = true);
  const take = async (bytes: number) => {
    let seen = 0;
    while (seen < bytes) seen += (await peer.next())!.payload.byteLength;
    assert.equal(seen, bytes);
    await settle();
  };
  await take(262_144);
  await peer.send(update(3, 262_144, 1000));
  await take(1000);
  await peer.send(update(3, 262_144, 1000), update(3, 262_644, 500));
  await settle();
  assert.equal(done, false);
  await peer.send(update(3, 263_144, 100_000));
  await take(300_000 - 263_144);
  await write;
});

Deno.test("the receiver tells what it has consumed, at first and then by halves", async () => {
  using pair = withRawPeer({ role: "server", version: 2, maxStreamBuffer: 10_000 });
  const { session, peer } = pair;
  await peer.send(encodeFrame(2, Syn, 3), encodeFrame(2, Psh, 3, pattern(3, 0, 10_000)));
  const stream = await acceptOne(session);
  await settle();
  const buffer = new Uint8Array(1000);
  for (let i = 0; i < 10; i++) assert.equal(await stream.read(buffer), 1000);
  const updates = [];
  for (let i = 0; i < 2; i++) {
    const frame = (await peer.next())!;
    assert.deepEqual([frame.command, frame.streamId], [Upd, 3]);
    updates.push(readUpdate(frame.payload));
  }
  // One batch can hold only the latest: they may be fewer than the reads that made them.
  assert.equal(updates.at(-1)!.window, 10_000);
  assert.ok(updates.at(-1)!.consumed >= 6000, JSON.stringify(updates));
});

Deno.test("a peer that overruns its window ends the session", async () => {
  using pair = withRawPeer({ role: "server", version: 2 });
  const { session, peer } = pair;
  await peer.send(encodeFrame(2, Syn, 3));
  const stream = await acceptOne(session);
  for (let sent = 0; sent < 262_144; sent += 32_768) {
    await peer.send(encodeFrame(2, Psh, 3, pattern(3, sent, 32_768)));
  }
  await settle();
  assert.equal(stream.buffered, 262_144);
  await peer.send(encodeFrame(2, Psh, 3, new Uint8Array(1)));
  const reason = await session.closed;
  assert.ok(isAwsocksError(reason, "smux-protocol-error"), String(reason));
  assert.match(reason.message, /more than its window on stream 3/);
  // What came before can still be read.
  const whole = new Uint8Array(262_144);
  assert.equal(await stream.read(whole), 262_144);
  assert.equal(toHex(whole.subarray(0, 64)), toHex(pattern(3, 0, 64)));
  await assert.rejects(stream.read(whole), reason);
});

Deno.test("an update for bytes that were never sent ends the session", async () => {
  using pair = withRawPeer({ role: "client", version: 2 });
  await pair.session.open();
  await pair.peer.send(update(3, 1, 1));
  assert.ok(isAwsocksError(await pair.session.closed, "smux-protocol-error"));
});

Deno.test("several frames fill a read that waits, across concurrent readers", async () => {
  using pair = withRawPeer({ role: "server", version: 2 });
  const { session, peer } = pair;
  await peer.send(encodeFrame(2, Syn, 3));
  const stream = await acceptOne(session);
  const one = new Uint8Array(10);
  const two = new Uint8Array(10);
  const reads = Promise.all([stream.read(one), stream.read(two)]);
  await settle();
  await peer.send(concat(
    encodeFrame(2, Psh, 3, text("abcd")),
    encodeFrame(2, Psh, 3, text("efgh")),
    encodeFrame(2, Psh, 3, text("ijkl")),
  ));
  assert.deepEqual(await reads, [10, 2]);
  assert.equal(string(one) + string(two.subarray(0, 2)), "abcdefghijkl");
  assert.equal(await stream.read(new Uint8Array(0)), 0);
  assert.equal(await stream.write(new Uint8Array(0)), 0);
});

Deno.test("writes of one stream keep their order, without waiting for each other", async () => {
  using pair = sessionPair({ version: 1, maxFrameSize: 7 });
  const near = await pair.client.open();
  const far = await acceptOne(pair.server);
  const parts = Array.from({ length: 50 }, (_, i) => pattern(1, i * 11, 11));
  await Promise.all(parts.map((part) => writeAll(near, part)));
  const got = new Uint8Array(550);
  let n = 0;
  while (n < 550) n += (await far.read(got.subarray(n)))!;
  assert.equal(toHex(got), toHex(pattern(1, 0, 550)));
});
