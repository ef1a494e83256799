import assert from "node:assert/strict";
import fc from "fast-check";
import { isAwsocksError } from "../../lib/core/mod.ts";
import {
  Command,
  encodeFrame,
  type Frame,
  FrameParser,
  MAX_PAYLOAD_BYTES,
  putUpdate,
  readUpdate,
  type SmuxVersion,
} from "../../lib/smux/mod.ts";
import { concat, framesOf, hex, random, toHex } from "./bytes.ts";

const text = (s: string) => new TextEncoder().encode(s);

Deno.test("frames are encoded as in the vectors of the Session Manager protocol", () => {
  const get = text("GET / HTTP/1.0\r\n\r\n");
  const answer = text("HTTP/1.0 200 OK\r\n\r\nhi");
  const vectors: [Uint8Array, string][] = [
    [encodeFrame(1, Command.Syn, 3), "0100000003000000"],
    [
      encodeFrame(1, Command.Psh, 3, get),
      "0102120003000000474554202f20485454502f312e300d0a0d0a",
    ],
    [
      encodeFrame(1, Command.Psh, 3, answer),
      "0102150003000000485454502f312e3020323030204f4b0d0a0d0a6869",
    ],
    [encodeFrame(1, Command.Fin, 3), "0101000003000000"],
    [encodeFrame(1, Command.Syn, 5), "0100000005000000"],
    [encodeFrame(1, Command.Nop, 0), "0103000000000000"],
  ];
  for (const [frame, expected] of vectors) assert.equal(toHex(frame), expected);
  const big = encodeFrame(1, Command.Psh, 0x01020305, new Uint8Array(32_768));
  assert.equal(toHex(big.subarray(0, 8)), "0102008005030201");
});

Deno.test("two frames cut by the agent after ten bytes come out whole", () => {
  const parser = new FrameParser(1);
  const first = [...parser.push(hex("01021500030000004854"))];
  assert.equal(parser.idle, false);
  const second = [
    ...parser.push(hex("54502f312e3020323030204f4b0d0a0d0a68690101000003000000")),
  ];
  assert.equal(parser.idle, true);
  assert.deepEqual(joined([...first, ...second]), [
    { command: Command.Psh, streamId: 3, payload: toHex(text("HTTP/1.0 200 OK\r\n\r\nhi")) },
    { command: Command.Fin, streamId: 3, payload: "" },
  ]);
});

Deno.test("a window update carries 32-bit counters, little-endian", () => {
  const payload = new Uint8Array(8);
  putUpdate(payload, 0, { consumed: 2 ** 32 + 0x01020304, window: 0xfffefdfc });
  assert.equal(toHex(payload), "04030201fcfdfeff");
  assert.deepEqual(readUpdate(payload), { consumed: 0x01020304, window: 0xfffefdfc });
});

Deno.test("a payload that no header can tell is refused", () => {
  assert.throws(() => encodeFrame(1, Command.Psh, 3, new Uint8Array(65_536)), RangeError);
  assert.equal(encodeFrame(1, Command.Psh, 3, new Uint8Array(65_535)).byteLength, 65_543);
});

const versions = fc.constantFrom<SmuxVersion>(1, 2);

const frames = fc.array(
  fc.oneof(
    fc.record({
      command: fc.constantFrom(Command.Syn, Command.Fin, Command.Nop),
      streamId: fc.nat({ max: 0xffffffff }),
      payload: fc.constant(new Uint8Array(0)),
    }),
    fc.record({
      command: fc.constant(Command.Upd),
      streamId: fc.nat({ max: 0xffffffff }),
      payload: fc.uint8Array({ minLength: 8, maxLength: 8 }),
    }),
    fc.record({
      command: fc.constant(Command.Psh),
      streamId: fc.nat({ max: 0xffffffff }),
      payload: fc.uint8Array({ minLength: 1, maxLength: 60 }),
    }),
  ),
  { maxLength: 12 },
);

/** Frames with the parts of a cut PSH put together again, payloads in hexadecimal digits. */
function joined(list: readonly Frame[]): { command: Command; streamId: number; payload: string }[] {
  const result: { command: Command; streamId: number; payload: string }[] = [];
  for (const { command, streamId, payload } of list) {
    const last = result.at(-1);
    const goesOn = command === Command.Psh && last?.command === command &&
      last.streamId === streamId;
    if (goesOn) last.payload += toHex(payload);
    else result.push({ command, streamId, payload: toHex(payload) });
  }
  return result;
}

