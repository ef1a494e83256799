import assert from "node:assert/strict";
import fc from "fast-check";
import { isAwsocksError } from "../../lib/core/mod.ts";
import {
  checkListenAddress,
  isLoopback,
  parseListenAddress,
} from "../../lib/proxy/listen_address.ts";

Deno.test("parseListenAddress() takes names, IPv4, IPv6 and the empty host", () => {
  const cases: [string, string, number][] = [
    ["127.0.0.1:1080", "127.0.0.1", 1080],
    ["localhost:0", "localhost", 0],
    ["[::1]:1080", "::1", 1080],
    [":1080", "0.0.0.0", 1080],
    ["0.0.0.0:65535", "0.0.0.0", 65535],
  ];
  for (const [text, host, port] of cases) {
    assert.deepEqual(parseListenAddress(text), { host, port }, text);
  }
});

Deno.test("parseListenAddress() refuses everything else", () => {
  const bad = ["", "1080", "host", "host:", "::1:1080", "[::1]", "[1.2.3.4]:1", "a b:1", "h:65536"];
  for (const text of [...bad, "h:-1", "h:1x", "[]:1", "http://127.0.0.1:1080"]) {
    assert.throws(() => parseListenAddress(text), { code: "usage" }, text);
  }
  fc.assert(fc.property(fc.string(), (text) => {
    try {
      const { port } = parseListenAddress(text);
      assert.ok(port >= 0 && port <= 65535);
    } catch (error) {
      assert.ok(isAwsocksError(error, "usage"));
    }
  }));
});

Deno.test("isLoopback() knows every spelling of this machine, and nothing else", () => {
  for (const host of ["127.0.0.1", "127.8.9.1", "127.1", "::1", "::ffff:127.0.0.1", "LOCALHOST"]) {
    assert.equal(isLoopback(host), true, host);
  }
  const others = ["0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "::2", "localhost.example", "a b"];
  for (const host of others) assert.equal(isLoopback(host), false, host);
});

Deno.test("checkListenAddress() refuses an open proxy unless that was asked for", () => {
  const open = { host: "0.0.0.0", port: 1080 };
  const loopback = { host: "127.0.0.1", port: 1080 };
  const none = { authenticated: false, allowOpen: false };
  assert.throws(() => checkListenAddress(open, none), { code: "listen-open" });
  checkListenAddress(open, { ...none, authenticated: true });
  checkListenAddress(open, { ...none, allowOpen: true });
  checkListenAddress(loopback, none);
});
