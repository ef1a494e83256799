import assert from "node:assert/strict";
import type { BackendState } from "../../lib/backend/mod.ts";
import { PortBackend } from "../../lib/backend/port_backend.ts";
import { SingleSession } from "../../lib/backend/single_session.ts";
import { AwsocksError, type ErrorCode, isAwsocksError, type Target } from "../../lib/core/mod.ts";
import { ToldDisruptions } from "../../lib/ssm/disruptions.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { FakeSession, TARGET } from "./port_peer.ts";

const fails = (code: ErrorCode) => new AwsocksError(code, "It failed");

/** A backend whose sessions carry one connection each. */
function fixture() {
  const clock = new FakeClock();
  const disruptions = new ToldDisruptions();
  const sessions: FakeSession[] = [];
  const opened: Target[] = [];
  /** Outcomes of the next attempts; a session when empty. */
  const failures: Error[] = [];
  const states: [BackendState, ErrorCode | undefined][] = [];
  let closed = 0;
  const attempt = () => {
    const failure = failures.shift();
    return failure ? Promise.reject(failure) : Promise.resolve();
  };
  const backend: PortBackend = new PortBackend({
    clock,
    disruptions,
    connectTimeout: 120_000,
    prepare: attempt,
    open: async (target) => {
      opened.push(target);
      await attempt();
      const session = new FakeSession();
      sessions.push(session);
      return new SingleSession({ target, session, clock });
    },
    onClose: () => {
      closed++;
      return Promise.resolve();
    },
    onChange: () => {
      const { lastError } = backend;
      states.push([backend.state, isAwsocksError(lastError) ? lastError.code : undefined]);
    },
  });
  const dial = (target = TARGET, signal?: AbortSignal) => {
    const state = { done: false, error: undefined as unknown };
    backend.dial(target, { signal }).then(
      () => state.done = true,
      (error) => state.error = error,
    );
    return state;
  };
  const close = async () => {
    await backend.close();
    assert.equal(closed, 1);
    assert.equal(clock.pending, 0);
    assert.equal(disruptions.listeners, 0);
  };
  return { backend, clock, disruptions, sessions, opened, failures, states, dial, close };
}

/** Code of a failure, and of what is behind it. */
function codesOf(error: unknown): ErrorCode[] {
  return isAwsocksError(error) ? [error.code, ...codesOf(error.cause)] : [];
}

Deno.test("the first dial starts the backend, a destination at a time", async () => {
  const { backend, clock, opened, states, dial, close } = fixture();
  assert.equal(backend.state, "idle");
  const dialling = dial();
  await settle();
  await clock.advance(150);
  assert.ok(dialling.done);
  assert.deepEqual(opened, [TARGET]);
  assert.equal(backend.sessions, 1);
  await close();
  await backend.close();
  assert.deepEqual(states.map(([state]) => state), ["initializing", "active", "closed"]);
});

Deno.test("start() sees to the instance and opens no session", async () => {
  const { backend, failures, opened, states, close } = fixture();
  failures.push(fails("instance-stopped"));
  await assert.rejects(
    backend.start(),
    (error) =>
      assert.deepEqual(codesOf(error), ["backend-unavailable", "instance-stopped"]) ?? true,
  );
  await Promise.all([backend.start(), backend.start()]);
  assert.equal(backend.state, "active");
  assert.equal(backend.lastError, undefined);
  assert.deepEqual(opened, []);
  assert.deepEqual(states, [
    ["initializing", undefined],
    ["initializing", "instance-stopped"],
    ["active", undefined],
  ]);
  await close();
});

Deno.test("a failure that time may mend is tried again for as long as a dial waits", async () => {
  const { backend, clock, failures, opened, dial, close } = fixture();
  failures.push(fails("aws-unreachable"), fails("aws-throttled"));
  const dialling = dial();
  await clock.advance(0);
  assert.equal(isAwsocksError(backend.lastError, "aws-unreachable"), true);
  await clock.advance(5000);
  assert.ok(dialling.done);
  assert.equal(opened.length, 3);

  for (let i = 0; i < 100; i++) failures.push(fails("aws-unreachable"));
  const other = dial({ host: "other", port: 1 });
  await clock.advance(100_000);
  assert.equal(other.error, undefined);
  await clock.advance(20_000);
  assert.deepEqual(codesOf(other.error), ["backend-unavailable", "aws-unreachable"]);
  await close();
});