Deno.test("frames come back however the bytes are cut", () => {
  fc.assert(fc.property(versions, frames, fc.array(fc.nat(9)), (version, list, cuts) => {
    const bytes = concat(
      ...list.map((frame) => encodeFrame(version, frame.command, frame.streamId, frame.payload)),
    );
    const parser = new FrameParser(version);
    const parsed: Frame[] = [];
    for (let at = 0, turn = 0; at < bytes.byteLength; turn++) {
      const size = turn < cuts.length ? cuts[turn]! : bytes.byteLength;
      parsed.push(...parser.push(bytes.subarray(at, at + size)));
      at += size;
    }
    assert.equal(parser.idle, true);
    assert.deepEqual(joined(parsed), joined(list));
  }));
});

Deno.test("a truncated frame is never taken for a whole one", () => {
  fc.assert(fc.property(versions, frames, fc.nat(), (version, list, cut) => {
    fc.pre(list.length > 0);
    const bytes = concat(
      ...list.map((frame) => encodeFrame(version, frame.command, frame.streamId, frame.payload)),
    );
    const at = cut % bytes.byteLength;
    const parser = new FrameParser(version);
    const parsed = [...parser.push(bytes.subarray(0, at))];
    let end = 0;
    const whole = list.filter((frame) => (end += 8 + frame.payload.byteLength) <= at);
    const ends = at === bytes.byteLength || concat(
          ...whole.map((frame) =>
            encodeFrame(version, frame.command, frame.streamId, frame.payload)
          ),
        ).byteLength === at;
    assert.equal(parser.idle, ends);
    const complete = joined(parsed).filter((frame) => frame.command !== Command.Psh);
    assert.deepEqual(complete, joined(whole.filter((frame) => frame.command !== Command.Psh)));
  }));
});

Deno.test("malformed frames are errors that say what is wrong", () => {
  const cases: [string, RegExp][] = [
    ["0202000003000000", /version 2 instead of 1/],
    ["0002000003000000", /version 0 instead of 1/],
    ["0105000003000000", /unknown command 5/],
    ["01ff000003000000", /unknown command 255/],
    ["0100010003000000ff", /command 0 with a payload/],
    ["0101010003000000ff", /command 1 with a payload/],
    ["0103010000000000ff", /command 3 with a payload/],
    ["010407000300000000000000000000", /window update of 7 bytes/],
    ["0104ffff03000000", /window update of 65535 bytes/],
  ];
  for (const [bytes, message] of cases) {
    assert.throws(
      () => framesOf(1, hex(bytes)),
      (error) => isAwsocksError(error, "smux-protocol-error") && message.test(error.message),
      bytes,
    );
  }
});

Deno.test("an empty PSH carries nothing", () => {
  assert.deepEqual(joined(framesOf(1, hex("0102000003000000 0101000003000000"))), [
    { command: Command.Fin, streamId: 3, payload: "" },
  ]);
});

Deno.test("random bytes give frames or one error, and views of the input only", () => {
  const next = random(1);
  let errors = 0;
  for (let round = 0; round < 100_000; round++) {
    const version: SmuxVersion = round % 2 === 0 ? 1 : 2;
    const bytes = Uint8Array.from({ length: Math.floor(next() * 40) }, () => next() * 256);
    // Half of them with a plausible start, so that more than the version byte is tried.
    if (bytes.byteLength > 3 && next() < 0.5) bytes.set([version, next() * 6, next() * 12, 0]);
    let yielded = 0;
    try {
      for (const frame of new FrameParser(version).push(bytes)) {
        yielded += 8 + frame.payload.byteLength;
        assert.ok(frame.command <= 4 && frame.payload.byteLength <= MAX_PAYLOAD_BYTES);
      }
    } catch (error) {
      assert.ok(isAwsocksError(error, "smux-protocol-error"), String(error));
      errors++;
    }
    // A PSH of which nothing has come yet is not yielded; nothing is made up.
    assert.ok(yielded <= bytes.byteLength);
  }
  assert.ok(errors > 30_000 && errors < 100_000, `${errors}`);
});
