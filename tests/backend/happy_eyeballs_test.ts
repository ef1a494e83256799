import assert from "node:assert/strict";
import { ATTEMPT_DELAY_MS, connectFirst, interleave } from "../../lib/backend/happy_eyeballs.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

/** Attempts that a test settles by hand. */
class Attempts {
  readonly started: string[] = [];
  readonly discarded: string[] = [];
  readonly aborted: string[] = [];
  readonly clock = new FakeClock();
  readonly controller = new AbortController();
  readonly #outcomes = new Map<string, PromiseWithResolvers<string>>();

  run(...addresses: string[]): Promise<string> {
    return connectFirst(addresses, {
      clock: this.clock,
      signal: this.controller.signal,
      discard: (connection) => this.discarded.push(connection),
      connect: (address, signal) => {
        this.started.push(address);
        signal.addEventListener("abort", () => this.aborted.push(address));
        const outcome = Promise.withResolvers<string>();
        this.#outcomes.set(address, outcome);
        return outcome.promise;
      },
    });
  }

  async succeed(address: string): Promise<void> {
    this.#outcomes.get(address)!.resolve(address);
    await settle();
  }

  async fail(address: string): Promise<void> {
    this.#outcomes.get(address)!.reject(new Error(`no ${address}`));
    await settle();
  }
}

Deno.test("interleave() puts the families in turn and keeps their order", () => {
  assert.deepEqual(interleave(["::1", "::2", "::3", "1.1.1.1"]), ["::1", "1.1.1.1", "::2", "::3"]);
  assert.deepEqual(interleave(["1.1.1.1", "::1", "2.2.2.2"]), ["1.1.1.1", "::1", "2.2.2.2"]);
  assert.deepEqual(interleave(["1.1.1.1"]), ["1.1.1.1"]);
});

Deno.test("connectFirst() takes the first address if that answers, and leaves no timer", async () => {
  const attempts = new Attempts();
  const result = attempts.run("a", "b");
  await attempts.succeed("a");
  assert.equal(await result, "a");
  assert.deepEqual(attempts.started, ["a"]);
  assert.equal(attempts.clock.pending, 0);
});

Deno.test("connectFirst() tries the next address after a delay, or at once after a failure", async () => {
  const attempts = new Attempts();
  const result = attempts.run("a", "b", "c");
  await attempts.clock.advance(ATTEMPT_DELAY_MS - 1);
  assert.deepEqual(attempts.started, ["a"]);
  await attempts.clock.advance(1);
  assert.deepEqual(attempts.started, ["a", "b"]);
  await attempts.fail("b");
  assert.deepEqual(attempts.started, ["a", "b", "c"]);
  await attempts.succeed("c");
  assert.equal(await result, "c");
  assert.deepEqual(attempts.aborted, ["a", "b", "c"]);
  await attempts.succeed("a");
  assert.deepEqual(attempts.discarded, ["a"]);
});

Deno.test("connectFirst() fails with every failure in order once all have failed", async () => {
  const attempts = new Attempts();
  const result = attempts.run("a", "b");
  const failed = assert.rejects(result, (error) => {
    assert.ok(error instanceof AggregateError);
    assert.deepEqual(error.errors.map(({ message }) => message), ["no a", "no b"]);
    return true;
  });
  await attempts.clock.advance(ATTEMPT_DELAY_MS);
  await attempts.fail("b");
  await attempts.fail("a");
  await failed;
  assert.equal(attempts.clock.pending, 0);
});

Deno.test("connectFirst() ends with its signal and discards what comes later", async () => {
  const attempts = new Attempts();
  const result = attempts.run("a", "b");
  const reason = new Error("enough");
  const failed = assert.rejects(result, reason);
  attempts.controller.abort(reason);
  await failed;
  await attempts.succeed("a");
  assert.deepEqual(attempts.discarded, ["a"]);
  assert.deepEqual(attempts.started, ["a"]);
  assert.equal(attempts.clock.pending, 0);
  await assert.rejects(attempts.run("a"), reason);
});
