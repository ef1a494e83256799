import assert from "node:assert/strict";
import fc from "fast-check";
import { SocksReply } from "../../lib/core/mod.ts";
import {
  encodeAuthStatus,
  encodeCredentials,
  encodeGreeting,
  encodeMethod,
  encodeReply,
  encodeRequest,
  parseAuthStatus,
  parseCredentials,
  parseGreeting,
  parseMethod,
  parseReply,
  parseRequest,
  SocksCommand,
} from "../../lib/proxy/socks5.ts";
import { parseHost } from "../../lib/routing/mod.ts";
import { assertIncremental, assertTotal, concat, hex, text, utf8 } from "./bytes.ts";

const port = fc.integer({ min: 0, max: 65535 });
const label = fc.stringMatching(/^[a-z][a-z0-9_-]{0,20}$/);
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."));
const canonical = (host: string) => parseHost(host)!.dial;
const host = fc.oneof(name, fc.ipV4(), fc.ipV6().map(canonical));

Deno.test("parseGreeting() takes every number of methods", () => {
  assert.deepEqual(assertIncremental(parseGreeting, hex("05 01 00")), [0]);
  assert.deepEqual(assertIncremental(parseGreeting, hex("05 03 00 01 02")), [0, 1, 2]);
  assert.deepEqual(parseGreeting(hex("05 00")), { value: [], length: 2 });
  const methods = Array.from({ length: 255 }, (_, i) => i);
  assert.deepEqual(assertIncremental(parseGreeting, encodeGreeting(methods)), methods);
});

Deno.test("parseRequest() reads the three address types", () => {
  const ipv4 = assertIncremental(parseRequest, hex("05 01 00 01 c0000201 01bb"));
  assert.deepEqual(ipv4, { command: 1, host: "192.0.2.1", port: 443 });
  const ipv6 = hex("05 01 00 04 20010db8000000000000000000000001 0050");
  assert.equal(canonical(assertIncremental(parseRequest, ipv6).host), "2001:db8::1");
  const domain = concat(hex("05 01 00 03 0b"), utf8("example.com"), hex("0050"));
  assert.deepEqual(assertIncremental(parseRequest, domain), {
    command: SocksCommand.Connect,
    host: "example.com",
    port: 80,
  });
});

Deno.test("parseRequest() takes names of 1 and of 255 bytes, and non-ASCII ones", () => {
  for (const host of ["a", "b".repeat(255), "bücher.example"]) {
    const bytes = utf8(host);
    const message = concat(hex("05 01 00 03"), Uint8Array.of(bytes.length), bytes, hex("0050"));
    assert.equal(assertIncremental(parseRequest, message).host, host);
  }
});

Deno.test("parsers refuse what no further byte can mend", () => {
  const refused: [(bytes: Uint8Array) => unknown, string, string][] = [
    [parseGreeting, "04", "proxy-protocol-error"],
    [parseGreeting, "16 03 01", "proxy-protocol-error"],
    [parseCredentials, "05", "proxy-protocol-error"],
    [parseRequest, "04 01", "proxy-protocol-error"],
    [parseRequest, "05 01 00 03 00", "proxy-protocol-error"],
    [parseRequest, "05 01 00 03 01 ff 0050", "proxy-protocol-error"],
    [parseRequest, "05 01 00 02", "proxy-address-unsupported"],
    [parseRequest, "05 01 00 00", "proxy-address-unsupported"],
    [parseRequest, "05 01 00 ff", "proxy-address-unsupported"],
    [parseMethod, "00", "proxy-protocol-error"],
    [parseAuthStatus, "05", "proxy-protocol-error"],
    [parseReply, "04", "proxy-protocol-error"],
  ];
  for (const [parser, bytes, code] of refused) {
    assert.throws(() => parser(hex(bytes)), { code }, bytes);
  }
});

Deno.test("messages have the bytes of the RFCs", () => {
  assert.deepEqual(encodeMethod(0xff), hex("05 ff"));
  assert.deepEqual(encodeAuthStatus(true), hex("01 00"));
  assert.deepEqual(encodeAuthStatus(false), hex("01 01"));
  assert.deepEqual(encodeReply(SocksReply.ConnectionRefused), hex("05 05 00 01 00000000 0000"));
  assert.deepEqual(
    encodeReply(0, { host: "10.0.0.7", port: 40000 }),
    hex("05 00 00 01 0a000007 9c40"),
  );
  assert.deepEqual(
    encodeReply(0, { host: "::1", port: 1 }),
    hex("05 00 00 04 00000000000000000000000000000001 0001"),
  );
  assert.deepEqual(encodeCredentials("u", "pw"), hex("01 01 75 02 7077"));
});

Deno.test("encoders refuse what does not fit its length byte", () => {
  assert.throws(() => encodeRequest({ host: "a".repeat(256), port: 1 }), RangeError);
  assert.throws(() => encodeCredentials("u".repeat(256), "p"), RangeError);
  assert.throws(() => encodeCredentials("u", ""), RangeError);
});

Deno.test("requests, replies and credentials survive the round trip", () => {
  fc.assert(fc.property(host, port, fc.integer({ min: 0, max: 255 }), (host, port, code) => {
    const request = assertIncremental(parseRequest, encodeRequest({ host, port }, code));
    assert.deepEqual({ ...request, host: canonical(request.host) }, { command: code, host, port });
    const reply = assertIncremental(parseReply, encodeReply(SocksReply.TtlExpired, { host, port }));
    assert.deepEqual({ ...reply, host: canonical(reply.host) }, { reply: 6, host, port });
  }));
  const secret = fc.string({ minLength: 1, maxLength: 60 });
  fc.assert(fc.property(secret, secret, (user, password) => {
    const parsed = assertIncremental(parseCredentials, encodeCredentials(user, password));
    assert.deepEqual([text(parsed.user), text(parsed.password)], [user, password]);
  }));
});

Deno.test("a link-local address keeps its zone by travelling as a name", () => {
  const request = encodeRequest({ host: "fe80::1%eth0", port: 22 });
  assert.deepEqual(parseRequest(request)?.value.host, "fe80::1%eth0");
});

Deno.test("parsers are total: any bytes give a value, a wish for more, or our error", () => {
  const parsers = [
    parseGreeting,
    parseCredentials,
    parseRequest,
    parseMethod,
    parseAuthStatus,
    parseReply,
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, valid) => {
      if (valid) bytes.set([5, bytes[1] ?? 0, 0, 3].slice(0, bytes.length));
      for (const parser of parsers) assertTotal(parser, bytes);
    }),
    { numRuns: 2000 },
  );
});
