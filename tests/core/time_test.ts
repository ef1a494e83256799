import assert from "node:assert/strict";
import fc from "fast-check";
import {
  Backoff,
  orAborted,
  retry,
  settledWithin,
  systemClock,
  withDeadline,
} from "../../lib/core/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

Deno.test("Backoff grows to its limit, jitters within bounds and starts again", () => {
  fc.assert(fc.property(fc.double({ min: 0, max: 0.999, noNaN: true }), (random) => {
    const backoff = new Backoff({ initial: 100, max: 5000, random: () => random });
    const delays = Array.from({ length: 12 }, () => backoff.next());
    delays.forEach((delay, i) => {
      const full = Math.min(5000, 100 * 2 ** i);
      assert.ok(delay >= full / 2 && delay <= full, `${delay} of ${full}`);
    });
    backoff.reset();
    assert.ok(backoff.next() <= 100);
  }));
});

Deno.test("retry() repeats until success with growing waits", async () => {
  const clock = new FakeClock();
  const delays: number[] = [];
  const result = retry({
    clock,
    initial: 100,
    max: 1000,
    jitter: 0,
    retryable: () => true,
    onRetry: (_error, delay) => delays.push(delay),
  }, (attempt) => attempt < 6 ? Promise.reject(new Error("no")) : Promise.resolve(attempt));
  await clock.advance(10_000);
  assert.equal(await result, 6);
  assert.deepEqual(delays, [100, 200, 400, 800, 1000]);
});

Deno.test("retry() stops at its attempts, its budget, a lasting failure and its signal", async () => {
  const clock = new FakeClock();
  const options = { clock, initial: 100, max: 100, jitter: 0, retryable: () => true };
  const no = () => Promise.reject(new Error("no"));
  let calls = 0;
  const counted = () => (calls++, no());
  const three = assert.rejects(retry({ ...options, attempts: 3 }, counted), /no/);
  await clock.advance(1000);
  await three;
  assert.equal(calls, 3);
  const budget = assert.rejects(retry({ ...options, budget: 250 }, counted), /no/);
  await clock.advance(1000);
  await budget;
  assert.equal(calls, 6);
  await assert.rejects(retry({ ...options, retryable: () => false }, counted), /no/);
  assert.equal(calls, 7);
  const abort = new AbortController();
  const aborted = assert.rejects(retry({ ...options, signal: abort.signal }, counted), /stop/);
  await settle();
  abort.abort(new Error("stop"));
  await aborted;
  assert.equal(clock.pending, 0);
});

Deno.test("withDeadline() gives the result, the time-out or the abort, and leaves no timer", async () => {
  const clock = new FakeClock();
  assert.equal(await withDeadline(clock, 10, () => "late", () => Promise.resolve(1)), 1);
  let seen: AbortSignal | undefined;
  const never = (signal: AbortSignal) => {
    seen = signal;
    return new Promise<never>(() => {});
  };
  const late = assert.rejects(withDeadline(clock, 10, () => new Error("late"), never), /late/);
  await clock.advance(10);
  await late;
  assert.equal(seen?.aborted, true);
  const abort = new AbortController();
  const aborted = assert.rejects(
    withDeadline(clock, 10, () => new Error("late"), never, abort.signal),
    /stop/,
  );
  abort.abort(new Error("stop"));
  await aborted;
  await assert.rejects(withDeadline(clock, 10, () => 0, never, abort.signal), /stop/);
  assert.equal(clock.pending, 0);
});

Deno.test("settledWithin() says whether it was in time, and leaves no timer", async () => {
  const clock = new FakeClock();
  assert.equal(await settledWithin(clock, 10, Promise.resolve()), true);
  const late = settledWithin(clock, 10, new Promise(() => {}));
  await clock.advance(10);
  assert.equal(await late, false);
  await assert.rejects(settledWithin(clock, 10, Promise.reject(new Error("failed"))), /failed/);
  assert.equal(clock.pending, 0);
});

Deno.test("orAborted() gives the result, or the reason of the signal that comes first", async () => {
  const abort = new AbortController();
  assert.equal(await orAborted(Promise.resolve(1)), 1);
  assert.equal(await orAborted(Promise.resolve(1), abort.signal), 1);
  const waiting = assert.rejects(orAborted(new Promise(() => {}), abort.signal), /stop/);
  abort.abort(new Error("stop"));
  await waiting;
  await assert.rejects(orAborted(Promise.resolve(1), abort.signal), /stop/);
});

Deno.test("FakeClock fires timers in order and systemClock tells the time", async () => {
  const clock = new FakeClock(0);
  const fired: string[] = [];
  clock.after(20, () => fired.push(`b@${clock.now()}`));
  clock.after(10, () => fired.push(`a@${clock.now()}`));
  using _every = clock.every(15, () => fired.push(`e@${clock.monotonic()}`));
  clock.after(12, () => fired.push("never")).cancel();
  await clock.advance(30);
  assert.deepEqual(fired, ["a@10", "e@15", "b@20", "e@30"]);
  await systemClock.sleep(1);
  assert.ok(Math.abs(systemClock.now() - Date.now()) < 1000);
  await assert.rejects(systemClock.sleep(1e6, { signal: AbortSignal.abort(new Error("x")) }), /x/);
});
