import assert from "node:assert/strict";
import fc from "fast-check";
import { parseHost } from "../../lib/routing/host.ts";
import { parsePattern } from "../../lib/routing/parse_pattern.ts";
import { compareSpecificity, formatPattern, matchPattern } from "../../lib/routing/pattern.ts";
import { anyHost, anyPattern, anyPort } from "./arbitraries.ts";

/** True if `pattern` covers `host:port`. */
function covers(pattern: string, host: string, port = 443): boolean {
  return matchPattern(parsePattern(pattern), parseHost(host)!, port);
}

const MATCHES: Record<string, { yes: string[]; no: string[] }> = {
  "db.Example.com.": {
    yes: ["db.example.com", "DB.EXAMPLE.COM."],
    no: ["example.com", "x.db.example.com", "db.example.com.evil"],
  },
  "*.example.com": {
    yes: ["example.com", "a.example.com", "a.b.example.com.", "A.Example.Com"],
    no: ["badexample.com", "example.com.evil", "com", "xexample.com"],
  },
  "bücher.example": { yes: ["BÜCHER.example", "xn--bcher-kva.example"], no: ["bucher.example"] },
  "*.bücher.example": { yes: ["a.xn--bcher-kva.example", "bücher.example"], no: ["example"] },
  "10.0.0.0/8": {
    yes: ["10.1.2.3", "::ffff:10.9.9.9", "012.1.2.3", "0x0a000001"],
    no: ["11.0.0.1", "10.example.com", "::a00:1"],
  },
  "10.1.2.3/8": { yes: ["10.9.9.9"], no: ["11.0.0.1"] },
  "10.0.*": { yes: ["10.0.1.2"], no: ["10.1.0.1", "10.0.example.com"] },
  "10.*.*.*": { yes: ["10.200.1.2"], no: ["100.1.2.3"] },
  "127.0.0.1": { yes: ["127.1", "0x7f.1", "2130706433", "[::ffff:7f00:1]"], no: ["localhost"] },
  "::ffff:10.0.0.0/104": { yes: ["10.1.2.3"], no: ["11.1.2.3"] },
  "fd00::/8": { yes: ["fd12::1", "[FD00::]", "fd00::1%en0"], no: ["fe00::1", "10.0.0.1"] },
  "::/0": { yes: ["::1", "2001:db8::"], no: ["10.0.0.1", "::ffff:10.0.0.1", "example.com"] },
  "0.0.0.0/0": { yes: ["10.0.0.1", "::ffff:1.2.3.4"], no: ["::1", "example.com"] },
  "FD00:0::1": { yes: ["fd00::1", "[fd00:0:0::1]"], no: ["fd00::2"] },
  "dev-*": { yes: ["dev-1", "dev-1.example.com"], no: ["xdev-1", "dev"] },
  "web-?.example.com": { yes: ["web-1.example.com"], no: ["web-12.example.com", "example.com"] },
  "*.a?.com": { yes: ["x.ab.com"], no: ["ab.com", "x.a.com"] },
  "*": { yes: ["a", "10.0.0.1", "::1", "a.b.c"], no: [] },
  "*.*": { yes: ["a.b", "10.0.0.1"], no: ["a", "::1"] },
};

Deno.test("matchPattern() covers what the pattern says and nothing else", () => {
  for (const [pattern, { yes, no }] of Object.entries(MATCHES)) {
    for (const host of yes) assert.ok(covers(pattern, host), `${pattern} should cover ${host}`);
    for (const host of no) assert.ok(!covers(pattern, host), `${pattern} should not cover ${host}`);
  }
});

Deno.test("matchPattern() heeds the port of every kind of pattern", () => {
  const vectors: [pattern: string, host: string][] = [
    ["example.com:22", "example.com"],
    ["*.example.com:22", "a.example.com"],
    ["10.0.0.0/8:22", "10.1.1.1"],
    ["10.*:22", "10.1.1.1"],
    ["[fd00::1]:22", "fd00::1"],
    ["[fd00::/8]:22", "fd00::1"],
    ["web-?:22", "web-1"],
    ["*:22", "anything"],
  ];
  for (const [pattern, host] of vectors) {
    assert.ok(covers(pattern, host, 22), pattern);
    assert.ok(!covers(pattern, host, 443), pattern);
    assert.ok(!matchPattern(parsePattern(pattern), parseHost(host)!, undefined), pattern);
  }
  assert.ok(covers("[fd00::1]", "fd00::1", 1));
});

