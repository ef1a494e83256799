import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { AwsocksError } from "../../lib/core/mod.ts";
import {
  type ClientMessage,
  createMessage,
  decodeMessage,
  encodeAcknowledgement,
  encodeFlag,
  encodeMessage,
} from "../../lib/ssm/mod.ts";

const ID = "11223344-5566-4788-99aa-bbccddeeff00";
const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const utf8 = (text: string) => new TextEncoder().encode(text);

/** Messages that the real agent's codec parses and writes byte for byte. */
const VECTORS: Record<string, { hex: string; message: ClientMessage }> = {
  "input data": {
    hex:
      "00000074696e7075745f73747265616d5f64617461202020202020202020202020202020000000010000015e0baa788400000000000000020000000000000000a508b5f073f31b16dd01e56bff48483e5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03000000010000000668656c6c6f0a",
    message: createMessage({
      messageType: "input_stream_data",
      sequenceNumber: 2,
      createdDate: 1503434274948,
      messageId: "dd01e56b-ff48-483e-a508-b5f073f31b16",
      payloadType: 1,
      payload: utf8("hello\n"),
    }),
  },
  "acknowledgement": {
    hex:
      "0000007461636b6e6f776c65646765202020202020202020202020202020202020202020000000010000018bcfe568000000000000000000000000000000000399aabbccddeeff001122334455664788bb487a3f076aac75c3a35b6e402d2e44ccdd9844ac4e5b2007e8b4ac8f1d8f3100000000000000b07b2241636b6e6f776c65646765644d65737361676554797065223a226f75747075745f73747265616d5f64617461222c2241636b6e6f776c65646765644d6573736167654964223a2264643031653536622d666634382d343833652d613530382d623566303733663331623136222c2241636b6e6f776c65646765644d65737361676553657175656e63654e756d626572223a372c22497353657175656e7469616c4d657373616765223a747275657d",
    message: createMessage({
      messageType: "acknowledge",
      flags: 3,
      createdDate: 1700000000000,
      messageId: ID,
      payload: encodeAcknowledgement({
        messageType: "output_stream_data",
        messageId: "dd01e56b-ff48-483e-a508-b5f073f31b16",
        sequenceNumber: 7,
      }),
    }),
  },
  "handshake response": {
    hex:
      "00000074696e7075745f73747265616d5f64617461202020202020202020202020202020000000010000018bcfe568010000000000000000000000000000000099aabbccddeeff0011223344556647883f415a2a7d6f80998934c84fdb16c0fbb09e16b0539e2cebc9a78c573d20ce8000000006000000937b22436c69656e7456657273696f6e223a22312e322e3730372e30222c2250726f636573736564436c69656e74416374696f6e73223a5b7b22416374696f6e54797065223a2253657373696f6e54797065222c22416374696f6e537461747573223a312c22416374696f6e526573756c74223a6e756c6c2c224572726f72223a22227d5d2c224572726f7273223a6e756c6c7d",
    message: createMessage({
      messageType: "input_stream_data",
      createdDate: 1700000000001,
      messageId: ID,
      payloadType: 6,
      payload: utf8(
        '{"ClientVersion":"1.2.707.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,"ActionResult":null,"Error":""}],"Errors":null}',
      ),
    }),
  },
  "terminate flag": {
    hex:
      "00000074696e7075745f73747265616d5f64617461202020202020202020202020202020000000010000018bcfe568030000000000000009000000000000000099aabbccddeeff001122334455664788433ebf5bc03dffa38536673207a21281612cef5faa9bc7a4d5b9be2fdb12cf1a0000000a0000000400000002",
    message: createMessage({
      messageType: "input_stream_data",
      sequenceNumber: 9,
      createdDate: 1700000000003,
      messageId: ID,
      payloadType: 10,
      payload: encodeFlag(2),
    }),
  },
  "connect-to-port error": {
    hex:
      "000000746f75747075745f73747265616d5f646174612020202020202020202020202020000000010000018bcfe56804000000000000000c000000000000000099aabbccddeeff00112233445566478888185d128d9922e0e6bcd32b07b6c7f20f27968eab447a1d8d1cdf250f79f7d30000000a0000000400000003",
    message: createMessage({
      messageType: "output_stream_data",
      sequenceNumber: 12,
      createdDate: 1700000000004,
      messageId: ID,
      payloadType: 10,
      payload: encodeFlag(3),
    }),
  },
};

