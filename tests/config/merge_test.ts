import assert from "node:assert/strict";
import fc from "fast-check";
import { mergePatterns } from "../../lib/config/merge.ts";

Deno.test("mergePatterns() gives each pattern once and obeys the last word on it", () => {
  const pattern = fc.constantFrom("a", "b", "c");
  const item = fc.oneof(pattern, pattern.map((text) => `!${text}`));
  const levels = fc.array(fc.array(item, { maxLength: 4 }), { maxLength: 4 });
  fc.assert(fc.property(levels, (levels) => {
    const { patterns } = mergePatterns(levels);
    assert.equal(new Set(patterns).size, patterns.length);
    for (const text of ["a", "b", "c"]) {
      const last = levels.findLast((level) => level.includes(text) || level.includes(`!${text}`));
      assert.equal(patterns.includes(text), last?.includes(text) ?? false);
    }
  }));
});