Deno.test("parsePattern() refuses what could only be a mistake, and says why", () => {
  const wrong: Record<string, RegExp> = {
    "": /empty/,
    ":443": /empty/,
    "https://example.com": /not a URL/,
    "https://example.com:443/": /not a URL/,
    "example.com/path": /not a network/,
    "example.com:https": /port/,
    "example.com:0": /port/,
    "example.com:65536": /port/,
    "example.com:0443": /port/,
    "*:*": /port/,
    "10.0.0.0/33": /from 0 to 32/,
    "10.0.0.0/": /length/,
    "10.0.0/8": /not a network/,
    "010.0.0.0/8": /not a network/,
    "fd00::/129": /from 0 to 128/,
    "::ffff:10.0.0.0/90": /from 96 to 128/,
    "fd00::1:x": /not an IPv6/,
    "fd00::*": /not an IPv6/,
    "fe80::1%en0": /not an IPv6/,
    "[example.com]:22": /brackets/,
    "[fd00::1": /not an IPv6/,
    ".example.com": /write \*\.example\.com/,
    "a..b": /empty/,
    "*..": /empty/,
    "a b": /cannot be in a host name/,
    "user@example.com": /cannot be in a host name/,
    "!example.com": /cannot be in a host name/,
    "xn--a.ü": /IDNA/,
    "bü*.example": /xn--/,
    "256.1.1.1": /not an IPv4/,
    "1.2.3.4.5": /not an IPv4/,
    "010.0.0.1": /write that/,
    "2130706433": /unusual way to write 127\.0\.0\.1/,
    "300.*": /not a range/,
    "10.0.0.0.*": /not a range/,
    ["a".repeat(64)]: /63/,
    ["abc.".repeat(64)]: /253/,
  };
  for (const [text, reason] of Object.entries(wrong)) {
    assert.throws(() => parsePattern(text), (error) => {
      assert.ok(error instanceof SyntaxError, text);
      assert.match(error.message, reason, text);
      return true;
    }, text);
  }
});

Deno.test("parsePattern() throws nothing but SyntaxError, whatever the text", () => {
  const soup = fc.oneof(
    fc.string({ unit: "binary", maxLength: 30 }),
    fc.string({ unit: "grapheme", maxLength: 30 }),
    fc.stringMatching(/^[a-c0-9.*?:\[\]\/xü%!-]{0,24}$/),
  );
  fc.assert(
    fc.property(soup, (text) => {
      try {
        parsePattern(text);
      } catch (error) {
        assert.ok(error instanceof SyntaxError);
      }
    }),
    { numRuns: 5000 },
  );
});

Deno.test("formatPattern() is a pattern of the same meaning", () => {
  fc.assert(fc.property(anyPattern, anyHost, anyPort, (text, host, port) => {
    const pattern = parsePattern(text);
    const again = parsePattern(formatPattern(pattern));
    assert.deepEqual({ ...again, text: "" }, { ...pattern, text: "" });
    assert.equal(matchPattern(again, host, port), matchPattern(pattern, host, port));
  }));
});

Deno.test("compareSpecificity() goes from exact to general", () => {
  const order = [
    ["a.example.com:443", "10.0.0.1:443"],
    ["a.example.com", "10.0.0.1", "fd00::1"],
    ["10.0.0.0/24:22"],
    ["10.0.0.0/24"],
    ["10.0.*", "10.0.0.0/16"],
    ["*.b.example.com"],
    ["*.example.com:443"],
    ["*.example.com"],
    ["dev-????"],
    ["dev-*:22"],
    ["dev-*"],
    ["*:22"],
    ["*", "**", "*."],
  ].map((level) => level.map(parsePattern));
  for (const [i, level] of order.entries()) {
    for (const [j, other] of order.entries()) {
      for (const a of level) {
        for (const b of other) {
          assert.equal(
            Math.sign(compareSpecificity(a, b)),
            Math.sign(i - j),
            `${a.text} ${b.text}`,
          );
        }
      }
    }
  }
});

Deno.test("compareSpecificity() is a total preorder", () => {
  const pattern = anyPattern.map(parsePattern);
  fc.assert(fc.property(pattern, pattern, pattern, (a, b, c) => {
    assert.equal(compareSpecificity(a, a), 0);
    assert.equal(Math.sign(compareSpecificity(a, b)), -Math.sign(compareSpecificity(b, a)) + 0);
    if (compareSpecificity(a, b) <= 0 && compareSpecificity(b, c) <= 0) {
      assert.ok(compareSpecificity(a, c) <= 0);
    }
  }));
});
