import assert from "node:assert/strict";
import fc from "fast-check";
import { parseListenAddress } from "../../lib/config/listen.ts";

Deno.test("parseListenAddress() splits host and port", () => {
  assert.deepEqual(parseListenAddress("127.0.0.1:1080"), { host: "127.0.0.1", port: 1080 });
  assert.deepEqual(parseListenAddress("[::1]:0"), { host: "::1", port: 0 });
  assert.deepEqual(parseListenAddress("[fe80::1%en0]:1"), { host: "fe80::1%en0", port: 1 });
  assert.deepEqual(parseListenAddress("my-host.local:65535"), {
    host: "my-host.local",
    port: 65535,
  });
});

Deno.test("parseListenAddress() never throws", () => {
  const soup = fc.oneof(fc.string(), fc.stringMatching(/^[\[\]0-9a-f:.%]{0,20}$/));
  fc.assert(fc.property(soup, (text) => void parseListenAddress(text)));
});
