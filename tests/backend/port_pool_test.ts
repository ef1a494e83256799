import assert from "node:assert/strict";
import { PortPool } from "../../lib/backend/port_pool.ts";
import type { PortSession } from "../../lib/backend/port_session.ts";
import { AwsocksError, connPair, isAwsocksError, type Target } from "../../lib/core/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

class FakePortSession implements PortSession {
  readonly #ended = Promise.withResolvers<AwsocksError | undefined>();
  readonly closed = this.#ended.promise;
  open = true;
  healthy = true;
  stalledFor = 0;
  readonly silence = 0;
  load = 0;
  closes = 0;
  checks = 0;
  #idleSince: number;

  constructor(readonly name: string, readonly clock: FakeClock) {
    this.#idleSince = clock.monotonic();
  }

  get idleFor(): number {
    return this.load > 0 ? 0 : this.clock.monotonic() - this.#idleSince;
  }
  reserve(): void {
    this.load++;
  }
  release(): void {
    this.load--;
    this.#idleSince = this.clock.monotonic();
  }
  dial() {
    return Promise.resolve(connPair()[0]);
  }
  check(): void {
    this.checks++;
  }
  close(): Promise<void> {
    this.closes++;
    this.#ended.resolve(undefined);
    return Promise.resolve();
  }
  die(reason?: AwsocksError): void {
    this.open = false;
    this.#ended.resolve(reason);
  }
}

/** A pool whose sessions take 100 ms to come up. */
function fixture({ maxSessions = 3 } = {}) {
  const clock = new FakeClock();
  const sessions: FakePortSession[] = [];
  const failures: Error[] = [];
  const pool = new PortPool({
    clock,
    maxSessions,
    idleTime: 60_000,
    open: async (target, { signal }) => {
      await clock.sleep(100, { signal });
      const failure = failures.shift();
      if (failure) throw failure;
      const session = new FakePortSession(`${target.host}-${sessions.length}`, clock);
      sessions.push(session);
      return session;
    },
  });
  /** Acquires, letting the time pass that a session takes. */
  const acquire = async (host: string): Promise<FakePortSession> => {
    const acquiring = pool.acquire(to(host));
    await clock.advance(100);
    return await acquiring as FakePortSession;
  };
  const close = async () => {
    await pool.close(new AwsocksError("backend-closed", "The proxy is stopping"));
    assert.ok(sessions.every(({ closes }) => closes === 1), "each session is terminated once");
    assert.equal(clock.pending, 0);
  };
  return { pool, clock, sessions, failures, acquire, close };
}

const to = (host: string, port = 80): Target => ({ host, port });

Deno.test("connections to one destination share a session, which is opened once", async () => {
  const { pool, clock, sessions, acquire, close } = fixture();
  const all = Promise.all(Array.from({ length: 50 }, () => pool.acquire(to("a"))));
  await clock.advance(100);
  assert.equal(new Set(await all).size, 1);
  assert.equal(sessions[0]!.load, 50);
  assert.equal(await acquire("A"), sessions[0], "names know no case");
  const other = pool.acquire(to("a", 81));
  await clock.advance(100);
  assert.notEqual(await other, sessions[0], "a port is part of the destination");
  await close();
});

Deno.test("a failure to open is told to all who waited, and the next one tries again", async () => {
  const { pool, clock, failures, acquire, close } = fixture();
  failures.push(new AwsocksError("destination-name-unknown", "No such host"));
  const waiting = [pool.acquire(to("a")), pool.acquire(to("a"))];
  const outcomes = Promise.allSettled(waiting);
  await clock.advance(100);
  assert.deepEqual((await outcomes).map(({ status }) => status), ["rejected", "rejected"]);
  assert.ok(await acquire("a"));
  await close();
});

Deno.test("a session is closed after 60 s without a connection", async () => {
  const { pool, clock, acquire, close } = fixture();
  const [used, idle] = [await acquire("a"), await acquire("b")];
  idle.release();
  await clock.advance(59_000);
  assert.deepEqual([pool.size, idle.closes], [2, 0]);
  assert.ok(idle.checks >= 58);
  await clock.advance(2000);
  assert.deepEqual([pool.size, idle.closes, used.closes], [1, 1, 0]);
  used.release();
  await clock.advance(61_000);
  assert.equal(pool.size, 0);
  assert.equal(clock.pending, 0, "nothing is looked after when there is nothing");
  await close();
});

