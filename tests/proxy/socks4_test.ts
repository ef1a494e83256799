import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeSocks4Reply, parseSocks4Request } from "../../lib/proxy/socks4.ts";
import { assertIncremental, assertTotal, concat, hex, utf8 } from "./bytes.ts";

Deno.test("parseSocks4Request() reads an address and drops the user id", () => {
  for (const user of ["", "fred"]) {
    const bytes = concat(hex("04 01 0050 c0000201"), utf8(`${user}\0`));
    const request = assertIncremental(parseSocks4Request, bytes);
    assert.deepEqual(request, { command: 1, host: "192.0.2.1", port: 80 });
  }
});

Deno.test("parseSocks4Request() reads the name of a 4A request", () => {
  const bytes = concat(hex("04 01 01bb 00000001"), utf8("fred\0www.example.com\0"));
  const request = assertIncremental(parseSocks4Request, bytes);
  assert.deepEqual(request, { command: 1, host: "www.example.com", port: 443 });
});

Deno.test("parseSocks4Request() bounds its strings", () => {
  const head = hex("04 01 01bb 00000001");
  const malformed = { code: "proxy-protocol-error" };
  assert.throws(() => parseSocks4Request(concat(head, utf8("u".repeat(256)))), malformed);
  const longName = concat(head, utf8(`u\0${"n".repeat(256)}`));
  assert.throws(() => parseSocks4Request(longName), malformed);
  assert.throws(() => parseSocks4Request(hex("05")), malformed);
});

Deno.test("parseSocks4Request() is total", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      assertTotal(parseSocks4Request, concat(hex("04"), bytes));
    }),
    { numRuns: 2000 },
  );
});

Deno.test("encodeSocks4Reply() says granted or rejected", () => {
  assert.deepEqual(encodeSocks4Reply(true), hex("00 5a 0000 00000000"));
  assert.deepEqual(encodeSocks4Reply(false), hex("00 5b 0000 00000000"));
});
