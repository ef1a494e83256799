import assert from "node:assert/strict";
import fc from "fast-check";
import { type Carrier, SupervisedBackend } from "../../lib/backend/mod.ts";
import { StateMachine, TRANSITIONS } from "../../lib/backend/state.ts";
import { AwsocksError, connPair, type ErrorCode, isAwsocksError } from "../../lib/core/mod.ts";
import type { BackendState } from "../../lib/backend/mod.ts";
import { ToldDisruptions } from "../../lib/ssm/disruptions.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const target = { host: "db.internal", port: 5432 };

class FakeCarrier implements Carrier {
  readonly #ended = Promise.withResolvers<Error | undefined>();
  readonly closed = this.#ended.promise;
  closes = 0;
  dials = 0;
  channels = 0;
  connected = true;
  silence = 0;
  bytes = 0;
  failure: Error | undefined;

  constructor(readonly name: string) {}

  dial() {
    this.dials++;
    return this.failure ? Promise.reject(this.failure) : Promise.resolve(connPair()[0]);
  }
  close() {
    this.closes++;
    this.#ended.resolve(undefined);
    return Promise.resolve();
  }
  die(error?: Error) {
    this.#ended.resolve(error);
  }
}

interface Fixture {
  backend: SupervisedBackend;
  clock: FakeClock;
  carriers: FakeCarrier[];
  /** Outcomes of the next attempts; a carrier when empty. */
  failures: Error[];
  attempts: () => number;
  closed: () => number;
}

function fixture(): Fixture {
  const clock = new FakeClock();
  const carriers: FakeCarrier[] = [];
  const failures: Error[] = [];
  let attempts = 0;
  let closed = 0;
  const backend = new SupervisedBackend({
    name: "test",
    clock,
    connectTimeout: 120_000,
    open: () => {
      attempts++;
      const failure = failures.shift();
      if (failure) return Promise.reject(failure);
      const carrier = new FakeCarrier(`carrier-${attempts}`);
      carriers.push(carrier);
      return Promise.resolve(carrier);
    },
    onClose: () => {
      closed++;
      return Promise.resolve();
    },
  });
  return { backend, clock, carriers, failures, attempts: () => attempts, closed: () => closed };
}

const fails = (code: ErrorCode) => new AwsocksError(code, `It is ${code}`);

/** A dial whose outcome is looked at later. */
function dialing(backend: SupervisedBackend, signal?: AbortSignal) {
  const outcome: { value?: "connected" | Error } = {};
  const done = backend.dial(target, { signal }).then(
    (conn) => {
      conn.close();
      outcome.value = "connected";
    },
    (error) => {
      outcome.value = error;
    },
  );
  return { outcome, done };
}

Deno.test("StateMachine allows the moves of the table and no other", () => {
  const states = Object.keys(TRANSITIONS) as BackendState[];
  fc.assert(fc.property(fc.array(fc.constantFrom(...states)), (path) => {
    const machine = new StateMachine();
    for (const next of path) {
      const legal = TRANSITIONS[machine.state].includes(next);
      if (legal) machine.to(next);
      else assert.throws(() => machine.to(next), /cannot go/);
    }
  }));
});

Deno.test("a backend is idle until the first dial, which opens one carrier for all", async () => {
  const { backend, attempts, carriers } = fixture();
  assert.equal(backend.state, "idle");
  await settle();
  assert.equal(attempts(), 0);
  await Promise.all([dialing(backend).done, dialing(backend).done, backend.start()]);
  assert.equal(attempts(), 1);
  assert.equal(carriers[0]?.dials, 2);
  assert.equal(backend.state, "active");
  await backend.close();
  assert.equal(backend.state, "closed");
  assert.equal(carriers[0]?.closes, 2); // by close(), and by the loop that served it
});

Deno.test("a dial waits through passing failures and connects", async () => {
  const { backend, clock, failures } = fixture();
  failures.push(fails("aws-unreachable"), fails("aws-unreachable"));
  const { outcome, done } = dialing(backend);
  await settle();
  assert.equal(outcome.value, undefined);
  assert.equal(backend.state, "initializing");
  await clock.advance(10_000);
  await done;
  assert.equal(outcome.value, "connected");
  assert.equal(backend.lastError, undefined);
  await backend.close();
});

