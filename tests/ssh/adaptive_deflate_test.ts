import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createCipheriv, randomBytes } from "node:crypto";
import zlib from "node:zlib";
import fc from "fast-check";
import { AdaptiveDeflate, looksRandom } from "../../lib/ssh/adaptive_deflate.ts";
import { ZLIB_CODECS } from "../../lib/ssh/zlib_stream.ts";

const LIMIT = 1024 * 1024;

const TEXT = Buffer.from(
  Array.from({ length: 4000 }, (_, i) => `line ${i * 7919 % 1000} of a log, level=info\n`).join(""),
);
const RANDOM = randomBytes(300_000);

Deno.test("what is random, encrypted or compressed looks so; text, code and numbers do not", () => {
  const cipher = createCipheriv("aes-128-ctr", RANDOM.subarray(0, 16), RANDOM.subarray(16, 32));
  const archive = zlib.gzipSync(Buffer.concat([TEXT, RANDOM.subarray(0, 50_000).toString("hex")]
    .map((part) => Buffer.from(part))));
  for (let i = 0; i < 200; i++) {
    assert.ok(looksRandom(randomBytes(1024 + i * 157)), "random");
  }
  for (
    const [name, bytes] of Object.entries({
      encrypted: cipher.update(Buffer.alloc(32_768)),
      archive: archive.subarray(1000, 1000 + 20_000),
    })
  ) assert.ok(looksRandom(bytes), name);
  cipher.final();
  for (
    const [name, bytes] of Object.entries({
      text: TEXT.subarray(0, 32_768),
      hex: Buffer.from(RANDOM.toString("hex")).subarray(0, 32_768),
      base64: Buffer.from(RANDOM.toString("base64")).subarray(0, 32_768),
      zeros: Buffer.alloc(4096),
      program: Deno.readFileSync(Deno.execPath()).subarray(10_000_000, 10_032_768),
      numbers: Buffer.from(Uint32Array.from({ length: 8192 }, (_, i) => i * 37).buffer),
      half: Buffer.concat([RANDOM.subarray(0, 16_384), TEXT.subarray(0, 16_384)]),
    })
  ) assert.ok(!looksRandom(bytes), name);
});

for (const [name, load] of Object.entries(ZLIB_CODECS)) {
  Deno.test(`${name}: stored and compressed packets in any order come out as they went in`, async () => {
    const codec = await load();
    const packet = fc.record({
      random: fc.boolean(),
      at: fc.nat(100_000),
      length: fc.oneof(fc.integer({ min: 1, max: 200_000 }), fc.integer({ min: 1, max: 5000 })),
    });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 12 }), (packets) => {
        const deflate = new AdaptiveDeflate(codec.deflate());
        const inflate = codec.inflate(LIMIT);
        for (const { random, at, length } of packets) {
          const plain = (random ? RANDOM : TEXT).subarray(at, at + length);
          if (plain.byteLength === 0) continue;
          assert.ok(inflate.write(deflate.write(plain)).equals(plain));
        }
        deflate.close();
        inflate.close();
      }),
      { numRuns: 60 },
    );
  });

  Deno.test(`${name}: random bytes grow by five bytes a block, text behind them shrinks`, async () => {
    const codec = await load();
    const deflate = new AdaptiveDeflate(codec.deflate());
    const sizes = [TEXT, RANDOM, RANDOM, TEXT].map((packet) =>
      deflate.write(packet.subarray(0, 32_768)).byteLength
    );
    assert.ok(sizes[0]! < 8000, `${sizes[0]}`);
    assert.ok(sizes[1]! <= 32_768 + 5 + 8, `${sizes[1]}`);
    assert.equal(sizes[2]!, 32_768 + 5);
    assert.ok(sizes[3]! < 8000, `${sizes[3]}`);
    const short = deflate.write(TEXT.subarray(0, 100));
    assert.ok(short.byteLength < 60, "short packets go the way of those before");
    deflate.close();
  });

  Deno.test(`${name}: another zlib reads it as one stream`, async () => {
    const codec = await load();
    const deflate = new AdaptiveDeflate(codec.deflate());
    const packets = [RANDOM, TEXT, TEXT.subarray(0, 10), RANDOM, RANDOM.subarray(0, 5)];
    const packed = Buffer.concat(packets.map((packet) => deflate.write(packet)));
    deflate.close();
    const options = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
    assert.ok(zlib.inflateSync(packed, options).equals(Buffer.concat(packets)));
  });
}
