import assert from "node:assert/strict";
import { OncePerKey, RateLimit } from "../../lib/proxy/rate_limit.ts";
import { FakeClock } from "../support/fake_clock.ts";

Deno.test("OncePerKey tells the first occurrence, and forgets the oldest beyond its limit", () => {
  const once = new OncePerKey(2);
  assert.deepEqual(["a", "b", "a", "b"].map((key) => once.first(key)), [true, true, false, false]);
  assert.equal(once.first("c"), true);
  assert.equal(once.first("b"), false);
  assert.equal(once.first("a"), true);
});

Deno.test("RateLimit lets a key through once per interval and counts the rest", async () => {
  const clock = new FakeClock();
  const limit = new RateLimit({ clock, interval: 10_000, limit: 10 });
  assert.equal(limit.pass("a"), 0);
  assert.equal(limit.pass("b"), 0);
  assert.equal(limit.pass("a"), undefined);
  await clock.advance(9_999);
  assert.equal(limit.pass("a"), undefined);
  await clock.advance(1);
  assert.equal(limit.pass("a"), 2);
  assert.equal(limit.pass("a"), undefined);
});

Deno.test("RateLimit forgets the oldest key beyond its limit", () => {
  const limit = new RateLimit({ clock: new FakeClock(), interval: 10_000, limit: 2 });
  for (const key of ["a", "b", "c"]) assert.equal(limit.pass(key), 0);
  assert.equal(limit.pass("c"), undefined);
  assert.equal(limit.pass("a"), 0);
});
