import assert from "node:assert/strict";
import { AwsocksError, type Credentials, isAwsocksError } from "../../lib/core/mod.ts";
import type { Attempt } from "../../lib/credentials/loader.ts";
import { RefreshingCredentials } from "../../lib/credentials/manager.ts";
import { RETRY_DELAY_MS } from "../../lib/credentials/schedule.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Credentials with a given name. */
function named(accessKeyId: string, expiration?: number): Credentials {
  return {
    accessKeyId,
    secretAccessKey: `secret-of-${accessKeyId}`,
    ...(expiration !== undefined && { expiration }),
  };
}

/** A manager whose source is what the test says. */
class Bench implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly manager: RefreshingCredentials;
  readonly updates: string[] = [];
  loads = 0;
  interactive = false;
  /** The next loads, the last one again and again. */
  answers: (() => Credentials | Promise<Credentials>)[] = [];
  signal: AbortSignal | undefined;

  constructor(...answers: Bench["answers"]) {
    this.answers = answers;
    this.manager = new RefreshingCredentials({
      prepare: () => Promise.resolve(this.#attempt()),
      clock: this.clock,
      watch: [],
    });
    this.manager.onUpdate((credentials) => this.updates.push(credentials.accessKeyId));
  }

  #attempt(): Attempt {
    return {
      fields: { source: "test" },
      interactive: this.interactive,
      limit: MINUTE,
      settings: "",
      token: () => Promise.resolve(""),
      load: async (signal) => {
        this.loads++;
        this.signal = signal;
        const answer = this.answers.length > 1 ? this.answers.shift()! : this.answers[0]!;
        return await answer();
      },
    };
  }

  /** Time from now, for an expiry. */
  in(ms: number): number {
    return this.clock.now() + ms;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.manager.close();
    assert.equal(this.clock.pending, 0);
  }
}

function refuse(): never {
  throw new AwsocksError("credentials-expired", "The login has expired");
}

function never(): Promise<Credentials> {
  return new Promise(() => {});
}

Deno.test("source loads on first use, and once for calls at the same time", async () => {
  await using bench = new Bench(() => named("a"));
  assert.equal(bench.loads, 0);
  const { source } = bench.manager;
  const all = await Promise.all([source(), source(), source()]);
  assert.deepEqual(all.map(({ accessKeyId }) => accessKeyId), ["a", "a", "a"]);
  await source();
  assert.equal(bench.loads, 1);
  assert.deepEqual(bench.updates, ["a"]);
});

Deno.test("source has no timer for keys that do not expire", async () => {
  await using bench = new Bench(() => named("a"));
  await bench.manager.source();
  assert.equal(bench.clock.pending, 0);
  await bench.clock.advance(1_000 * HOUR);
  await bench.manager.source();
  assert.equal(bench.loads, 1);
});

Deno.test("credentials are refreshed before they expire, again and again", async () => {
  await using bench = new Bench();
  bench.answers = [() => named(`key-${bench.loads}`, bench.in(HOUR))];
  await bench.manager.source();
  assert.equal(bench.clock.nextIn, 55 * MINUTE);
  await bench.clock.advance(55 * MINUTE);
  await bench.clock.advance(55 * MINUTE);
  assert.deepEqual(bench.updates, ["key-1", "key-2", "key-3"]);
  assert.equal((await bench.manager.source()).accessKeyId, "key-3");
  assert.equal(bench.loads, 3);
});

Deno.test("source loads anew when what is at hand has expired during a sleep", async () => {
  await using bench = new Bench();
  bench.answers = [() => named(`key-${bench.loads}`, bench.in(HOUR))];
  await bench.manager.source();
  // The machine sleeps: the wall clock goes on, timers do not fire.
  const real = bench.clock.now.bind(bench.clock);
  bench.clock.now = () => real() + 2 * HOUR;
  assert.equal((await bench.manager.source()).accessKeyId, "key-2");
});

Deno.test("source does not hand out what expires before a request can reach AWS", async () => {
  await using bench = new Bench();
  const end = bench.in(HOUR);
  bench.answers = [() => named("a", end), refuse];
  await bench.manager.source();
  await bench.clock.advance(HOUR - 6_000);
  assert.equal((await bench.manager.source()).accessKeyId, "a");
  await bench.clock.advance(1_000);
  await assert.rejects(bench.manager.source(), { code: "credentials-expired" });
});

Deno.test("a failed refresh is tried every 10 s, then the timer is armed again", async () => {
  await using bench = new Bench();
  const first = bench.in(HOUR);
  bench.answers = [
    () => named("a", first),
    refuse,
    refuse,
    () => named("b", bench.in(HOUR)),
    () => named("c", bench.in(HOUR)),
  ];
  await bench.manager.source();
  await bench.clock.advance(55 * MINUTE);
  assert.equal(bench.loads, 2);
  assert.equal(bench.clock.nextIn, RETRY_DELAY_MS);
  // What is at hand is good for a while yet.
  assert.equal((await bench.manager.source()).accessKeyId, "a");
  await bench.clock.advance(RETRY_DELAY_MS);
  assert.equal(bench.loads, 3);
  await bench.clock.advance(RETRY_DELAY_MS);
  assert.deepEqual(bench.updates, ["a", "b"]);
  assert.equal(bench.clock.nextIn, 55 * MINUTE);
  await bench.clock.advance(55 * MINUTE);
  assert.deepEqual(bench.updates, ["a", "b", "c"]);
});

Deno.test("a first load that fails is tried again by itself, and a later success is told", async () => {
  await using bench = new Bench(refuse, () => named("a"));
  await assert.rejects(bench.manager.source(), { code: "credentials-expired" });
  assert.deepEqual(bench.updates, []);
  await bench.clock.advance(RETRY_DELAY_MS);
  assert.deepEqual(bench.updates, ["a"]);
  assert.equal(bench.clock.pending, 0);
});

