import assert from "node:assert/strict";
import fc from "fast-check";
import {
  concat,
  fingerprint,
  keyTypeOf,
  mpint,
  sameBytes,
  string,
  uint32,
  WireReader,
} from "../../lib/ssh/wire.ts";

const bytes = () => fc.uint8Array({ maxLength: 300 });
const hex = (value: Uint8Array) => value.toHex();

Deno.test("WireReader reads back what the writers wrote", () => {
  fc.assert(fc.property(bytes(), fc.string(), fc.nat(0xffffffff), (raw, text, number) => {
    const reader = new WireReader(concat(string(raw), string(text), uint32(number), [7]));
    assert.deepEqual(new Uint8Array(reader.string()), raw);
    assert.equal(reader.text(), text.toWellFormed());
    assert.equal(reader.uint32(), number);
    assert.equal(reader.byte(), 7);
    assert.equal(reader.left, 0);
    assert.throws(() => reader.byte(), RangeError);
  }));
});

Deno.test("WireReader refuses every truncation", () => {
  const whole = concat(string("ssh-ed25519"), string(new Uint8Array(32)));
  for (let length = 0; length < whole.byteLength; length++) {
    assert.throws(() => {
      const reader = new WireReader(whole.subarray(0, length));
      reader.text();
      reader.string();
    }, RangeError);
  }
});

Deno.test("WireReader meets random bytes with a RangeError or TypeError at worst", () => {
  fc.assert(fc.property(bytes(), (raw) => {
    try {
      const reader = new WireReader(raw);
      while (reader.left > 0) reader.text();
    } catch (error) {
      assert.ok(error instanceof RangeError || error instanceof TypeError);
    }
  }));
});

Deno.test("mpint() writes the examples of RFC 4251 section 5", () => {
  assert.equal(hex(mpint(Uint8Array.fromHex(""))), "00000000");
  assert.equal(hex(mpint(Uint8Array.fromHex("0000"))), "00000000");
  assert.equal(hex(mpint(Uint8Array.fromHex("09a378f9b2e332a7"))), "0000000809a378f9b2e332a7");
  assert.equal(hex(mpint(Uint8Array.fromHex("80"))), "000000020080");
  assert.equal(hex(mpint(Uint8Array.fromHex("000080"))), "000000020080");
});

Deno.test("mpint() keeps the number and never looks negative", () => {
  const value = (raw: Uint8Array) => BigInt(`0x0${hex(raw)}`);
  fc.assert(fc.property(bytes(), (magnitude) => {
    const written = new WireReader(mpint(magnitude)).string();
    assert.equal(value(written), value(magnitude));
    assert.ok(written.byteLength === 0 || written[0]! < 0x80);
    assert.ok(written.byteLength < 2 || written[0] !== 0 || written[1]! >= 0x80);
  }));
});

Deno.test("fingerprint() is that of ssh-keygen -l", () => {
  // `ssh-keygen -lf` of this key prints the fingerprint below.
  const key = Uint8Array.fromBase64(
    "AAAAC3NzaC1lZDI1NTE5AAAAIM7Gd7SnsOVPuDv9KwDTbG1oQym2Wc9GIglXDbOCpvIG",
  );
  assert.equal(keyTypeOf(key), "ssh-ed25519");
  assert.equal(fingerprint(key), "SHA256:nOlckKipGEH3BceBMJ1z87iOMwx8JQtwb2U+ANZ9WLk");
});

Deno.test("sameBytes() compares length and content", () => {
  const a = new Uint8Array([1, 2, 3]);
  assert.equal(sameBytes(a, new Uint8Array([1, 2, 3])), true);
  assert.equal(sameBytes(a, new Uint8Array([1, 2])), false);
  assert.equal(sameBytes(a, new Uint8Array([1, 2, 4])), false);
  assert.equal(sameBytes(new Uint8Array(), new Uint8Array()), true);
});
