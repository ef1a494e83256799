import assert from "node:assert/strict";
import fc from "fast-check";
import { refreshDelay } from "../../lib/credentials/schedule.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const cases: [string, number, number][] = [
  ["80 % of the time", 10 * MINUTE, 8 * MINUTE],
  ["at most 5 min before", HOUR, 55 * MINUTE],
  ["at least 30 s before", 2 * MINUTE, 90 * SECOND],
  ["never faster than 10 s", 35 * SECOND, 10 * SECOND],
  ["expired already", -HOUR, 10 * SECOND],
  ["once a day at least", 72 * HOUR, 24 * HOUR],
];

for (const [name, remaining, want] of cases) {
  Deno.test(`refreshDelay(): ${name}`, () => assert.equal(refreshDelay(remaining), want));
}

Deno.test("refreshDelay() leaves a buffer of 30 s to 5 min wherever there is room for one", () => {
  fc.assert(fc.property(fc.integer({ min: 40_000, max: 86_400_000 }), (remaining) => {
    const buffer = remaining - refreshDelay(remaining);
    assert.ok(buffer >= 30_000 && buffer <= 300_000, `${buffer}`);
  }));
});
