import assert from "node:assert/strict";
import fc from "fast-check";
import { type Key, KeyDecoder } from "../../lib/cli/keys.ts";

const encoder = new TextEncoder();

function decode(...chunks: string[]): string[] {
  const decoder = new KeyDecoder();
  const keys = chunks.flatMap((chunk) => decoder.push(encoder.encode(chunk)));
  return [...keys, ...decoder.flush()].map(show);
}

function show(key: Key): string {
  return key.name === "character" ? key.text : `<${key.name}>`;
}

Deno.test("KeyDecoder knows arrows in both modes, editing keys and controls", () => {
  assert.deepEqual(decode("\x1b[A\x1b[B\x1bOA\x1bOB"), ["<up>", "<down>", "<up>", "<down>"]);
  assert.deepEqual(decode("\x1b[H\x1b[F\x1b[1~\x1b[5~\x1b[6~"), [
    "<home>",
    "<end>",
    "<home>",
    "<page-up>",
    "<page-down>",
  ]);
  assert.deepEqual(decode("\r\n\x7f\b\x03\x04\x15\x0e\x10\x01"), [
    "<enter>",
    "<enter>",
    "<backspace>",
    "<backspace>",
    "<interrupt>",
    "<end-of-input>",
    "<clear>",
    "<down>",
    "<up>",
    "<other>",
  ]);
  assert.deepEqual(decode("aé漢🦕"), ["a", "é", "漢", "🦕"]);
});

Deno.test("KeyDecoder tells the Escape key from the start of a sequence", () => {
  const decoder = new KeyDecoder();
  assert.deepEqual(decoder.push(encoder.encode("\x1b")), []);
  assert.ok(decoder.undecided);
  assert.deepEqual(decoder.flush(), [{ name: "escape" }]);
  assert.ok(!decoder.undecided);
  assert.deepEqual(decode("\x1b\x1b[A"), ["<escape>", "<up>"]);
  assert.deepEqual(decode("\x1bx"), ["<escape>", "x"]);
  assert.deepEqual(decode("\x1b[1;5C", "\x1b[Zq"), ["<other>", "<other>", "q"]);
});

Deno.test("KeyDecoder gives the same keys however the bytes are cut", () => {
  const piece = fc.constantFrom(
    "\x1b[A",
    "\x1bOB",
    "\x1b[5~",
    "x",
    "é",
    "🦕",
    "\r",
    "\x7f",
    "\x1b[1;2D",
  );
  fc.assert(fc.property(
    fc.array(piece, { maxLength: 12 }),
    fc.array(fc.nat({ max: 40 }), { maxLength: 6 }),
    (pieces, cuts) => {
      const bytes = encoder.encode(pieces.join(""));
      const whole = new KeyDecoder();
      const expected = [...whole.push(bytes), ...whole.flush()].map(show);
      const decoder = new KeyDecoder();
      const keys: Key[] = [];
      let from = 0;
      for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
        keys.push(...decoder.push(bytes.slice(from, Math.max(from, cut))));
        from = Math.max(from, cut);
      }
      assert.deepEqual([...keys, ...decoder.flush()].map(show), expected);
    },
  ));
});

Deno.test("KeyDecoder takes random bytes and keeps little of them", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    const decoder = new KeyDecoder();
    decoder.push(bytes);
    decoder.push(encoder.encode("\x1b["));
    for (let i = 0; i < 50; i++) decoder.push(encoder.encode("1"));
    decoder.push(encoder.encode("\r"));
    decoder.flush();
    assert.ok(!decoder.undecided);
  }));
});
