import assert from "node:assert/strict";
import fc from "fast-check";
import { DerReader, DerTag } from "../../lib/ssh/der.ts";

const reader = (hex: string) => new DerReader(Uint8Array.fromHex(hex));

Deno.test("DerReader reads the elements of a sequence", () => {
  const outer = reader(
    "300c" + "0201ff".replace("ff", "07") + "0402beef" + "0603 2a8648".replace(" ", ""),
  );
  const sequence = outer.sequence();
  assert.equal(outer.done, true);
  assert.equal(sequence.integer(), 7);
  assert.equal(sequence.tag, DerTag.OctetString);
  assert.deepEqual(sequence.element(DerTag.OctetString), Uint8Array.fromHex("beef"));
  assert.equal(sequence.oid(), "1.2.840");
  assert.equal(sequence.done, true);
  assert.equal(sequence.tag, undefined);
});

Deno.test("DerReader.oid() reads the object identifiers of key encryption", () => {
  assert.equal(reader("06092a864886f70d01050d").oid(), "1.2.840.113549.1.5.13");
  assert.equal(reader("060960864801650304012a").oid(), "2.16.840.1.101.3.4.1.42");
  assert.equal(reader("06092b06010401da47040b").oid(), "1.3.6.1.4.1.11591.4.11");
});

Deno.test("DerReader.integer() takes what a number can hold", () => {
  assert.equal(reader("02020800").integer(), 2048);
  assert.equal(reader("0206010000000000").integer(), 2 ** 40);
  for (const bad of ["0200", "0201ff", "020701000000000000"]) {
    assert.throws(() => reader(bad).integer(), RangeError, bad);
  }
});

Deno.test("DerReader reads long lengths, and refuses indefinite and impossible ones", () => {
  const long = new Uint8Array([0x04, 0x82, 0x01, 0x00, ...new Uint8Array(256)]);
  assert.equal(new DerReader(long).element(DerTag.OctetString).byteLength, 256);
  for (
    const bad of [
      "",
      "04",
      "0480",
      "0401",
      "048501000000 00".replace(" ", ""),
      "0484ffffffff",
      "02",
    ]
  ) {
    assert.throws(() => reader(bad).element(DerTag.OctetString), RangeError, bad);
  }
});

Deno.test("DerReader meets random bytes with a RangeError at worst", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    for (const read of ["sequence", "integer", "oid"] as const) {
      try {
        const all = new DerReader(bytes);
        while (!all.done) all[read]();
      } catch (error) {
        assert.ok(error instanceof RangeError);
      }
    }
  }));
});
