import assert from "node:assert/strict";
import fc from "fast-check";
import { ChannelWindow, ReceiveBudget } from "../../lib/ssh/receive_window.ts";
import { FakeClock } from "../support/fake_clock.ts";

const KIB = 1024;

function channel(budget: ReceiveBudget, initial = budget.initial) {
  const grants: number[] = [];
  const window = new ChannelWindow(budget, initial, (bytes) => void grants.push(bytes));
  return { window, grants };
}

/** Reads at an even pace for so long. */
async function receive(
  clock: FakeClock,
  windows: readonly ChannelWindow[],
  { bytesPerMs, ms }: { bytesPerMs: number; ms: number },
) {
  for (let passed = 0; passed < ms; passed += 50) {
    await clock.advance(50);
    for (const window of windows) window.consumed(bytesPerMs * 50 / windows.length);
  }
}

Deno.test("a channel is granted more once a quarter of its window is read", () => {
  const budget = new ReceiveBudget(new FakeClock());
  const { window, grants } = channel(budget, 256 * KIB);
  window.consumed(63 * KIB);
  assert.deepEqual(grants, []);
  window.consumed(1 * KIB);
  assert.deepEqual(grants, [64 * KIB]);
  window.consumed(50 * KIB);
  assert.deepEqual(grants, [64 * KIB]);
});

Deno.test("channels that receive share the budget, and get it back when others are done", async () => {
  const clock = new FakeClock();
  const budget = new ReceiveBudget(clock);
  const channels = Array.from({ length: 4 }, () => channel(budget));
  for (const { window } of channels) window.consumed(1);
  await clock.advance(250);
  assert.equal(budget.share(channels[0]!.window), 64 * KIB);
  for (const { window } of channels.splice(1)) window.close();
  assert.equal(budget.share(channels[0]!.window), 256 * KIB);
});

Deno.test("channels that have stopped receiving do not count", async () => {
  const clock = new FakeClock();
  const budget = new ReceiveBudget(clock);
  const [a, b] = [channel(budget), channel(budget)];
  a.window.consumed(1);
  b.window.consumed(1);
  assert.equal(budget.share(a.window), 128 * KIB);
  for (let i = 0; i < 3; i++) {
    await clock.advance(250);
    a.window.consumed(1);
  }
  assert.equal(budget.share(a.window), 256 * KIB);
});

Deno.test("once the rate grows no more, little more is under way than the path holds", async () => {
  for (const roundTrip of [4, 40, 160]) {
    const clock = new FakeClock();
    const budget = new ReceiveBudget(clock);
    const { window } = channel(budget);
    budget.sampleRoundTrip(roundTrip);
    budget.sampleRoundTrip(10 * roundTrip); // with a queue before it
    await receive(clock, [window], { bytesPerMs: 700, ms: 200 });
    assert.equal(budget.total, 256 * KIB, "nothing is known yet");
    await receive(clock, [window], { bytesPerMs: 700, ms: 2000 });
    const held = 700 * roundTrip;
    assert.ok(budget.total > held + 2000, `${budget.total} beside ${held}`);
    assert.ok(
      budget.total < Math.max(2 * held, held + 4500) + 4 * KIB,
      `${budget.total} beside ${held}`,
    );
  }
});

Deno.test("a path that carries more than it did is found out", async () => {
  const clock = new FakeClock();
  const budget = new ReceiveBudget(clock);
  const { window } = channel(budget);
  budget.sampleRoundTrip(10);
  await receive(clock, [window], { bytesPerMs: 100, ms: 2000 });
  const before = budget.total;
  let most = 0;
  for (let i = 0; i < 60; i++) {
    await receive(clock, [window], { bytesPerMs: 100, ms: 100 });
    most = Math.max(most, budget.total);
  }
  assert.ok(most >= 2 * before, `at most ${most} after ${before}`);
  await receive(clock, [window], { bytesPerMs: 2000, ms: 300 });
  assert.equal(budget.total, 256 * KIB, "it grows: all is open again");
});

Deno.test("after a pause nothing is known, and a fast path gets as much as it takes", async () => {
  const clock = new FakeClock();
  const budget = new ReceiveBudget(clock);
  const { window } = channel(budget);
  budget.sampleRoundTrip(100);
  await receive(clock, [window], { bytesPerMs: 10, ms: 3000 });
  assert.ok(budget.total < 8 * KIB);
  await clock.advance(60_000);
  await receive(clock, [window], { bytesPerMs: 5000, ms: 200 });
  assert.equal(budget.total, 1_000_000);
  await receive(clock, [window], { bytesPerMs: 1_000_000, ms: 300 });
  assert.equal(budget.total, 2048 * KIB);
});

Deno.test("however many channels there are, each gets something", () => {
  const budget = new ReceiveBudget(new FakeClock());
  const channels = Array.from({ length: 500 }, () => channel(budget));
  for (const { window } of channels) window.consumed(1);
  assert.equal(budget.share(channels[0]!.window), 2 * KIB);
  assert.equal(budget.initial, 32 * KIB);
});

Deno.test("no reader can starve its channel, whatever it reads and when", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 100_000 }), fc.nat(300)), {
        maxLength: 60,
      }),
      async (steps) => {
        const clock = new FakeClock();
        const budget = new ReceiveBudget(clock);
        budget.sampleRoundTrip(50);
        const channels = Array.from({ length: 4 }, () => {
          const initial = budget.initial;
          let left = initial;
          const window = new ChannelWindow(budget, initial, (bytes) => {
            assert.ok(bytes > 0);
            left += bytes;
          });
          return {
            /** Reads what the server could have sent. */
            read(wanted: number) {
              const bytes = Math.min(wanted, left);
              left -= bytes;
              window.consumed(bytes);
              assert.ok(left >= KIB && left <= 2048 * KIB, `${left} bytes left`);
            },
          };
        });
        for (const [index, wanted, pause] of steps) {
          channels[index]!.read(wanted);
          if (pause > 200) await clock.advance(pause);
        }
      },
    ),
    { numRuns: 50 },
  );
});
