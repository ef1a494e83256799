import assert from "node:assert/strict";
import { HopList } from "../../lib/cli/hops.ts";
import { createStyle } from "../../lib/cli/style.ts";

Deno.test("HopList shows each hop once, with the time since the start and the step", () => {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const hops = new HopList({ style: createStyle(false), columns: 80, origin: 1000, write });
  hops.add("listening", "127.0.0.1:1080", 1002.34);
  hops.add("StartSession", "x".repeat(100), 1100);
  hops.add("StartSession", "again", 1200);
  hops.add("page", "", 1234.5);
  assert.deepEqual(lines, [
    "   2.3 ms   +2.3 ms  ✓ listening               127.0.0.1:1080",
    ` 100.0 ms  +97.7 ms  ✓ StartSession            ${"x".repeat(31)}…`,
    " 234.5 ms +134.5 ms  ✓ page",
  ]);
  assert.equal(hops.last, 1234.5);
});
