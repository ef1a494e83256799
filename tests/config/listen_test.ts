import assert from "node:assert/strict";
import fc from "fast-check";
import { isListenAddress } from "../../lib/config/listen.ts";
import { parseListenAddress } from "../../lib/proxy/listen_address.ts";

Deno.test("isListenAddress() accepts only what the proxy can listen on", () => {
  const soup = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[\[\]0-9a-fx:.%]{0,20}$/),
    fc.tuple(
      fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.constant("")),
      fc.nat(70_000),
      fc.boolean(),
    )
      .map(([host, port, brackets]) => `${brackets ? `[${host}]` : host}:${port}`),
  );
  fc.assert(
    fc.property(soup, (text) => {
      // Throws if the proxy does not take it.
      if (isListenAddress(text)) parseListenAddress(text);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("isListenAddress() accepts names, both families, all addresses and port 0, and no half of one", () => {
  for (const text of ["localhost:0", "127.0.0.1:1080", "[::1]:1080", "[fe80::1%en0]:1", ":1080"]) {
    assert.ok(isListenAddress(text), text);
  }
  for (const text of ["", ":", "1080", "[::ffff:127.0.0.1]:1", ".:0", "1.2.3.256:1", "a b:1"]) {
    assert.ok(!isListenAddress(text), text);
  }
});
