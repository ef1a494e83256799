import assert from "node:assert/strict";
import { CopyBuffer } from "../../lib/core/copy_buffer.ts";

const KIB = 1024;
/** Grows a buffer as far as it goes. */
function grown(): CopyBuffer {
  const buffer = new CopyBuffer();
  for (let i = 0; i < 5; i++) buffer.fit(buffer.bytes.byteLength, buffer.bytes.byteLength);
  return buffer;
}

Deno.test("a CopyBuffer does not grow for what is not taken in one go", () => {
  const buffer = new CopyBuffer();
  buffer.fit(8 * KIB, 8 * KIB);
  assert.equal(buffer.bytes.byteLength, 64 * KIB);
  buffer.fit(64 * KIB, 32 * KIB);
  assert.equal(buffer.bytes.byteLength, 64 * KIB);
  buffer.fit(40 * KIB, 40 * KIB);
  assert.equal(buffer.bytes.byteLength, 64 * KIB);
  buffer.fit(7 * KIB, 7 * KIB);
  buffer.fit(1, 1);
  assert.equal(buffer.bytes.byteLength, 8 * KIB);
  buffer.release();
});

Deno.test("large CopyBuffers are as many as memory bears, and come back", () => {
  for (let round = 0; round < 3; round++) {
    const buffers = Array.from({ length: 200 }, grown);
    const sizes = Map.groupBy(buffers, ({ bytes }) => bytes.byteLength / KIB);
    assert.deepEqual([...sizes].map(([kib, { length }]) => [kib, length]), [
      [1024, 16],
      [256, 64],
      [64, 120],
    ]);
    assert.equal(
      new Set(buffers.map(({ bytes }) => bytes)).size,
      200,
      "one buffer was given twice",
    );
    for (const [i, buffer] of buffers.entries()) {
      if (i % 2 === 0) buffer.release();
      else buffer.abandon();
    }
  }
});
