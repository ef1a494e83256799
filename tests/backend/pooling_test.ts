import assert from "node:assert/strict";
import { type Carrier, SupervisedBackend, type SupervisorOptions } from "../../lib/backend/mod.ts";
import { AwsocksError, type Conn, connPair, isAwsocksError } from "../../lib/core/mod.ts";
import { ToldDisruptions } from "../../lib/ssm/disruptions.ts";
import { captureLog } from "../support/log_capture.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const target = { host: "db.internal", port: 5432 };

class PoolCarrier implements Carrier {
  readonly #ended = Promise.withResolvers<Error | undefined>();
  readonly closed = this.#ended.promise;
  channels = 0;
  connected = true;
  silence = 0;
  bytes = 0;
  dials = 0;
  closes = 0;
  silent = false;
  /** Of the destination; what waits for it counts as a channel. */
  answer = Promise.resolve();

  constructor(readonly name: string) {}

  dial(_target: unknown, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<Conn> {
    this.dials++;
    if (this.silent) {
      return new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    }
    this.channels++;
    const [conn] = connPair();
    const close = conn.close;
    conn.close = () => {
      this.channels--;
      close();
    };
    return this.answer.then(() => conn);
  }
  close() {
    this.closes++;
    this.#ended.resolve(undefined);
    return Promise.resolve();
  }
  die() {
    this.#ended.resolve(new AwsocksError("session-lost", "Gone"));
  }
}

/** A pool whose carriers take 100 ms to come up. */
function pool(options: Partial<SupervisorOptions> = {}) {
  const clock = new FakeClock();
  const carriers: PoolCarrier[] = [];
  let attempts = 0;
  const failures = new Map<number, Error>();
  const backend = new SupervisedBackend({
    name: "test",
    clock,
    connectTimeout: 120_000,
    maxCarriers: 4,
    open: async ({ signal }) => {
      const attempt = ++attempts;
      await clock.sleep(100, { signal });
      const failure = failures.get(attempt);
      if (failure) throw failure;
      const carrier = new PoolCarrier(`carrier-${attempt}`);
      carriers.push(carrier);
      return carrier;
    },
    ...options,
  });
  const conns: Conn[] = [];
  const dial = () => backend.dial(target).then((conn) => conns.push(conn));
  const close = async () => {
    for (const conn of conns) conn.close();
    await backend.close();
    assert.equal(clock.pending, 0);
  };
  return { backend, clock, carriers, failures, dial, conns, close, attempts: () => attempts };
}

const loads = (carriers: PoolCarrier[]) => carriers.map(({ channels }) => channels).sort();

Deno.test("a burst of connections opens carriers at once and spreads evenly over them", async () => {
  const { clock, carriers, dial, close, attempts } = pool();
  const dials = Array.from({ length: 8 }, dial);
  await clock.advance(100);
  await Promise.all(dials);
  assert.equal(attempts(), 4);
  assert.deepEqual(loads(carriers), [2, 2, 2, 2]);
  await close();
});

Deno.test("a burst behind a busy connection spreads evenly too", async () => {
  const { clock, carriers, dial, close } = pool();
  const first = dial();
  await clock.advance(100);
  await first;
  for (let i = 0; i < 8; i++) {
    carriers[0]!.bytes += 200_000;
    await clock.advance(250);
  }
  const dials: Promise<unknown>[] = [];
  for (let i = 0; i < 7; i++) {
    dials.push(dial());
    await clock.advance(10);
  }
  await clock.advance(100);
  await Promise.all(dials);
  assert.deepEqual(loads(carriers), [2, 2, 2, 2]);
  await close();
});

Deno.test("a connection that is still being opened counts once", async () => {
  const { clock, carriers, dial, close } = pool({ maxCarriers: 2 });
  const dials = [dial(), dial()];
  await clock.advance(100);
  await Promise.all(dials);
  await clock.advance(5000);
  const { promise, resolve } = Promise.withResolvers<void>();
  carriers[1]!.answer = promise;
  dials.push(dial(), dial());
  await settle();
  carriers[1]!.answer = Promise.resolve();
  for (let i = 0; i < 4; i++) await dial();
  assert.deepEqual(loads(carriers), [4, 4]);
  resolve();
  await Promise.all(dials);
  await close();
});

Deno.test("one connection after the other needs one carrier", async () => {
  const { clock, dial, conns, close, attempts } = pool();
  for (let i = 0; i < 5; i++) {
    const dialing = dial();
    await clock.advance(100);
    await dialing;
    conns.pop()!.close();
  }
  assert.equal(attempts(), 1);
  await close();
});

Deno.test("a second connection waits a moment for a carrier of its own, and shares if none comes", async () => {
  const slow = pool();
  const first = slow.dial();
  await slow.clock.advance(100);
  await first;
  const second = slow.dial();
  await slow.clock.advance(100);
  await second;
  assert.deepEqual(loads(slow.carriers), [1, 1]);
  await slow.close();

  const clock = new FakeClock();
  const carrier = new PoolCarrier("only");
  let opens = 0;
  const backend = new SupervisedBackend({
    name: "test",
    clock,
    connectTimeout: 120_000,
    maxCarriers: 4,
    open: ({ signal }) =>
      ++opens === 1
        ? Promise.resolve(carrier)
        : clock.sleep(60_000, { signal }).then(() => carrier),
  });
  const a = await backend.dial(target);
  const sharing = backend.dial(target);
  await clock.advance(1400);
  assert.equal(carrier.dials, 1);
  await clock.advance(100);
  const b = await sharing;
  assert.equal(carrier.channels, 2);
  a.close();
  b.close();
  await backend.close();
});

Deno.test("a carrier that cannot be opened hurts no other and is not tried again at once", async () => {
  const { clock, carriers, dial, failures, close, attempts } = pool();
  failures.set(2, new AwsocksError("aws-throttled", "Slow down"));
  const first = dial();
  await clock.advance(100);
  await first;
  const second = dial();
  await clock.advance(100);
  await second;
  assert.deepEqual(loads(carriers), [2]);
  await dial();
  assert.equal(attempts(), 2, "growth backs off");
  await clock.advance(6000);
  const fourth = dial();
  await clock.advance(100);
  await fourth;
  assert.equal(attempts(), 3);
  await close();
});

Deno.test("a disruption ends the wait after a carrier that could not be opened", async () => {
  const disruptions = new ToldDisruptions();
  const { clock, dial, failures, close, attempts } = pool({ disruptions });
  const failure = new AwsocksError("aws-throttled", "Slow down");
  for (const attempt of [2, 3, 4]) failures.set(attempt, failure);
  const another = async () => {
    const dialling = dial();
    await clock.advance(100);
    await dialling;
  };
  await captureLog(async (lines) => {
    await another();
    for (const wait of [0, 10_000, 0]) {
      await clock.advance(wait);
      await another();
    }
    assert.equal(attempts(), 3, "the second wait is still on");
    disruptions.tell("This machine was asleep for 60 s");
    await another();
    assert.equal(attempts(), 4);
    const told = lines.flatMap(({ message }) =>
      /open another session: (.*)/.exec(message)?.[1] ?? []
    );
    assert.equal(told.length, 3);
    const seconds = told.map((text) =>
      Number(/^Slow down; none is tried for (\d+) s/.exec(text)?.[1])
    );
    assert.ok(seconds[0]! <= 5, told[0]);
    assert.ok(seconds[2]! <= 5, `short again: ${told[2]}`);
  });
  await close();
});

Deno.test("the failure of one attempt answers nobody while another is under way", async () => {
  for (const second of ["comes up", "fails"] as const) {
    const { clock, failures, dial, close } = pool();
    const offline = new AwsocksError("agent-offline", "The agent is not connected");
    failures.set(1, offline);
    if (second === "fails") failures.set(2, offline);
    const outcomes: string[] = [];
    const dialled = () =>
      void dial().then(() => outcomes.push("connected"), () => outcomes.push("failed"));
    dialled();
    await clock.advance(50);
    dialled();
    await clock.advance(70);
    assert.deepEqual(outcomes, [], "the first attempt has failed, the second is under way");
    await clock.advance(50);
    const all = second === "fails" ? "failed" : "connected";
    assert.deepEqual(outcomes, [all, all]);
    await close();
  }
});

Deno.test("carriers that nobody needs are closed after a quiet time, all but one", async () => {
  const { backend, clock, carriers, dial, conns, close } = pool({ quietTime: 60_000 });
  const dials = Array.from({ length: 4 }, dial);
  await clock.advance(100);
  await Promise.all(dials);
  await clock.advance(300_000);
  assert.equal(backend.carriers, 4, "they are in use");
  while (conns.length > 1) conns.pop()!.close();
  await clock.advance(30_000);
  assert.equal(backend.carriers, 4);
  await clock.advance(60_000);
  assert.equal(backend.carriers, 1);
  assert.deepEqual(loads(carriers).at(-1), 1, "the one in use stays");
  await close();
});

Deno.test("as many carriers as are asked for stay up, needed or not", async () => {
  const { backend, clock, carriers, dial, failures, close } = pool({ minCarriers: 2 });
  const first = dial();
  await clock.advance(100);
  await first;
  await clock.advance(100);
  assert.equal(backend.carriers, 2, "the second comes up unasked");
  await clock.advance(600_000);
  assert.equal(backend.carriers, 2, "and stays");
  failures.set(3, new AwsocksError("session-lost", "Not now"));
  carriers[1]!.die();
  await clock.advance(100);
  assert.equal(backend.carriers, 1);
  await clock.advance(30_000);
  assert.equal(backend.carriers, 2, "and comes back, also after a failure");
  await close();
});

Deno.test("when one of several carriers ends, the others serve and the state stays active", async () => {
  const { backend, clock, carriers, dial, close } = pool();
  const dials = [dial(), dial()];
  await clock.advance(100);
  await Promise.all(dials);
  carriers[0]!.die();
  await settle();
  assert.equal(backend.state, "active");
  assert.equal(backend.carriers, 1);
  carriers[1]!.die();
  await settle();
  assert.equal(backend.state, "transitioning");
  await clock.advance(5000);
  assert.equal(backend.state, "active");
  await close();
});

Deno.test("a carrier that neither answers nor moves is left for another within seconds", async () => {
  const { clock, carriers, dial, conns, close } = pool({ maxCarriers: 2 });
  const dials = [dial(), dial()];
  await clock.advance(100);
  await Promise.all(dials);
  carriers[0]!.silent = true;
  const moved = [dial(), dial(), dial()];
  await clock.advance(1000);
  assert.equal(conns.length, 3, "one got the carrier that answers, the others still wait");
  carriers[0]!.silence = 2000;
  await captureLog(async (lines) => {
    await clock.advance(500);
    await Promise.all(moved);
    const told = lines.filter(({ message }) => message.includes("has not answered for 2 s"));
    assert.equal(told.length, 1, "once, however many leave it");
  });
  assert.equal(carriers[1]!.channels, 4);
  const before = carriers[0]!.dials;
  await dial();
  assert.equal(carriers[0]!.dials, before, "new connections keep away from it");
  carriers[0]!.silent = false;
  carriers[0]!.silence = 0;
  while (conns.length > 2) conns.pop()!.close();
  await dial();
  await dial();
  assert.ok(carriers[0]!.dials > before, "until it moves again");
  await close();
});

Deno.test("a lone carrier that does not answer is not given up by dials", async () => {
  const { clock, carriers, dial, backend, close } = pool({ maxCarriers: 1 });
  const first = dial();
  await clock.advance(100);
  await first;
  carriers[0]!.silent = true;
  carriers[0]!.silence = 5000;
  const abort = new AbortController();
  const hanging = assert.rejects(backend.dial(target, { signal: abort.signal }), /left/);
  await clock.advance(20_000);
  abort.abort(new Error("client left"));
  await hanging;
  await close();
});

Deno.test("close() ends carriers that are up and those on their way, and every waiting dial", async () => {
  const { backend, clock, carriers } = pool();
  const first = backend.dial(target);
  await clock.advance(100);
  (await first).close();
  const held = backend.dial(target);
  await held;
  const waiting = assert.rejects(
    backend.dial(target),
    (error: unknown) =>
      isAwsocksError(error, "backend-closed", "ssh-closed", "backend-unavailable"),
  );
  await settle();
  await backend.close();
  await waiting.catch(() => {});
  assert.ok(carriers.every(({ closes }) => closes > 0));
  assert.equal(clock.pending, 0);
});