for (const [name, vector] of Object.entries(VECTORS)) {
  Deno.test(`encodeMessage() writes the ${name} vector`, () => {
    assert.equal(toHex(encodeMessage(vector.message)), vector.hex);
  });
  Deno.test(`decodeMessage() reads the ${name} vector`, () => {
    assert.deepEqual(decodeMessage(hex(vector.hex)), vector.message);
  });
}

const messages = fc.record({
  messageType: fc.stringMatching(/^[a-z][a-z_]{0,30}[a-z]$/).filter((type) =>
    !type.endsWith("_publication")
  ),
  schemaVersion: fc.nat(),
  createdDate: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  sequenceNumber: fc.maxSafeNat(),
  flags: fc.integer({ min: 0, max: 3 }),
  messageId: fc.uuid(),
  payloadType: fc.nat({ max: 12 }),
  payload: fc.uint8Array({ maxLength: 4096 }),
}, { noNullPrototype: true });

Deno.test("decodeMessage() undoes encodeMessage()", () => {
  fc.assert(fc.property(messages, (message) => {
    assert.deepEqual(decodeMessage(encodeMessage(message)), message);
  }));
});

Deno.test("decodeMessage() reads a message that sits inside a larger buffer", () => {
  const bytes = encodeMessage(VECTORS["input data"]!.message);
  const larger = new Uint8Array(bytes.byteLength + 20);
  larger.set(bytes, 7);
  assert.deepEqual(
    decodeMessage(larger.subarray(7, 7 + bytes.byteLength)),
    VECTORS["input data"]!.message,
  );
});

function refuses(bytes: Uint8Array): void {
  assert.throws(
    () => decodeMessage(bytes),
    (error: unknown) => error instanceof AwsocksError && error.code === "session-protocol-error",
  );
}

Deno.test("decodeMessage() refuses every truncation and every extension", () => {
  for (const { hex: text } of Object.values(VECTORS)) {
    const bytes = hex(text);
    for (let length = 0; length < bytes.byteLength; length++) refuses(bytes.subarray(0, length));
    refuses(new Uint8Array([...bytes, 0]));
  }
});

Deno.test("decodeMessage() refuses a flipped bit in digest, payload, lengths and date", () => {
  const good = hex(VECTORS["input data"]!.hex);
  for (const offset of [3, 80, 111, 119, 120, 125]) {
    const bad = good.slice();
    bad[offset]! ^= 1;
    refuses(bad);
  }
  const dateless = good.slice();
  dateless.fill(0, 40, 48);
  refuses(dateless);
  const untyped = good.slice();
  untyped.fill(0x20, 4, 36);
  refuses(untyped);
});

Deno.test("decodeMessage() strips NULs, then white space, from the type", () => {
  const bytes = encodeMessage(createMessage({
    messageType: "output_stream_data",
    payload: utf8("x"),
  }));
  bytes.fill(0, 4 + "output_stream_data".length + 2, 36);
  assert.equal(decodeMessage(bytes).messageType, "output_stream_data");
});

Deno.test("decodeMessage() reads publication messages whatever the rest of their header says", () => {
  for (const type of ["start_publication", "pause_publication"]) {
    const bytes = encodeMessage(createMessage({ messageType: type, payload: utf8("{}") }));
    bytes.fill(0xff, 36);
    bytes.fill(0, 0, 4);
    assert.equal(decodeMessage(bytes).messageType, type);
    assert.equal(decodeMessage(bytes.subarray(0, 36)).messageType, type);
  }
});

Deno.test("decodeMessage() answers 100,000 random inputs with an error each", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), refuses), { numRuns: 100_000 });
});

Deno.test("encodeMessage() refuses a long type and a malformed id", () => {
  const payload = utf8("x");
  assert.throws(
    () => encodeMessage(createMessage({ messageType: "x".repeat(33), payload })),
    RangeError,
  );
  const malformed = [
    "nope",
    ID.replaceAll("-", ""),
    ID.replace("-", "0"),
    ID.slice(1),
    `${ID}0`,
    `${ID.slice(0, -1)}g`,
    `g${ID.slice(1)}`,
    `${ID.slice(0, -1)}é`,
    `${ID}\n`,
  ];
  for (const messageId of malformed) {
    assert.throws(
      () => encodeMessage(createMessage({ messageType: "x", messageId, payload })),
      RangeError,
      messageId,
    );
  }
});