Deno.test("a dial gives up after its time with the reason as cause, and attempts go on", async () => {
  const { backend, clock, failures, attempts } = fixture();
  for (let i = 0; i < 500; i++) failures.push(fails("aws-unreachable"));
  const { outcome, done } = dialing(backend);
  await clock.advance(121_000);
  await done;
  const { value } = outcome;
  assert.ok(isAwsocksError(value, "backend-unavailable"));
  assert.ok(isAwsocksError(value.cause, "aws-unreachable"));
  assert.equal(value.outcome.socks, 3);
  const before = attempts();
  await clock.advance(600_000);
  assert.ok(attempts() > before + 5, "no terminal error state");
  assert.ok(attempts() < 40, "with back-off");
  await backend.close();
  assert.equal(clock.pending, 0);
});

Deno.test("a lasting failure reaches its dials at once, with its own meaning", async () => {
  for (const code of ["credentials-missing", "ssh-auth-failed", "instance-not-found"] as const) {
    const { backend, failures, clock } = fixture();
    failures.push(fails(code));
    const { outcome, done } = dialing(backend);
    await done;
    assert.ok(isAwsocksError(outcome.value, "backend-unavailable"));
    assert.ok(isAwsocksError(outcome.value.cause, code));
    assert.equal(outcome.value.outcome, fails(code).outcome);
    await backend.close();
    assert.equal(clock.pending, 0);
  }
});

Deno.test("requests call for an attempt without waiting for the back-off, but not too often", async () => {
  const { backend, clock, failures, attempts } = fixture();
  for (let i = 0; i < 8; i++) failures.push(fails("credentials-expired"));
  await dialing(backend).done;
  await dialing(backend).done;
  assert.equal(attempts(), 1, "the second dial came too soon and got the same answer");
  // Just after an attempt whose back-off is longer than the spacing of requests.
  while (attempts() < 6) await clock.advance(500);
  await clock.advance(3500);
  const before = attempts();
  failures.length = 0;
  const { outcome, done } = dialing(backend);
  await done;
  assert.equal(attempts(), before + 1);
  assert.equal(outcome.value, "connected");
  await backend.close();
});

Deno.test("new credentials cut the back-off short", async () => {
  const { backend, clock, failures } = fixture();
  for (let i = 0; i < 6; i++) failures.push(fails("credentials-expired"));
  await dialing(backend).done;
  await clock.advance(20_000);
  failures.length = 0;
  backend.onCredentialUpdate({ accessKeyId: "a", secretAccessKey: "b" });
  await settle();
  assert.equal(backend.state, "active");
  await backend.close();
});

Deno.test("a carrier that dies is replaced: at once if it lived, with back-off if it did not", async () => {
  const { backend, clock, carriers } = fixture();
  await backend.start();
  await clock.advance(60_000);
  carriers[0]!.die(fails("session-closed"));
  await settle();
  assert.equal(backend.state, "active");
  assert.equal(carriers.length, 2);
  assert.equal(carriers[0]!.closes, 1, "what it held at AWS is released");
  carriers[1]!.die();
  await settle();
  assert.equal(backend.state, "transitioning");
  const { outcome, done } = dialing(backend);
  await clock.advance(3000);
  await done;
  assert.equal(outcome.value, "connected");
  await backend.close();
});

Deno.test("a dial whose carrier dies under it goes to the next one; other failures are its own", async () => {
  const { backend, clock, carriers } = fixture();
  await backend.start();
  await clock.advance(60_000);
  carriers[0]!.failure = fails("ssh-closed");
  const { outcome, done } = dialing(backend);
  await settle();
  assert.equal(outcome.value, undefined, "waits for the old carrier's end");
  carriers[0]!.die();
  await done;
  assert.equal(outcome.value, "connected");
  carriers[1]!.failure = fails("destination-refused");
  await assert.rejects(
    backend.dial(target),
    (error: unknown) => isAwsocksError(error, "destination-refused"),
  );
  await backend.close();
});

Deno.test("start() rejects with the first failure while attempts go on", async () => {
  const { backend, clock, failures } = fixture();
  failures.push(fails("aws-unreachable"));
  await assert.rejects(
    backend.start(),
    (error: unknown) => isAwsocksError(error, "backend-unavailable"),
  );
  await clock.advance(5000);
  assert.equal(backend.state, "active");
  await backend.close();
});

