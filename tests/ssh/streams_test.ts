import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { coalesceWrites } from "../../lib/core/node_stream.ts";
import { WriteGate } from "../../lib/ssh/write_gate.ts";
import { settle } from "../support/fake_clock.ts";

/** A stream whose writes end when the test says so. */
function slowStream() {
  const written: string[] = [];
  let pending: (() => void) | undefined;
  const take = (text: string, callback: () => void) => {
    written.push(text);
    pending = callback;
  };
  const stream = new Duplex({
    writableHighWaterMark: 4,
    read() {},
    write(chunk, _encoding, callback) {
      take(String(chunk), callback);
    },
    writev(chunks, callback) {
      take(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)).toString(), callback);
    },
  });
  return {
    stream,
    written,
    async finishWrite() {
      const callback = pending;
      pending = undefined;
      callback?.();
      await settle();
    },
  };
}

Deno.test("coalesceWrites() waits as long as it is told to", async () => {
  for (const [later, together] of [[queueMicrotask, false], [setImmediate, true]] as const) {
    const { stream, written, finishWrite } = slowStream();
    coalesceWrites(stream, later);
    stream.write("one ");
    await Promise.resolve();
    await Promise.resolve();
    stream.write("two");
    await settle();
    await finishWrite();
    assert.deepEqual(written, together ? ["one two"] : ["one ", "two"]);
    await finishWrite();
    stream.destroy();
  }
});

Deno.test("coalesceWrites() makes one write of those of a turn", async () => {
  const { stream, written, finishWrite } = slowStream();
  coalesceWrites(stream);
  stream.write("packet ");
  stream.write("tag");
  await settle();
  assert.deepEqual(written, ["packet tag"]);
  stream.write("later");
  await finishWrite();
  assert.deepEqual(written, ["packet tag", "later"]);
  stream.end("end");
  await finishWrite();
  await finishWrite();
  assert.deepEqual(written, ["packet tag", "later", "end"]);
  assert.equal(stream.writableFinished, true);
  stream.destroy();
});

Deno.test("WriteGate lets writers pass one after the other while there is room", async () => {
  const { stream, finishWrite } = slowStream();
  const gate = new WriteGate(stream);
  const passed: number[] = [];
  const writer = async (id: number) => {
    if (!gate.open) await gate.turn();
    passed.push(id);
    stream.write("xx");
  };
  const writers = [1, 2, 3, 4, 5].map(writer);
  await settle();
  // Two bytes in flight, two more fill the stream up.
  assert.deepEqual(passed, [1, 2]);
  assert.equal(gate.open, false);
  await finishWrite();
  await finishWrite();
  assert.deepEqual(passed, [1, 2, 3, 4]);
  stream.destroy();
  await settle();
  assert.deepEqual(passed, [1, 2, 3, 4, 5]);
  await Promise.all(writers);
});
