import assert from "node:assert/strict";
import { Random } from "../../lib/sandbox/random.ts";

Deno.test("Random repeats with its seed and differs with another", () => {
  const draw = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 50 }, () => random.next());
  };
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
});

Deno.test("Random.next() is spread over [0, 1)", () => {
  const random = new Random(1);
  const buckets = new Array(10).fill(0);
  for (let i = 0; i < 10_000; i++) {
    const value = random.next();
    assert.ok(value >= 0 && value < 1);
    buckets[Math.floor(value * 10)]++;
  }
  for (const count of buckets) assert.ok(count > 850 && count < 1150, `bucket of ${count}`);
});

Deno.test("Random.chance() keeps to its probability and draws nothing for 0", () => {
  const random = new Random(3);
  const same = new Random(3);
  for (let i = 0; i < 10; i++) assert.equal(random.chance(0), false);
  assert.equal(random.next(), same.next());
  const hits = Array.from({ length: 10_000 }, () => random.chance(0.2)).filter(Boolean).length;
  assert.ok(hits > 1800 && hits < 2200, `${hits} hits`);
});

Deno.test("Random.between() reaches both ends", () => {
  const random = new Random(5);
  const seen = new Set(Array.from({ length: 200 }, () => random.between(1, 3)));
  assert.deepEqual([...seen].toSorted(), [1, 2, 3]);
});

Deno.test("Random.uuid() gives distinct version 4 UUIDs", () => {
  const random = new Random(9);
  const uuids = Array.from({ length: 1000 }, () => random.uuid());
  for (const uuid of uuids) {
    assert.match(uuid, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  }
  assert.equal(new Set(uuids).size, uuids.length);
});

Deno.test("Random.fork() leaves the parent's further draws to itself", () => {
  const [a, b] = [new Random(2), new Random(2)];
  const fork = a.fork();
  b.fork();
  for (let i = 0; i < 5; i++) fork.next();
  assert.equal(a.next(), b.next());
});
