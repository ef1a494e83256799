import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteQueue } from "../../lib/smux/byte_queue.ts";
import { concat, pattern, toHex } from "./bytes.ts";

Deno.test("bytes come out as they went in", () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ push: fc.nat(9000) }) },
    { weight: 5, arbitrary: fc.record({ take: fc.nat(9000) }) },
    { weight: 1, arbitrary: fc.constant({ clear: true }) },
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const queue = new ByteQueue();
    let model: Uint8Array = new Uint8Array(0);
    let pushed = 0;
    for (const each of steps) {
      if ("push" in each) {
        const bytes = pattern(1, pushed, each.push);
        pushed += each.push;
        queue.push(bytes);
        model = concat(model, bytes);
        // The queue keeps a copy.
        bytes.fill(0);
      } else if ("take" in each) {
        const into = new Uint8Array(each.take);
        const n = queue.take(into);
        assert.equal(n, Math.min(each.take, model.byteLength));
        assert.equal(toHex(into.subarray(0, n)), toHex(model.subarray(0, n)));
        model = model.slice(n);
      } else {
        assert.equal(queue.clear(), model.byteLength);
        model = new Uint8Array(0);
      }
      assert.equal(queue.size, model.byteLength);
    }
  }));
});

Deno.test("a quarter of a million single bytes take little memory", () => {
  const queue = new ByteQueue();
  const before = Deno.memoryUsage();
  for (let i = 0; i < 262_144; i++) queue.push(Uint8Array.of(i));
  const after = Deno.memoryUsage();
  const used = after.external - before.external;
  assert.ok(used < 8_000_000, `${used}`);
  const all = new Uint8Array(300_000);
  assert.equal(queue.take(all), 262_144);
  assert.ok(all.subarray(0, 262_144).every((byte, i) => byte === i % 256));
});
