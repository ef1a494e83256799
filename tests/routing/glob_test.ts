import assert from "node:assert/strict";
import fc from "fast-check";
import { matchGlob } from "../../lib/routing/glob.ts";

Deno.test("matchGlob() lets a star span dots and a question mark stand for one character", () => {
  assert.ok(matchGlob("*.a?.com", "x.y.ab.com"));
  assert.ok(!matchGlob("*.a?.com", "x.a.com"));
  assert.ok(matchGlob("dev-*", "dev-"));
  assert.ok(!matchGlob("dev-*", "xdev-1"));
  assert.ok(matchGlob("*a*b", "xxaxxabxb"));
  assert.ok(!matchGlob("", "a"));
});

Deno.test("matchGlob() agrees with a regular expression", () => {
  const glob = fc.stringMatching(/^[ab.*?]{0,8}$/);
  const text = fc.stringMatching(/^[ab.]{0,12}$/);
  fc.assert(
    fc.property(glob, text, (glob, text) => {
      const source = glob.replaceAll(".", "\\.").replaceAll("*", ".*").replaceAll("?", ".");
      assert.equal(matchGlob(glob, text), new RegExp(`^${source}$`).test(text));
    }),
    { numRuns: 3000 },
  );
});

Deno.test("matchGlob() takes no exponential time", () => {
  const start = performance.now();
  assert.ok(!matchGlob(`${"*a".repeat(100)}b`, "a".repeat(255)));
  assert.ok(performance.now() - start < 500);
});
