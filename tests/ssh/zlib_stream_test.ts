import assert from "node:assert/strict";
import fc from "fast-check";
import zlib from "node:zlib";
import { Buffer } from "node:buffer";
import { loadZlib, ZLIB_CODECS, type ZlibCodec } from "../../lib/ssh/zlib_stream.ts";

const LIMIT = 1024 * 1024;

for (const [name, load] of Object.entries(ZLIB_CODECS)) {
  Deno.test(`${name}: packets come out one by one as they went in`, async () => {
    const codec = await load();
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 5000 })), (packets) => {
        const deflate = codec.deflate();
        const inflate = codec.inflate(LIMIT);
        for (const packet of packets) {
          const packed = deflate.write(packet);
          assert.ok(packed.byteLength > 0);
          assert.deepEqual(new Uint8Array(inflate.write(packed)), packet);
        }
        deflate.close();
        inflate.close();
      }),
      { numRuns: 50 },
    );
  });

  Deno.test(`${name}: the context lasts from packet to packet`, async () => {
    const codec = await load();
    const deflate = codec.deflate();
    const packet = crypto.getRandomValues(new Uint8Array(1000));
    const first = deflate.write(packet).byteLength;
    const second = deflate.write(packet).byteLength;
    assert.ok(first >= 1000);
    assert.ok(second < 50, `${second} bytes`);
    deflate.close();
  });

  Deno.test(`${name}: packets of any size around its buffers survive`, async () => {
    const codec = await load();
    const deflate = codec.deflate();
    const inflate = codec.inflate(LIMIT);
    for (const size of [65535, 65536, 65537, 131072, 262144, LIMIT]) {
      const random = Buffer.alloc(size);
      for (let at = 0; at < size; at += 65536) {
        crypto.getRandomValues(random.subarray(at, Math.min(size, at + 65536)));
      }
      for (const packet of [random, Buffer.alloc(size, "text ")]) {
        assert.ok(inflate.write(deflate.write(packet)).equals(packet), `${size} bytes`);
      }
    }
    deflate.close();
    inflate.close();
  });

  Deno.test(`${name}: writes what zlib can read`, async () => {
    const codec = await load();
    const deflate = codec.deflate();
    const packed = Buffer.concat([
      deflate.write(Buffer.from("one ")),
      deflate.write(Buffer.from("two")),
    ]);
    deflate.close();
    const options = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
    assert.equal(zlib.inflateSync(packed, options).toString(), "one two");
  });

  Deno.test(`${name}: corrupt input is an error`, async () => {
    const codec = await load();
    for (const bad of ["0000", "ffff", "789c" + "ff".repeat(50)]) {
      const inflate = codec.inflate(LIMIT);
      assert.throws(() => inflate.write(Buffer.from(bad, "hex")), Error);
      inflate.close();
    }
  });

  Deno.test(`${name}: random input is an error or something short`, async () => {
    const codec = await load();
    fc.assert(fc.property(fc.uint8Array({ maxLength: 500 }), (raw) => {
      const inflate = codec.inflate(LIMIT);
      try {
        inflate.write(raw);
      } catch (error) {
        assert.ok(error instanceof Error);
      }
      inflate.close();
    }));
  });

  Deno.test(`${name}: a packet that expands without end is an error`, async () => {
    const codec = await load();
    const inflate = codec.inflate(LIMIT);
    const bomb = zlib.deflateSync(Buffer.alloc(LIMIT + 1));
    assert.ok(bomb.byteLength < 2000);
    assert.throws(() => inflate.write(bomb), /expands to more than 1048576 bytes/);
    inflate.close();
  });

  Deno.test(`${name}: a closed context does nothing any more`, async () => {
    const codec = await load();
    const deflate = codec.deflate();
    deflate.close();
    deflate.close();
    if (name === "native") assert.throws(() => deflate.write(Buffer.from("x")), /closed/);
  });
}

Deno.test("loadZlib() takes the native codec on this runtime", async () => {
  assert.equal((await loadZlib())?.name, "native");
});

Deno.test("loadZlib() passes over codecs that cannot be loaded or do not work", async () => {
  const good = await ZLIB_CODECS.pako();
  const wrongBytes: ZlibCodec = {
    ...good,
    name: "native",
    inflate: (limit) => ({ ...good.inflate(limit), write: () => Buffer.from("wrong") }),
  };
  const noContext: ZlibCodec = {
    name: "native",
    deflate: () => ({
      write: (packet) => Buffer.from(zlib.deflateSync(packet)),
      align: () => Buffer.alloc(0),
      close() {},
    }),
    inflate: () => ({ write: (packed) => zlib.inflateSync(packed), close() {} }),
  };
  const codec = await loadZlib([
    () => Promise.reject(new Error("not here")),
    () => Promise.resolve(wrongBytes),
    () => Promise.resolve(noContext),
    () => Promise.resolve(good),
  ]);
  assert.equal(codec, good);
  assert.equal(await loadZlib([() => Promise.resolve(wrongBytes)]), undefined);
});
