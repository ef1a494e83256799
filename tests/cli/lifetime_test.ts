import assert from "node:assert/strict";
import { Lifetime, STOP_LIMIT } from "../../lib/cli/lifetime.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

function setUp() {
  const clock = new FakeClock();
  const exits: number[] = [];
  const stops: string[] = [];
  const lifetime = new Lifetime({
    clock,
    exit: (code) => exits.push(code),
    onStop: (signal) => stops.push(signal),
  });
  return { clock, exits, stops, lifetime };
}

Deno.test("Lifetime ends with the first signal and exits with the second", async () => {
  const { exits, stops, lifetime } = setUp();
  const ended = lifetime.ended();
  lifetime.stop("SIGINT");
  await ended;
  assert.deepEqual([stops, exits], [["SIGINT"], []]);
  lifetime.stop("SIGINT");
  assert.deepEqual([stops, exits], [["SIGINT"], [130]]);
});

Deno.test("Lifetime.close() closes the latest first, also after a failure", async () => {
  const { clock, lifetime } = setUp();
  const order: string[] = [];
  const clean = await lifetime.close([
    () => void order.push("first"),
    () => Promise.reject(new Error("no")),
    async () => {
      await Promise.resolve();
      order.push("last");
    },
  ]);
  assert.ok(clean);
  assert.deepEqual(order, ["last", "first"]);
  assert.equal(clock.pending, 0);
});

Deno.test("Lifetime.close() gives up after its limit", async () => {
  const { clock, lifetime } = setUp();
  const closing = lifetime.close([() => new Promise<void>(() => {})]);
  await clock.advance(STOP_LIMIT - 1);
  let done = false;
  closing.then(() => done = true);
  await settle();
  assert.ok(!done);
  await clock.advance(1);
  assert.equal(await closing, false);
});

Deno.test("Lifetime.listen() leaves no signal listener behind", () => {
  const { lifetime } = setUp();
  using _lifetime = lifetime;
  lifetime.listen();
});