Deno.test("after a disruption the wait for the next attempt is cut short", async () => {
  const { backend, clock, disruptions, failures, opened, dial, close } = fixture();
  const seven = Array.from({ length: 7 }, () => fails("aws-unreachable"));
  failures.push(...seven);
  const dialling = dial();
  while (opened.length < 7) await clock.advance(500);
  await clock.advance(500);
  assert.equal(opened.length, 7, "seconds to the next attempt");
  disruptions.tell("Something happened");
  await clock.advance(150);
  assert.ok(dialling.done);

  failures.push(fails("aws-unreachable"));
  dial({ host: "other", port: 1 });
  await clock.advance(0);
  assert.equal(disruptions.listeners, 1);
  await backend.close(); // in the middle of the wait
  await close();
});

Deno.test("a failure that waiting does not mend comes at once and is not asked for again at once", async () => {
  const { backend, clock, failures, opened, dial, close } = fixture();
  failures.push(fails("credentials-expired"));
  const [first, second] = [dial(), dial()];
  await clock.advance(0);
  for (const { error } of [first, second]) {
    assert.deepEqual(codesOf(error), ["backend-unavailable", "credentials-expired"]);
  }
  assert.equal(opened.length, 1);
  const soon = dial();
  await clock.advance(0);
  assert.deepEqual(codesOf(soon.error), ["backend-unavailable", "credentials-expired"]);
  assert.equal(opened.length, 1);
  await clock.advance(3000);
  const later = dial();
  await clock.advance(150);
  assert.ok(later.done);

  failures.push(fails("credentials-expired"));
  dial();
  await clock.advance(0);
  backend.onCredentialUpdate({ accessKeyId: "x", secretAccessKey: "y" });
  const renewed = dial();
  await clock.advance(150);
  assert.ok(renewed.done, "new credentials are worth another attempt");
  await close();
});

Deno.test("a failure while no session is up is a transition, and sessions that are up go on", async () => {
  const { backend, clock, sessions, failures, states, dial, close } = fixture();
  dial();
  await clock.advance(150);
  failures.push(fails("agent-offline"));
  dial();
  await clock.advance(0);
  assert.equal(backend.state, "active");
  sessions[0]!.end("");
  await clock.advance(3000);
  failures.push(fails("agent-offline"));
  dial();
  await clock.advance(0);
  assert.equal(backend.state, "transitioning");
  await clock.advance(3000);
  const again = dial();
  await clock.advance(150);
  assert.ok(again.done);
  assert.equal(backend.state, "active");
  await close();
  assert.deepEqual(states.map(([state]) => state), [
    "initializing",
    "active",
    "active",
    "transitioning",
    "active",
    "closed",
  ]);
});

Deno.test("what is wrong with the destination is told as it is and says nothing against the backend", async () => {
  const { backend, clock, sessions, opened, dial, close } = fixture();
  const unknown = dial();
  await settle();
  sessions[0]!.end("lookup db.internal on 10.0.0.2:53: no such host");
  await clock.advance(0);
  assert.deepEqual(codesOf(unknown.error), ["destination-name-unknown", "session-closed"]);
  assert.equal(backend.state, "active");
  const again = dial();
  await clock.advance(0);
  assert.deepEqual(codesOf(again.error)[0], "destination-name-unknown");
  assert.equal(opened.length, 1, "not asked for again at once");
  await clock.advance(5000);
  const later = dial();
  await clock.advance(150);
  assert.ok(later.done);
  await close();
});

Deno.test("a session that dies under a dial gets one more", async () => {
  const { clock, sessions, opened, dial, close } = fixture();
  const lucky = dial();
  await settle();
  sessions[0]!.lose();
  await clock.advance(150);
  assert.ok(lucky.done);
  assert.equal(opened.length, 2);
  const unlucky = dial();
  await settle();
  sessions[2]!.lose();
  await settle();
  sessions[3]!.lose();
  await settle();
  assert.deepEqual(codesOf(unlucky.error), ["session-lost"]);
  await close();
});

Deno.test("close() ends waiting dials", async () => {
  const { backend, clock, failures, dial, close } = fixture();
  failures.push(fails("aws-unreachable"));
  const dialling = dial();
  await clock.advance(0);
  await close();
  await settle();
  assert.deepEqual(codesOf(dialling.error), ["backend-closed"]);
  await assert.rejects(backend.dial(TARGET), (error) => isAwsocksError(error, "backend-closed"));
  await assert.rejects(backend.start(), (error) => isAwsocksError(error, "backend-closed"));
});