Deno.test("a refresh that yields the same credentials tells nobody and does not run hot", async () => {
  await using bench = new Bench();
  const end = bench.in(HOUR);
  bench.answers = [() => named("a", end)];
  await bench.manager.source();
  await bench.clock.advance(HOUR - 1);
  assert.deepEqual(bench.updates, ["a"]);
  // 55 min, then 80 % of what is left: 4 min, 30 s, then every 10 s.
  assert.ok(bench.loads <= 7, `${bench.loads} loads`);
});

Deno.test("the same keys with a later expiry are no news, but count", async () => {
  await using bench = new Bench();
  bench.answers = [() => named("a", bench.in(10 * MINUTE))];
  await bench.manager.source();
  await bench.clock.advance(HOUR);
  assert.deepEqual(bench.updates, ["a"]);
  assert.equal(bench.loads, 8);
});

Deno.test("refresh() loads although the credentials are valid", async () => {
  await using bench = new Bench();
  bench.answers = [() => named(`key-${bench.loads}`)];
  await bench.manager.source();
  assert.equal((await bench.manager.refresh()).accessKeyId, "key-2");
  assert.equal((await bench.manager.source()).accessKeyId, "key-2");
  assert.deepEqual(bench.updates, ["key-1", "key-2"]);
});

Deno.test("refresh() during a load begins another one, shared by all who ask meanwhile", async () => {
  const gate = Promise.withResolvers<void>();
  await using bench = new Bench();
  bench.answers = [
    async () => {
      await gate.promise;
      return named("old");
    },
    () => named("new"),
  ];
  const first = bench.manager.source();
  await settle();
  const later = [bench.manager.refresh(), bench.manager.refresh()];
  gate.resolve();
  assert.equal((await first).accessKeyId, "old");
  assert.deepEqual((await Promise.all(later)).map((one) => one.accessKeyId), ["new", "new"]);
  assert.equal(bench.loads, 2);
});

Deno.test("refresh() that fails keeps what is at hand", async () => {
  await using bench = new Bench(() => named("a"), refuse);
  await bench.manager.source();
  await assert.rejects(bench.manager.refresh(), { code: "credentials-expired" });
  assert.equal((await bench.manager.source()).accessKeyId, "a");
});

Deno.test("a signal ends the wait of its caller only", async () => {
  const gate = Promise.withResolvers<Credentials>();
  await using bench = new Bench(() => gate.promise);
  const controller = new AbortController();
  const impatient = bench.manager.source({ signal: controller.signal });
  const patient = bench.manager.source();
  await settle();
  controller.abort(new Error("enough"));
  await assert.rejects(impatient, /enough/);
  gate.resolve(named("a"));
  assert.equal((await patient).accessKeyId, "a");
  await assert.rejects(bench.manager.source({ signal: controller.signal }), /enough/);
  await assert.rejects(bench.manager.refresh({ signal: controller.signal }), /enough/);
  assert.equal(bench.loads, 1);
});

Deno.test("a load that does not end is given up", async () => {
  await using bench = new Bench(never);
  const waiting = assert.rejects(bench.manager.source(), { code: "timeout" });
  await bench.clock.advance(MINUTE);
  await waiting;
  assert.ok(bench.signal?.aborted);
});

Deno.test("where a person is asked, nothing is loaded without a request", async () => {
  await using bench = new Bench();
  bench.interactive = true;
  const end = bench.in(HOUR);
  bench.answers = [() => named("a", end), refuse, () => named("b", bench.in(HOUR))];
  await bench.manager.source();
  await bench.clock.advance(2 * HOUR);
  assert.equal(bench.loads, 1);
  await assert.rejects(bench.manager.source(), { code: "credentials-expired" });
  await bench.clock.advance(HOUR);
  assert.equal(bench.loads, 2);
  assert.equal((await bench.manager.source()).accessKeyId, "b");
});

Deno.test("onUpdate() serves every receiver until it is disposed, even if one throws", async () => {
  await using bench = new Bench();
  bench.answers = [() => named(`key-${bench.loads}`)];
  const seen: string[] = [];
  const listener = ({ accessKeyId }: Credentials) => void seen.push(accessKeyId);
  using _thrower = bench.manager.onUpdate(() => {
    throw new Error("receiver");
  });
  const first = bench.manager.onUpdate(listener);
  using _second = bench.manager.onUpdate(listener);
  await bench.manager.source();
  assert.deepEqual(seen, ["key-1", "key-1"]);
  first[Symbol.dispose]();
  await bench.manager.refresh();
  assert.deepEqual(seen, ["key-1", "key-1", "key-2"]);
});

Deno.test("close() ends waiting calls, later calls and the load itself", async () => {
  const bench = new Bench(never);
  const waiting = assert.rejects(bench.manager.source(), { code: "aborted" });
  await settle();
  await bench.manager.close();
  await waiting;
  assert.ok(bench.signal?.aborted);
  await assert.rejects(bench.manager.source(), (error) => isAwsocksError(error, "aborted"));
  await assert.rejects(bench.manager.refresh(), (error) => isAwsocksError(error, "aborted"));
  await bench.manager.start();
  await bench.manager.close();
  assert.equal(bench.clock.pending, 0);
  assert.equal(bench.loads, 1);
});

Deno.test("close() stops the timers of refresh and of retry", async () => {
  await using bench = new Bench(refuse);
  await assert.rejects(bench.manager.source());
  assert.equal(bench.clock.pending, 1);
  await bench.manager.close();
  assert.equal(bench.clock.pending, 0);
});
