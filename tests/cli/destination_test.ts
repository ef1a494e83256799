import assert from "node:assert/strict";
import fc from "fast-check";
import { parseDestination } from "../../lib/cli/destination.ts";
import { UsageError } from "../../lib/cli/usage_error.ts";

const GOOD: [text: string, host: string, port: number][] = [
  ["example.com", "example.com", 443],
  ["example.com:22", "example.com", 22],
  ["10.0.0.1:5432", "10.0.0.1", 5432],
  ["::1", "::1", 443],
  ["fe80::1", "fe80::1", 443],
  ["[::1]", "::1", 443],
  ["[::1]:80", "::1", 80],
  ["http://example.com/x?y", "example.com", 80],
  ["https://example.com", "example.com", 443],
  ["https://[::1]:8443/", "::1", 8443],
  ["ssh://example.com", "example.com", 443],
];

for (const [text, host, port] of GOOD) {
  Deno.test(`parseDestination() reads ${text}`, () => {
    assert.deepEqual(parseDestination(text, 443), { host, port });
  });
}

for (
  const text of ["", ":80", "a:", "a:0", "a:70000", "a:b", "a b", "[::1", "[]:1", "a/b", "://"]
) {
  Deno.test(`parseDestination() refuses ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseDestination(text, 443), UsageError);
  });
}

Deno.test("parseDestination() gives a port in range or a UsageError, whatever the text", () => {
  fc.assert(fc.property(fc.string(), (text) => {
    try {
      const { host, port } = parseDestination(text, 443);
      assert.ok(host.length > 0 && port >= 1 && port <= 65535);
    } catch (error) {
      assert.ok(error instanceof UsageError);
    }
  }));
});
