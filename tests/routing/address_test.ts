import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { networkOf, parseIpv4, parseIpv4Strict, parseIpv6 } from "../../lib/routing/address.ts";

Deno.test("parseIpv4() reads every spelling of inet_aton", () => {
  const spellings: Record<string, string[]> = {
    "127.0.0.1": ["127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0X7F.0.0.0x1", "2130706433"],
    "8.0.0.1": ["010.0.0.1", "8.1", "0x8000001", "01000000001"],
    "0.0.0.0": ["0", "0.0", "0x0", "00"],
    "255.255.255.255": ["4294967295", "0xffffffff", "255.0xffffff", "037777777777"],
  };
  for (const [canonical, texts] of Object.entries(spellings)) {
    for (const text of texts) assert.equal(parseIpv4(text)?.text, canonical, text);
  }
});

Deno.test("parseIpv4() refuses what inet_aton refuses", () => {
  const wrong = [
    ..."|.|1.|.1|1..2|256.1.1.1|1.2.3.256|1.2.3.4.5|08.1|0x|0xg|4294967296|1.16777216|-1|1e3|+1| 1"
      .split("|"),
  ];
  for (const text of wrong) assert.equal(parseIpv4(text), undefined, text);
});

Deno.test("parseIpv4() and parseIpv4Strict() leave dotted decimals as they are", () => {
  fc.assert(fc.property(fc.ipV4(), (text) => {
    assert.equal(parseIpv4(text)?.text, text);
    assert.equal(parseIpv4Strict(text)?.text, text);
  }));
});

Deno.test("parseIpv4Strict() takes dotted decimal only, as node:net does", () => {
  fc.assert(fc.property(fc.stringMatching(/^[0-9.x]{1,16}$/), (text) => {
    assert.equal(parseIpv4Strict(text) !== undefined, isIPv4(text));
  }));
});

Deno.test("parseIpv6() reads and writes RFC 5952", () => {
  const vectors: Record<string, string[]> = {
    "::": ["::", "0:0:0:0:0:0:0:0", "0::0"],
    "::1": ["::1", "0:0:0:0:0:0:0:1", "0::0:1"],
    "2001:db8::1": ["2001:DB8::1", "2001:0db8:0000::0001", "2001:db8:0:0:0:0:0:1"],
    // RFC 5952 section 4.2.2: one zero group is not shortened.
    "2001:db8:0:1:1:1:1:1": ["2001:db8::1:1:1:1:1"],
    // Section 4.2.3: of two equal runs the first.
    "2001:db8::1:0:0:1": ["2001:db8:0:0:1:0:0:1"],
    "1::": ["1::", "1:0:0:0:0:0:0:0"],
    "10.1.2.3": ["::ffff:10.1.2.3", "::FFFF:0a01:0203", "0:0:0:0:0:ffff:10.1.2.3"],
    "64:ff9b::a01:203": ["64:ff9b::10.1.2.3"],
  };
  for (const [canonical, texts] of Object.entries(vectors)) {
    for (const text of texts) assert.equal(parseIpv6(text)?.text, canonical, text);
  }
});

Deno.test("parseIpv6() agrees with the URL parser", () => {
  fc.assert(fc.property(fc.ipV6(), (text) => {
    const parsed = parseIpv6(text);
    assert.ok(parsed, text);
    const url = new URL(`http://[${text}]`).hostname.slice(1, -1);
    assert.equal(parsed.family === 4 ? parseIpv6(url)?.text : url, parsed.text);
  }));
});

Deno.test("parseIpv6() accepts exactly what node:net accepts", () => {
  const soup = fc.stringMatching(/^[0-9a-f:.]{0,24}$/);
  fc.assert(
    fc.property(soup, (text) => {
      assert.equal(parseIpv6(text) !== undefined, isIPv6(text), text);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("networkOf() clears the bits behind the prefix", () => {
  const v4 = parseIpv4("10.1.2.3")!;
  assert.equal(networkOf(v4, 8).text, "10.0.0.0");
  assert.equal(networkOf(v4, 0).text, "0.0.0.0");
  assert.equal(networkOf(v4, 32).text, "10.1.2.3");
  const v6 = parseIpv6("fd00:1:2::3")!;
  assert.equal(networkOf(v6, 20).text, "fd00::");
  assert.equal(networkOf(v6, 128).text, "fd00:1:2::3");
});
