import assert from "node:assert/strict";
import fc from "fast-check";
import { growth, leastBurdened, type Member, SESSION_CEILING } from "../../lib/backend/pool.ts";

const member = fc.record<Member>({
  load: fc.nat({ max: 50 }),
  pace: fc.double({ min: 0, max: 2 * SESSION_CEILING, noNaN: true }),
  fresh: fc.boolean(),
  healthy: fc.boolean(),
});

Deno.test("leastBurdened() takes a healthy member, then the one with the least to do", () => {
  fc.assert(fc.property(fc.array(member, { minLength: 1 }), (members) => {
    const best = leastBurdened(members)!;
    if (members.some(({ healthy }) => healthy)) assert.ok(best.healthy);
    for (const other of members.filter(({ healthy }) => healthy === best.healthy)) {
      assert.ok(best.load <= other.load + 2, "a session at its limit counts as two connections");
    }
  }));
  assert.equal(leastBurdened([]), undefined);
});

Deno.test("leastBurdened() sees the pace where the connections are equal in number", () => {
  const busy = { load: 1, pace: SESSION_CEILING, fresh: false, healthy: true };
  const quiet = { load: 1, pace: 0, fresh: false, healthy: true };
  assert.equal(leastBurdened([busy, quiet]), quiet);
  const fresh = { ...quiet, fresh: true };
  assert.equal(leastBurdened([busy, fresh]), busy, "a new connection may be as busy");
});

Deno.test("growth() opens one member per waiting connection, within the bound", () => {
  fc.assert(fc.property(
    fc.nat({ max: 20 }),
    fc.nat({ max: 20 }),
    fc.nat({ max: 20 }),
    fc.nat({ max: 20 }),
    (waiting, opening, size, max) => {
      const more = growth({ waiting, opening, size, max });
      assert.ok(more >= 0);
      assert.ok(more === 0 || (size + more <= max && opening + more <= waiting));
    },
  ));
  assert.equal(growth({ waiting: 8, opening: 1, size: 1, max: 4 }), 3);
});
