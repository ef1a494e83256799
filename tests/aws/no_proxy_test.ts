import assert from "node:assert/strict";
import fc from "fast-check";
import { parseNoProxy } from "../../lib/aws/no_proxy.ts";

Deno.test.each([
  // [NO_PROXY, host, port, bypassed]
  ["", "example.com", 443, false],
  ["*", "example.com", 443, true],
  ["example.com", "example.com", 443, true],
  ["example.com", "www.Example.COM.", 443, true],
  ["example.com", "badexample.com", 443, false],
  [".example.com", "example.com", 443, true],
  [".example.com", "a.b.example.com", 443, true],
  ["*.example.com", "a.example.com", 443, true],
  ["Example.Com.", "example.com", 443, true],
  ["other.org, .example.com", "www.example.com", 443, true],
  ["other.org example.com", "example.com", 443, true],
  ["example.com:8443", "example.com", 8443, true],
  ["example.com:8443", "example.com", 443, false],
  ["*.example.com:80", "x.example.com", 80, true],
  ["10.0.0.0/8", "10.20.30.40", 443, true],
  ["10.0.0.0/8", "11.0.0.1", 443, false],
  ["10.0.0.0/8", "10.example.com", 443, false],
  ["0.0.0.0/0", "203.0.113.9", 443, true],
  ["0.0.0.0/0", "2001:db8::1", 443, false],
  ["192.0.2.7", "192.0.2.7", 443, true],
  ["192.0.2.7", "192.0.2.70", 443, false],
  ["192.0.2.7:8080", "192.0.2.7", 8080, true],
  ["192.0.2.0/33", "192.0.2.7", 443, false],
  ["192.0.2.0/", "192.0.2.7", 443, false],
  ["192.0.2.0/24/8", "192.0.2.7", 443, false],
  ["2001:db8::/32", "[2001:DB8:0:1::9]", 443, true],
  ["2001:db8::/32", "2001:db9::1", 443, false],
  ["[2001:db8::1]", "2001:db8:0:0::1", 443, true],
  ["[2001:db8::1]:8443", "2001:db8::1", 8443, true],
  ["[2001:db8::1]:8443", "2001:db8::1", 443, false],
  ["::ffff:192.0.2.7", "::ffff:c000:207", 443, true],
  [".", "example.com", 443, false],
  ["exam/ple", "exam/ple", 443, false],
] as [string, string, number, boolean][])(
  "parseNoProxy(%s) says for %s port %s: %s",
  (value, host, port, expected) => {
    assert.equal(parseNoProxy(value)(host, port), expected);
  },
);

Deno.test("parseNoProxy() never proxies loopback", () => {
  const bypass = parseNoProxy("");
  for (const host of ["localhost", "LOCALHOST.", "api.localhost", "127.0.0.1", "127.9.9.9"]) {
    assert.equal(bypass(host, 80), true, host);
  }
  for (const host of ["::1", "[::1]", "0:0:0:0:0:0:0:1"]) {
    assert.equal(bypass(host, 80), true, host);
  }
  for (const host of ["128.0.0.1", "::2", "localhost.example.com", "127.0.0.1.nip.io"]) {
    assert.equal(bypass(host, 80), false, host);
  }
});

Deno.test("parseNoProxy() covers exactly the addresses of a prefix", () => {
  const octets = fc.tuple(...Array(4).fill(fc.nat(255)) as fc.Arbitrary<number>[]);
  const number = (parts: number[]) => parts.reduce((sum, part) => sum * 256 + part, 0);
  fc.assert(fc.property(octets, octets, fc.nat(32), (network, host, bits) => {
    const size = 2 ** (32 - bits);
    const same = Math.floor(number(network) / size) === Math.floor(number(host) / size);
    const bypass = parseNoProxy(`${network.join(".")}/${bits}`);
    assert.equal(bypass(host.join("."), 443), same || host[0] === 127);
  }));
});

Deno.test("parseNoProxy() takes any text", () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[*.:/\[\]0-9a-f, ]{0,30}$/));
  fc.assert(fc.property(text, text, fc.nat(65535), (value, host, port) => {
    assert.equal(typeof parseNoProxy(value)(host, port), "boolean");
  }));
});
