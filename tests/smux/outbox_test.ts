import assert from "node:assert/strict";
import { Command, type Frame, readUpdate, type SmuxVersion } from "../../lib/smux/mod.ts";
import { Outbox } from "../../lib/smux/outbox.ts";
import { StreamOutput } from "../../lib/smux/output.ts";
import { SendWindow } from "../../lib/smux/window.ts";
import { concat, framesOf, pattern, toHex } from "./bytes.ts";

const { Syn, Fin, Psh, Nop, Upd } = Command;

/** An outbox with the frames of its batches. */
function setUp(options: { maxFrameSize?: number; version?: SmuxVersion } = {}) {
  const { maxFrameSize = 100, version = 2 } = options;
  let work = 0;
  const outbox = new Outbox({ version, maxFrameSize, onWork: () => work++ });
  const batch = () => {
    const bytes = new Uint8Array(outbox.batchBytes);
    const n = outbox.fill(bytes);
    outbox.written();
    return framesOf(version, bytes.slice(0, n));
  };
  const brief = (frames: Frame[]) =>
    frames.map(({ command, streamId, payload }) => [command, streamId, payload.byteLength]);
  const output = (id: number) => new StreamOutput(id, outbox, new SendWindow());
  return { outbox, batch, brief, output, work: () => work };
}

Deno.test("streams take turns, a frame each, and a batch has several frames", () => {
  const { batch, brief, output } = setUp();
  void output(3).write(new Uint8Array(1000));
  void output(5).write(new Uint8Array(1000));
  void output(7).write(new Uint8Array(30));
  assert.deepEqual(brief(batch()), [[Psh, 3, 100], [Psh, 5, 100], [Psh, 7, 30], [Psh, 3, 100], [
    Psh,
    5,
    62,
  ]]);
  assert.deepEqual(brief(batch()).map(([, id]) => id), [3, 5, 3, 5]);
});

Deno.test("control frames go before bulk data that has waited longer", () => {
  const { outbox, batch, brief, output } = setUp();
  const bulk = output(3);
  void bulk.write(new Uint8Array(10_000));
  batch();
  const other = output(5);
  void other.announce();
  void other.write(new Uint8Array(1));
  bulk.sendUpdate({ consumed: 1, window: 2 });
  void output(7).end(true);
  outbox.addPing();
  outbox.addPing();
  assert.deepEqual(brief(batch()).slice(0, 6), [
    [Nop, 0, 0],
    [Syn, 5, 0],
    [Upd, 3, 8],
    [Fin, 7, 0],
    [Psh, 3, 100],
    [Psh, 5, 1],
  ]);
});

Deno.test("a FIN goes out behind the last byte of its stream, and before others' bulk", async () => {
  const { batch, brief, output } = setUp();
  const order: string[] = [];
  const stream = output(3);
  const write = stream.write(pattern(1, 0, 150)).then(() => order.push("written"));
  const end = stream.end(true).then(() => order.push("ended"));
  void output(5).write(new Uint8Array(10_000));
  assert.equal(stream.ended, false);
  assert.deepEqual(brief(batch()).slice(0, 4), [
    [Psh, 3, 100],
    [Psh, 5, 100],
    [Psh, 3, 50],
    [Fin, 3, 0],
  ]);
  assert.equal(stream.ended, true);
  await Promise.all([write, end]);
  assert.deepEqual(order, ["written", "ended"]);
});

Deno.test("the end of an output is reported only when it was written", async () => {
  const { outbox, output } = setUp();
  for (const withFin of [true, false]) {
    let ended = false;
    void output(3).end(withFin).then(() => ended = true);
    const size = outbox.fill(new Uint8Array(outbox.batchBytes));
    assert.equal(size, withFin ? 8 : 0);
    await Promise.resolve();
    assert.equal(ended, false);
    outbox.written();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(ended, true);
  }
});

Deno.test("of several updates the latest is sent, once", () => {
  const { batch, output } = setUp();
  const stream = output(3);
  stream.sendUpdate({ consumed: 10, window: 100 });
  stream.sendUpdate({ consumed: 20, window: 100 });
  const frames = batch();
  assert.equal(frames.length, 1);
  assert.deepEqual(readUpdate(frames[0]!.payload), { consumed: 20, window: 100 });
  stream.sendUpdate({ consumed: 30, window: 100 });
  assert.equal(readUpdate(batch()[0]!.payload).consumed, 30);
  assert.deepEqual(batch(), []);
});

Deno.test("writes that are smaller than a frame share one", async () => {
  const { batch, brief, output } = setUp();
  const stream = output(3);
  const writes = Array.from({ length: 10 }, (_, i) => stream.write(pattern(1, i * 15, 15)));
  const frames = batch();
  assert.deepEqual(brief(frames), [[Psh, 3, 100], [Psh, 3, 50]]);
  assert.deepEqual(await Promise.all(writes), Array(10).fill(15));
  assert.equal(
    toHex(concat(...frames.map(({ payload }) => payload))),
    toHex(pattern(1, 0, 150)),
  );
});

Deno.test("a stream without window waits, and does not hold up the others", () => {
  const { batch, brief, output } = setUp({ maxFrameSize: 65_535 });
  const stuck = output(3);
  void stuck.write(new Uint8Array(300_000));
  let sent = 0;
  while (sent < 262_144) sent += batch().reduce((sum, frame) => sum + frame.payload.byteLength, 0);
  assert.equal(sent, 262_144);
  assert.deepEqual(batch(), []);
  void output(5).write(new Uint8Array(9));
  assert.deepEqual(brief(batch()), [[Psh, 5, 9]]);
  stuck.window?.update({ consumed: 1, window: 262_144 });
  stuck.offer();
  assert.deepEqual(brief(batch()), [[Psh, 3, 1]]);
  // A window that shrinks while the stream has its place in the queue.
  stuck.window?.update({ consumed: 1000, window: 262_144 });
  stuck.offer();
  stuck.window?.update({ consumed: 1000, window: 1 });
  assert.deepEqual(batch(), []);
});

Deno.test("more control frames than a batch holds go out in order, data of new streams after", () => {
  const { outbox, batch, output } = setUp({ maxFrameSize: 1 });
  const all: [number, number][] = [];
  for (let id = 3; id < 103; id += 2) {
    const stream = output(id);
    void stream.announce();
    void stream.write(Uint8Array.of(id));
  }
  for (;;) {
    const frames = batch();
    if (frames.length === 0) break;
    all.push(...frames.map(({ command, streamId }) => [command, streamId] as [number, number]));
  }
  assert.equal(outbox.controlWaiting, 0);
  const ids = Array.from({ length: 50 }, (_, i) => 3 + 2 * i);
  assert.deepEqual(all, [...ids.map((id) => [Syn, id]), ...ids.map((id) => [Psh, id])]);
});

Deno.test("an aborted output leaves the queue and says so", async () => {
  const { batch, brief, output } = setUp();
  const stream = output(3);
  const write = assert.rejects(stream.write(new Uint8Array(1000)), /enough/);
  const end = assert.rejects(stream.end(true), /enough/);
  batch();
  stream.abort(new Error("enough"), [Nop, Fin]);
  await Promise.all([write, end]);
  await assert.rejects(stream.write(new Uint8Array(1)), /enough/);
  await assert.rejects(stream.end(true), /enough/);
  assert.deepEqual(brief(batch()), [[Nop, 3, 0], [Fin, 3, 0]]);
  assert.deepEqual(batch(), []);
});
