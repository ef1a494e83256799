import assert from "node:assert/strict";
import type { InstanceLease, Instances } from "../../lib/backend/instances.ts";
import { type Opened, Openings } from "../../lib/backend/openings.ts";
import { AwsocksError, isAwsocksError } from "../../lib/core/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** Instances a, b, … that are handed out in this order; attempts are settled by the test. */
function fixture(...ids: string[]) {
  const clock = new FakeClock();
  const events: string[] = [];
  const attempts = new Map<string, PromiseWithResolvers<Opened> & { signal: AbortSignal }>();
  const left = [...ids];
  /** Whether the same instance would have done, each time another one was asked for. */
  const asked: boolean[] = [];
  const lease = (id: string): InstanceLease => {
    let over = false;
    return {
      instance: { id, started: false },
      serve: () => void events.push(`${id} serves`),
      end: (error) => {
        if (over) return;
        over = true;
        events.push(`${id} ends${isAwsocksError(error) ? `: ${error.code}` : ""}`);
      },
    };
  };
  const instances: Instances = {
    take: () => Promise.resolve(lease(left.shift()!)),
    beside: (_lease, { again }) => {
      asked.push(again);
      return Promise.resolve(left.length > 0 ? lease(left.shift()!) : undefined);
    },
    prepare: () => Promise.resolve(),
    release: () => Promise.resolve(),
  };
  const openings = new Openings({ instances, clock });
  const abort = new AbortController();
  const opening = openings.open({
    open: ({ id }, { signal }) => {
      const attempt = { ...Promise.withResolvers<Opened>(), signal };
      signal.addEventListener("abort", () => attempt.reject(signal.reason));
      attempts.set(id, attempt);
      return attempt.promise;
    },
    silence: () => 0,
  }, { signal: abort.signal });
  opening.catch(() => {});
  const opened = (id: string) => {
    const closed = Promise.withResolvers<Error | undefined>();
    return {
      id,
      closed: closed.promise,
      close() {
        events.push(`${id} closes`);
        closed.resolve(undefined);
        return Promise.resolve();
      },
      die: (error: Error) => closed.resolve(error),
    };
  };
  const tick = () => clock.advance(0);
  return { clock, events, attempts, left, asked, openings, opening, abort, opened, tick };
}

Deno.test("a session that comes up in time is the only one", async () => {
  const { clock, events, attempts, opening, opened, tick } = fixture("a", "b");
  await clock.advance(2999);
  const a = opened("a");
  attempts.get("a")!.resolve(a);
  assert.equal(await opening, a);
  await clock.advance(60_000);
  assert.deepEqual([...attempts.keys()], ["a"]);
  a.die(new AwsocksError("session-lost", "Gone"));
  await tick();
  assert.deepEqual(events, ["a serves", "a ends: session-lost"]);
});

Deno.test("one that takes long gets another beside it, and the first to come up wins", async () => {
  const slow = fixture("a", "b");
  await slow.clock.advance(3000);
  const b = slow.opened("b");
  slow.attempts.get("b")!.resolve(b);
  assert.equal(await slow.opening, b);
  assert.ok(slow.attempts.get("a")!.signal.aborted);
  await slow.openings.settled();
  assert.deepEqual(slow.events, ["b serves", "a ends: session-handshake-failed"]);

  const late = fixture("a", "b");
  await late.clock.advance(3000);
  const a = late.opened("a");
  late.attempts.get("a")!.resolve(a);
  assert.equal(await late.opening, a);
  await late.openings.settled();
  assert.deepEqual(late.events, ["a serves", "b ends"], "b has done nothing wrong");
});

Deno.test("what comes up too late all the same is closed before settled() resolves", async () => {
  const { clock, events, attempts, opening, openings, opened, tick } = fixture("a", "b");
  await clock.advance(3000);
  attempts.get("a")!.resolve(opened("a"));
  attempts.get("b")!.resolve(opened("b"));
  await opening;
  await openings.settled();
  await tick();
  assert.ok(events.includes("b closes"), events.join());
  assert.ok(!events.includes("a closes"));
});

Deno.test("a failure of the instance goes on to another at once, any other is told", async () => {
  const offline = fixture("a", "b");
  await offline.tick();
  offline.attempts.get("a")!.reject(new AwsocksError("agent-offline", "Not connected"));
  await offline.tick();
  const b = offline.opened("b");
  offline.attempts.get("b")!.resolve(b);
  assert.equal(await offline.opening, b);

  const key = fixture("a", "b");
  await key.tick();
  key.attempts.get("a")!.reject(new AwsocksError("ssh-host-key-changed", "Another key"));
  await assert.rejects(key.opening, (error) => isAwsocksError(error, "ssh-host-key-changed"));
  assert.deepEqual([...key.attempts.keys()], ["a"]);
});

Deno.test("where there is no other, or both fail, the latest failure is told", async () => {
  const alone = fixture("a");
  await alone.clock.advance(10_000);
  alone.attempts.get("a")!.reject(new AwsocksError("session-handshake-failed", "No answer"));
  await assert.rejects(alone.opening, /No answer/);

  const both = fixture("a", "b");
  await both.clock.advance(3000);
  both.attempts.get("b")!.reject(new AwsocksError("agent-offline", "Not connected"));
  both.attempts.get("a")!.reject(new AwsocksError("session-handshake-failed", "No answer"));
  await assert.rejects(both.opening, (error) => isAwsocksError(error, "agent-offline"));
});

Deno.test("another instance that shows up while the first takes long is tried", async () => {
  const { clock, attempts, asked, left, opening, opened } = fixture("a");
  await clock.advance(5000);
  assert.deepEqual(asked, [false]);
  left.push("b");
  await clock.advance(1000);
  const b = opened("b");
  attempts.get("b")!.resolve(b);
  assert.equal(await opening, b);
  assert.deepEqual(asked, [false, true]);
});

Deno.test("an abort ends both attempts", async () => {
  const { clock, attempts, opening, abort } = fixture("a", "b");
  await clock.advance(3000);
  abort.abort(new AwsocksError("backend-closed", "The proxy is stopping"));
  await assert.rejects(opening, (error) => isAwsocksError(error, "backend-closed"));
  for (const { signal } of attempts.values()) assert.ok(signal.aborted);
});
