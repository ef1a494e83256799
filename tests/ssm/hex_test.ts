import assert from "node:assert/strict";
import fc from "fast-check";
import { readHex, writeHex } from "../../lib/ssm/hex.ts";

Deno.test("writeHex() undoes readHex(), in upper case too, at any place", () => {
  fc.assert(fc.property(fc.uint8Array(), fc.nat({ max: 9 }), fc.boolean(), (bytes, at, upper) => {
    const text = readHex(bytes, 0, bytes.length);
    assert.match(text, /^([0-9a-f]{2})*$/);
    const into = new Uint8Array(at + bytes.length + 1);
    assert.ok(writeHex(into, at, `<${upper ? text.toUpperCase() : text}>`, 1, 1 + text.length));
    assert.deepEqual(into.slice(at, at + bytes.length), bytes);
    assert.deepEqual([...into.slice(0, at), into.at(-1)], Array(at + 1).fill(0));
  }));
});

Deno.test("writeHex() takes nothing but digits, two by two", () => {
  const into = new Uint8Array(8);
  for (const text of ["0", "123", "0g", "g0", " 1", "0x", "1é", "é1", "-1"]) {
    assert.equal(writeHex(into, 0, text), false, text);
  }
  assert.equal(writeHex(into, 0, "ab", 0, 4), false, "beyond the end");
  assert.equal(writeHex(into, 0, ""), true);
});