Deno.test("a new destination takes the place of the session that is idle for longest", async () => {
  const { clock, acquire, sessions, close } = fixture();
  for (const host of ["a", "b", "c"]) await acquire(host);
  sessions[1]!.release();
  await clock.advance(10);
  sessions[0]!.release();
  await clock.advance(10);
  await acquire("d");
  assert.deepEqual(sessions.map(({ closes }) => closes), [0, 1, 0, 0]);
  await acquire("b");
  assert.deepEqual(sessions.map(({ closes }) => closes), [1, 1, 0, 0, 0]);
  await close();
});

Deno.test("when all sessions are in use a destination waits 10 s for one, and is told by whom", async () => {
  const { pool, clock, sessions, acquire, close } = fixture({ maxSessions: 2 });
  await acquire("a");
  await acquire("b");
  const failures: unknown[] = [];
  pool.acquire(to("c")).catch((error) => failures.push(error));
  const lucky = pool.acquire(to("a"));
  await clock.advance(0);
  assert.equal(await lucky, sessions[0], "those that are there go on taking connections");
  await clock.advance(9999);
  assert.equal(failures.length, 0);
  await clock.advance(1);
  const [failure] = failures;
  assert.ok(isAwsocksError(failure, "backend-unavailable"));
  assert.match(failure.message, /No session for c:80: all 2 are in use, by a:80, b:80/);
  const patient = pool.acquire(to("c"));
  await clock.advance(5000);
  sessions[1]!.release();
  await clock.advance(1100);
  assert.equal((await patient).name, "c-2");
  assert.equal(sessions[1]!.closes, 1);
  await close();
});

Deno.test("an abort ends the waiting and opens nothing", async () => {
  const { pool, clock, sessions, acquire, close } = fixture({ maxSessions: 1 });
  await acquire("a");
  const abort = new AbortController();
  let failure: unknown;
  pool.acquire(to("b"), abort.signal).catch((error) => failure = error);
  await settle();
  abort.abort(new Error("enough"));
  await settle();
  assert.match(String(failure), /enough/);
  await clock.advance(20_000);
  assert.equal(sessions.length, 1);
  await close();
});

Deno.test("a session that stands still gets a second one beside it, and no third", async () => {
  const { pool, sessions, acquire, close } = fixture();
  const first = await acquire("a");
  first.healthy = false;
  first.stalledFor = 5000;
  const second = await acquire("a");
  assert.notEqual(second, first);
  assert.equal(await acquire("a"), second);
  second.healthy = false;
  second.stalledFor = 4000;
  assert.equal(await acquire("a"), second, "the one that stands still for less time");
  assert.equal(sessions.length, 2);
  first.healthy = true;
  assert.equal(await acquire("a"), first);
  assert.equal(pool.size, 2);
  await close();
});

Deno.test("a session that stands still for 60 s makes room for others", async () => {
  const { acquire, sessions, close } = fixture({ maxSessions: 2 });
  const [stalled, busy] = [await acquire("a"), await acquire("b")];
  stalled.healthy = false;
  stalled.stalledFor = 60_000;
  await acquire("c");
  assert.deepEqual([stalled.closes, busy.closes, sessions.length], [1, 0, 3]);
  await close();
});

Deno.test("a session that takes no more connections is replaced, and closed when its last one ends", async () => {
  const { clock, acquire, close } = fixture();
  const old = await acquire("a");
  old.open = old.healthy = false;
  const fresh = await acquire("a");
  assert.notEqual(fresh, old);
  await clock.advance(5000);
  assert.equal(old.closes, 0);
  old.release();
  await clock.advance(1000);
  assert.equal(old.closes, 1);
  await close();
});

Deno.test("a session that ends is forgotten and terminated", async () => {
  const { pool, acquire, close } = fixture();
  const first = await acquire("a");
  first.die(new AwsocksError("session-lost", "Gone"));
  await settle();
  assert.deepEqual([pool.size, first.closes], [0, 1]);
  assert.notEqual(await acquire("a"), first);
  await close();
});

Deno.test("closing ends what is up and what is on its way, and takes nothing new", async () => {
  const { pool, clock, acquire, sessions, close } = fixture();
  await acquire("a");
  let failure: unknown;
  pool.acquire(to("b")).catch((error) => failure = error);
  await clock.advance(50);
  await close();
  assert.ok(isAwsocksError(failure, "backend-closed"));
  assert.equal(sessions.length, 1);
  await assert.rejects(pool.acquire(to("a")), (error) => isAwsocksError(error, "backend-closed"));
});