Deno.test("an aborted dial ends at once and leaves the backend alone", async () => {
  const { backend, clock, failures } = fixture();
  failures.push(fails("aws-unreachable"));
  const abort = new AbortController();
  const { outcome, done } = dialing(backend, abort.signal);
  await settle();
  abort.abort(new Error("client left"));
  await done;
  assert.match(String(outcome.value), /client left/);
  await clock.advance(5000);
  assert.equal(backend.state, "active");
  await backend.close();
});

Deno.test("close() ends waiting dials, is idempotent and runs its hook once", async () => {
  const { backend, clock, failures, closed } = fixture();
  for (let i = 0; i < 10; i++) failures.push(fails("aws-unreachable"));
  const { outcome, done } = dialing(backend);
  await settle();
  await Promise.all([backend.close(), backend.close()]);
  await done;
  assert.ok(isAwsocksError(outcome.value, "backend-closed"));
  await assert.rejects(backend.dial(target));
  assert.equal(closed(), 1);
  assert.equal(clock.pending, 0);
});

Deno.test("a carrier that opens while the backend closes is closed", async () => {
  const clock = new FakeClock();
  const opening = Promise.withResolvers<Carrier>();
  const carrier = new FakeCarrier("late");
  const backend = new SupervisedBackend({
    name: "test",
    clock,
    connectTimeout: 1000,
    open: () => opening.promise,
  });
  const { done } = dialing(backend);
  await settle();
  const closing = backend.close();
  opening.resolve(carrier);
  await closing;
  await done;
  assert.equal(carrier.closes, 1);
});

Deno.test("use() does anything with the carrier, and again with the next one when it dies", async () => {
  const { backend, carriers } = fixture();
  assert.equal(await backend.use((carrier) => Promise.resolve(carrier.name)), "carrier-1");
  let tries = 0;
  const used = await backend.use((carrier) => {
    if (++tries > 1) return Promise.resolve(carrier.name);
    carriers[0]!.die(fails("tunnel-closed"));
    return Promise.reject(fails("tunnel-closed"));
  }).catch((error) => error);
  assert.equal(used, "carrier-2");
  await backend.close();
});

Deno.test("onChange tells of every state and failure", async () => {
  const seen: [BackendState, string | undefined][] = [];
  const clock = new FakeClock();
  let attempts = 0;
  const carrier = new FakeCarrier("only");
  const backend: SupervisedBackend = new SupervisedBackend({
    name: "test",
    clock,
    connectTimeout: 120_000,
    open: () =>
      ++attempts === 1 ? Promise.reject(fails("aws-unreachable")) : Promise.resolve(carrier),
    onChange: () => {
      const { lastError } = backend;
      seen.push([backend.state, isAwsocksError(lastError) ? lastError.code : undefined]);
    },
  });
  const { done } = dialing(backend);
  await settle();
  await clock.advance(2000);
  await done;
  await backend.close();
  assert.deepEqual(seen, [
    ["initializing", undefined],
    ["initializing", "aws-unreachable"],
    ["active", undefined],
    ["closed", undefined],
  ]);
});

Deno.test("a backend that is closed during an attempt ends with it, not after a pause", async () => {
  const clock = new FakeClock();
  const backend = new SupervisedBackend({
    name: "test",
    clock,
    connectTimeout: 120_000,
    open: ({ signal }) =>
      new Promise<Carrier>((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      ),
  });
  const { done } = dialing(backend);
  await settle();
  await backend.close();
  await done;
  assert.equal(clock.pending, 0);
});

Deno.test("after a disruption a back-off is cut short, and delays are short again", async () => {
  const clock = new FakeClock();
  const disruptions = new ToldDisruptions();
  let attempts = 0;
  const backend = new SupervisedBackend({
    name: "test",
    clock,
    connectTimeout: 120_000,
    disruptions,
    open: () => {
      attempts++;
      return attempts < 9
        ? Promise.reject(fails("aws-unreachable"))
        : Promise.resolve(new FakeCarrier("late"));
    },
  });
  await assert.rejects(backend.start());
  while (attempts < 7) await clock.advance(60_000);
  assert.notEqual(backend.state, "active");
  disruptions.tell("Something happened");
  await settle();
  assert.equal(attempts, 8);
  await clock.advance(1000);
  assert.equal(backend.state, "active");
  await backend.close();
  assert.equal(disruptions.listeners, 0);
  assert.equal(clock.pending, 0);
});
