import assert from "node:assert/strict";
import fc from "fast-check";
import { isAwsocksError } from "../../lib/core/mod.ts";
import {
  encodeFrame,
  type Frame,
  FRAME_HEADER_BYTES,
  FrameReader,
  FrameType,
  FrameWriter,
  MAX_FRAME_DATA_BYTES,
} from "../../lib/exec/frames.ts";
import { sourceOf } from "./support.ts";

const types = fc.constantFrom(...Object.values(FrameType));
const frames = fc.array(
  fc.record(
    { type: types, data: fc.uint8Array({ maxLength: 300 }) },
    { noNullPrototype: true },
  ),
  { maxLength: 20 },
);
const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 10 });

function join(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

async function readAllFrames(reader: FrameReader): Promise<Frame[]> {
  const all: Frame[] = [];
  for (let frame; (frame = await reader.read());) {
    all.push({ type: frame.type, data: frame.data.slice() });
  }
  return all;
}

function isProtocolError(error: unknown): boolean {
  return isAwsocksError(error, "exec-protocol-error");
}

Deno.test("encodeFrame() writes TYPE, LENGTH little-endian, DATA", () => {
  const data = new TextEncoder().encode("ls -l");
  assert.deepEqual(
    [...encodeFrame({ type: FrameType.Command, data })],
    [0, 5, 0, ...data],
  );
  assert.deepEqual([...encodeFrame({ type: FrameType.Stdin, data: new Uint8Array(0) })], [3, 0, 0]);
  const long = encodeFrame({ type: FrameType.Stderr, data: new Uint8Array(0x1234) });
  assert.deepEqual([...long.subarray(0, 3)], [2, 0x34, 0x12]);
  const longest = encodeFrame({ type: FrameType.Stdout, data: new Uint8Array(65_535) });
  assert.deepEqual([...longest.subarray(0, 3)], [1, 0xff, 0xff]);
});

Deno.test("encodeFrame() refuses what LENGTH cannot say", () => {
  const data = new Uint8Array(MAX_FRAME_DATA_BYTES + 1);
  assert.throws(() => encodeFrame({ type: FrameType.Command, data }), RangeError);
});

Deno.test("FrameReader gives back any frames, however the stream is cut", async () => {
  await fc.assert(fc.asyncProperty(frames, sizes, async (given, cuts) => {
    const reader = new FrameReader(sourceOf(join(given.map(encodeFrame)), cuts));
    assert.deepEqual(await readAllFrames(reader), given);
  }));
});

Deno.test("FrameReader takes frames of every length around its buffer's", async () => {
  const lengths = [0, 1, 65_534, 65_535, 65_535, 2, 65_535, 0, 40_000, 40_000, 40_000];
  const given = lengths.map((length, index) => ({
    type: FrameType.Stdout,
    data: new Uint8Array(length).fill(index + 1),
  }));
  for (const cut of [1000, 65_535, 65_538, 1_000_000]) {
    const reader = new FrameReader(sourceOf(join(given.map(encodeFrame)), [cut]));
    assert.deepEqual(await readAllFrames(reader), given);
  }
});

Deno.test("FrameReader reports every truncation but those between frames", async () => {
  const given = [
    { type: FrameType.Command, data: new Uint8Array([1, 2, 3]) },
    { type: FrameType.Stdin, data: new Uint8Array(0) },
    { type: FrameType.Stdin, data: new Uint8Array(5) },
  ];
  const bytes = join(given.map(encodeFrame));
  const ends = new Set([0, 6, 9, 17]);
  for (let length = 0; length <= bytes.byteLength; length++) {
    const reader = new FrameReader(sourceOf(bytes.subarray(0, length), [4]));
    if (ends.has(length)) await readAllFrames(reader);
    else await assert.rejects(readAllFrames(reader), isProtocolError, `${length} bytes`);
  }
});

Deno.test("FrameReader refuses an unknown type before the rest has come", async () => {
  for (const type of [5, 6, 0x7f, 0x80, 0xff]) {
    let calls = 0;
    const reader = new FrameReader({
      read: (into) => {
        calls++;
        into[0] = type;
        return Promise.resolve(1);
      },
    });
    await assert.rejects(reader.read(), isProtocolError);
    assert.equal(calls, 1);
  }
});

Deno.test("FrameReader makes of random bytes frames or an error, never anything else", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), sizes, async (bytes, cuts) => {
      const reader = new FrameReader(sourceOf(bytes, cuts));
      let taken = 0;
      try {
        for (let frame; (frame = await reader.read());) {
          taken += FRAME_HEADER_BYTES + frame.data.byteLength;
        }
        assert.equal(taken, bytes.byteLength);
      } catch (error) {
        assert.ok(isProtocolError(error), String(error));
        assert.ok(taken < bytes.byteLength);
      }
    }),
  );
});

Deno.test("FrameWriter splits what is longer than a frame", async () => {
  const lengths = [0, 1, 65_535, 65_536, 131_070, 200_000];
  for (const length of lengths) {
    const sent: Uint8Array[] = [];
    const writer = new FrameWriter({
      write: (data) => {
        sent.push(data.slice(0, 40_000)); // takes a part only
        return Promise.resolve(Math.min(data.byteLength, 40_000));
      },
    });
    const data = crypto.getRandomValues(new Uint8Array(65_536)).slice(0, Math.min(length, 65_536));
    const all = new Uint8Array(length);
    all.set(data);
    await writer.write(FrameType.Stdout, all);
    const got = await readAllFrames(new FrameReader(sourceOf(join(sent), [8192])));
    assert.equal(got.length, Math.max(1, Math.ceil(length / 65_535)));
    assert.ok(got.every(({ type }) => type === FrameType.Stdout));
    assert.deepEqual(join(got.map((frame) => frame.data)), all);
  }
});

Deno.test("FrameWriter keeps frames of several callers whole", async () => {
  const sent: Uint8Array[] = [];
  const writer = new FrameWriter({
    write: async (data) => {
      await Promise.resolve();
      const n = Math.min(data.byteLength, 7);
      sent.push(data.slice(0, n));
      return n;
    },
  });
  await Promise.all(
    [1, 2, 3, 4].map((value) => writer.write(FrameType.Stderr, new Uint8Array(50).fill(value))),
  );
  const got = await readAllFrames(new FrameReader(sourceOf(join(sent), [100])));
  assert.deepEqual(
    got.map(({ data }) => data),
    [1, 2, 3, 4].map((n) => new Uint8Array(50).fill(n)),
  );
});

Deno.test("FrameWriter writes nothing more after a failure", async () => {
  let calls = 0;
  const writer = new FrameWriter({
    write: () => {
      calls++;
      return Promise.reject(new Error("gone"));
    },
  });
  const data = new Uint8Array(1);
  await assert.rejects(writer.write(FrameType.Stdin, data), /gone/);
  await assert.rejects(writer.write(FrameType.Stdin, data), /gone/);
  assert.equal(calls, 1);
});
