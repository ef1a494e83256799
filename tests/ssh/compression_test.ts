import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { MAX_PAYLOAD_BYTES, packetClasses } from "../../lib/ssh/compression.ts";
import { loadSsh2 } from "../../lib/ssh/mod.ts";
import { ZLIB_CODECS } from "../../lib/ssh/zlib_stream.ts";

Deno.test("loadSsh2() has compression on this runtime", async () => {
  assert.equal((await loadSsh2()).compression, true);
});

Deno.test("loadSsh2() does without compression when ssh2 was loaded before", async () => {
  const url = new URL("./early_ssh2_worker.ts", import.meta.url);
  const worker = new Worker(url, { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(event.message));
  };
  try {
    assert.deepEqual(await promise, { compression: false, end: "undefined" });
  } finally {
    worker.terminate();
  }
});

Deno.test("packet classes pack into the packet that the cipher allocates", async () => {
  const { ZlibPacketReader, ZlibPacketWriter } = packetClasses(await ZLIB_CODECS.native());
  const protocol = {
    _kexinit: undefined as unknown,
    _cipher: { allocPacket: (length: number) => Buffer.alloc(5 + length + 4) },
  };
  const writer = new ZlibPacketWriter(protocol);
  const reader = new ZlibPacketReader();
  const payload = Buffer.from("payload ".repeat(100));
  for (let i = 0; i < 3; i++) {
    const packet = writer.finalize(payload);
    assert.ok(packet.byteLength < 60);
    assert.ok(reader.read(packet.subarray(5, -4)).equals(payload));
  }
  // While keys are exchanged packets wait unpacked; those of the exchange itself are forced.
  protocol._kexinit = {};
  assert.equal(writer.finalize(payload), payload);
  assert.notEqual(writer.finalize(payload, true), payload);
  writer.cleanup();
  reader.cleanup();
});

Deno.test("packet classes refuse a payload that is longer than any server sends", async () => {
  const codec = await ZLIB_CODECS.native();
  const { ZlibPacketReader } = packetClasses(codec);
  const deflate = codec.deflate();
  const reader = new ZlibPacketReader();
  reader.read(deflate.write(Buffer.alloc(MAX_PAYLOAD_BYTES)));
  assert.throws(() => reader.read(deflate.write(Buffer.alloc(MAX_PAYLOAD_BYTES + 1))), /expands/);
  deflate.close();
  reader.cleanup();
});
