import assert from "node:assert/strict";
import fc from "fast-check";
import { SharedTimer, systemClock, type Timer } from "../../lib/core/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";

Deno.test("a shared timer fires what a timer of its own would, whatever comes and goes", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("after" as const), ms: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ kind: fc.constant("cancel" as const), which: fc.nat() }),
    fc.record({ kind: fc.constant("advance" as const), ms: fc.integer({ min: 0, max: 30 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const clock = new FakeClock();
      const shared = new SharedTimer(clock);
      const own: number[] = [];
      const fired: number[] = [];
      const timers: [Timer, Timer][] = [];
      for (const [number, step] of steps.entries()) {
        if (step.kind === "after") {
          // Whole numbers of 2 ms: timers may fire one millisecond early, which is not the point here.
          timers.push([
            clock.after(2 * step.ms, () => own.push(number)),
            shared.after(2 * step.ms, () => fired.push(number)),
          ]);
        } else if (step.kind === "cancel" && timers.length > 0) {
          for (const timer of timers[step.which % timers.length]!) timer.cancel();
        } else if (step.kind === "advance") {
          await clock.advance(2 * step.ms);
        }
        assert.deepEqual(new Set(fired), new Set(own));
      }
      await clock.advance(200);
      assert.deepEqual(fired.toSorted(), own.toSorted());
      assert.equal(clock.pending, 0, "nothing waits behind the last");
    }),
    { numRuns: 50 },
  );
});

Deno.test("many timers share one, which is gone with the last of them", async () => {
  const clock = new FakeClock();
  const shared = new SharedTimer(clock);
  const timers = Array.from({ length: 100 }, () => shared.after(1000, () => assert.fail()));
  assert.equal(clock.pending, 1);
  for (const timer of timers.slice(1)) timer.cancel();
  assert.equal(clock.pending, 1);
  timers[0]![Symbol.dispose]();
  timers[0]!.cancel();
  assert.equal(clock.pending, 0);
  await clock.advance(2000);
});

Deno.test("what a callback of a shared timer sets waits its own time", async () => {
  const clock = new FakeClock();
  const shared = new SharedTimer(clock);
  const fired: number[] = [];
  const again = () => {
    fired.push(clock.monotonic());
    if (fired.length < 3) shared.after(100, again);
  };
  shared.after(100, again);
  await clock.advance(1000);
  assert.deepEqual(fired, [100, 200, 300]);
});

Deno.test("a shared timer works with the real time", async () => {
  const shared = new SharedTimer(systemClock);
  const start = performance.now();
  await new Promise<void>((resolve) => {
    shared.after(10_000, () => {}).cancel();
    shared.after(50, resolve);
  });
  assert.ok(performance.now() - start >= 48);
});
