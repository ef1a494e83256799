import assert from "node:assert/strict";
import fc from "fast-check";
import { parseHost } from "../../lib/routing/host.ts";

Deno.test("parseHost() brings names into one spelling", () => {
  const spellings: Record<string, string[]> = {
    "example.com": ["example.com", "EXAMPLE.com", "example.com.", "Example.COM..", "ｅxample。com"],
    "xn--bcher-kva.example": ["bücher.example", "BÜCHER.example.", "XN--BCHER-KVA.example"],
    "xn--fa-hia.de": ["faß.de"],
    "_srv.under_score.local": ["_srv.under_score.local"],
    "abc": ["a\u00adbc"],
  };
  for (const [canonical, texts] of Object.entries(spellings)) {
    for (const text of texts) {
      assert.equal(parseHost(text)?.text, canonical, text);
      assert.equal(parseHost(text)?.address, undefined);
    }
  }
});

Deno.test("parseHost() recognises an address in every disguise", () => {
  const spellings: Record<string, string[]> = {
    "127.0.0.1": ["127.0.0.1", "127.0.0.1.", "0x7f.1", "2130706433", "１２７.0.0.1", "127。1"],
    "10.0.0.1": ["::ffff:10.0.0.1", "[::FFFF:a00:1]", "012.1", "::ffff:10.0.0.1%eth0"],
    "fe80::1": ["fe80::1", "[FE80:0::1]", "fe80::1%en0", "[fe80::1%25]"],
  };
  for (const [canonical, texts] of Object.entries(spellings)) {
    for (const text of texts) assert.equal(parseHost(text)?.address?.text, canonical, text);
  }
});

Deno.test("parseHost() dials what it compared, but for the final dot and the zone", () => {
  assert.equal(parseHost("0x7f.1")?.dial, "127.0.0.1");
  assert.equal(parseHost("Bücher.example")?.dial, "xn--bcher-kva.example");
  assert.equal(parseHost("Host.internal.")?.dial, "host.internal.");
  assert.equal(parseHost("[FE80::1%en0]")?.dial, "fe80::1%en0");
  assert.equal(parseHost("::ffff:10.0.0.1%en0")?.dial, "10.0.0.1");
});

Deno.test("parseHost() refuses what can be neither name nor address", () => {
  const wrong = [
    "",
    ".",
    "a b",
    "a\0.example.com",
    "example.com\n",
    "http://example.com",
    "user@example.com",
    "example.com:443",
    "[example.com]",
    "[::1",
    "::1]",
    "1::2::3",
    "256.1.1.1",
    "1.2.3.4.5",
    "08.0.0.1",
    "example.1",
    "ü%41.example",
    "xn--a.ü",
    "fe80::1%",
    "fe80::1%a b",
  ];
  for (const text of wrong) assert.equal(parseHost(text), undefined, JSON.stringify(text));
});

const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.domain(),
  fc.ipV4Extended(),
  fc.ipV6(),
  fc.stringMatching(/^[a-zü.0-9x\[\]:%-]{0,20}$/),
);

Deno.test("parseHost() is idempotent and never throws", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const host = parseHost(text);
      if (!host) return;
      assert.deepEqual(parseHost(host.text), { ...host, dial: host.text });
      assert.deepEqual(parseHost(host.dial), host);
    }),
    { numRuns: 5000 },
  );
});
