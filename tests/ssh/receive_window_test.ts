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

Deno.test("a channel is granted more once half its window is read", () => {
  const budget = new ReceiveBudget(new FakeClock());
  const { window, grants } = channel(budget, 256 * KIB);
  window.consumed(127 * KIB);
  assert.deepEqual(grants, []);
  window.consumed(1 * KIB);
  assert.deepEqual(grants, [128 * KIB]);
  window.consumed(100 * KIB);
  assert.deepEqual(grants, [128 * KIB]);
});

Deno.test("channels that receive share the budget, and get it back when others are done", async () => {
  const clock = new FakeClock();
  const budget = new ReceiveBudget(clock);
  const channels = Array.from({ length: 4 }, () => channel(budget));
  const round = async () => {
    for (const { window } of channels) window.consumed(1);
    await clock.advance(250);
  };
  await round();
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

Deno.test("the budget grows to twice what the path holds, within its bounds", async () => {
  const clock = new FakeClock();
  const budget = new ReceiveBudget(clock);
  const { window } = channel(budget);
  const receive = async (bytesPerMs: number) => {
    for (let i = 0; i < 40; i++) {
      await clock.advance(250);
      window.consumed(bytesPerMs * 250);
    }
  };
  budget.sampleRoundTrip(100);
  await receive(700); // a session's usual pace
  assert.equal(budget.total, 256 * KIB);
  await receive(4000); // text, compressed
  assert.equal(budget.total, 800_000);
  budget.sampleRoundTrip(900); // with a queue before it
  assert.equal(budget.total, 800_000);
  budget.sampleRoundTrip(80);
  assert.equal(budget.total, 640_000);
  await receive(1_000_000);
  assert.equal(budget.total, 2048 * KIB);
  await receive(1);
  assert.equal(budget.total, 256 * KIB);
});

Deno.test("however many channels there are, each gets a packet", () => {
  const budget = new ReceiveBudget(new FakeClock());
  const channels = Array.from({ length: 500 }, () => channel(budget));
  for (const { window } of channels) window.consumed(1);
  assert.equal(budget.share(channels[0]!.window), 32 * KIB);
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
              assert.ok(left >= 16 * KIB && left <= 2048 * KIB, `${left} bytes left`);
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
