import assert from "node:assert/strict";
import { AwsocksError, connPair, type ErrorCode } from "../../lib/core/mod.ts";
import { Dialer, type DialerOptions } from "../../lib/proxy/dialer.ts";
import { createRouter, type RoutingRules } from "../../lib/routing/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { FakeBackend, rules, untilAborted } from "./loopback.ts";

const anything = { host: "any.example", port: 80 };
const named = { host: "db.internal", port: 5432 };

/** Each call gives a new connection. */
const succeeds = () => Promise.resolve(connPair()[0]);
const fails = (code: ErrorCode) => () => Promise.reject(new AwsocksError(code, "no"));

function setUp(
  options: Partial<Omit<DialerOptions, "router">> & { rules?: Partial<RoutingRules> } = {},
) {
  const clock = new FakeClock();
  const backend = new FakeBackend(succeeds);
  const direct = new FakeBackend(succeeds);
  const vmDirect = new FakeBackend(succeeds);
  const settings = {
    router: createRouter(rules({ default: "proxy", proxy: ["*.internal"], ...options.rules })),
    backend,
    direct,
    mode: "direct",
    lazy: true,
    lazyUntilReady: "direct",
    fallback: true,
    dialTimeout: 30_000,
    connectTimeout: 120_000,
    clock,
    ...options,
  } as const;
  const signal = new AbortController();
  return { clock, backend, direct, vmDirect, signal, dialer: new Dialer(settings) };
}

Deno.test("Dialer sends each destination the way of its route", async () => {
  const { dialer, backend, direct, signal } = setUp({
    rules: { direct: ["*.org"], block: ["bad.example"] },
  });
  assert.equal((await dialer.dial(anything, signal.signal)).route, "proxy");
  assert.equal((await dialer.dial({ host: "A.Org", port: 80 }, signal.signal)).route, "direct");
  await assert.rejects(dialer.dial({ host: "bad.example", port: 80 }, signal.signal), {
    code: "route-blocked",
  });
  assert.deepEqual(backend.dials, [anything]);
  assert.deepEqual(direct.dials, [{ host: "a.org", port: 80 }], "in the spelling of the router");
});

Deno.test("Dialer refuses vm-direct without a VM, and uses it with one", async () => {
  const noVm = setUp({ rules: { default: "vm-direct" } });
  await assert.rejects(noVm.dialer.dial(anything, noVm.signal.signal), { code: "route-blocked" });
  const missing = setUp({ rules: { default: "vm-direct" }, mode: "vm" });
  await assert.rejects(missing.dialer.dial(anything, missing.signal.signal), {
    code: "backend-unavailable",
  });
  const vmDirect = new FakeBackend(succeeds);
  const vm = setUp({ rules: { default: "vm-direct" }, mode: "vm", vmDirect });
  assert.equal((await vm.dialer.dial(anything, vm.signal.signal)).route, "vm-direct");
  assert.deepEqual(vmDirect.dials, [anything]);
});

Deno.test("Dialer takes a detour while a lazy backend is not up, and starts it", async () => {
  const { dialer, backend, direct, signal } = setUp();
  backend.state = "idle";
  const dialed = await dialer.dial(anything, signal.signal);
  assert.equal(dialed.route, "direct");
  assert.deepEqual(dialed.instead, { of: "proxy", because: "not-ready" });
  assert.equal(backend.starts, 1);
  assert.deepEqual(direct.dials, [anything]);
  backend.state = "initializing";
  await dialer.dial(anything, signal.signal);
  assert.equal(backend.starts, 2, "joins the start that is under way");
  await dialer.dial(named, signal.signal);
  assert.deepEqual(backend.dials, [named], "a host that a pattern names waits for the backend");
});

Deno.test("Dialer goes by the rules after all where the detour leads nowhere", async () => {
  for (const code of ["destination-name-unknown", "destination-refused"] as const) {
    const direct = new FakeBackend(fails(code));
    const { dialer, backend, signal } = setUp({ direct });
    backend.state = "initializing";
    const dialed = await dialer.dial(anything, signal.signal);
    assert.equal(dialed.route, "proxy");
    assert.equal(dialed.instead, undefined);
    assert.deepEqual([direct.dials, backend.dials], [[anything], [anything]]);
  }
});

Deno.test("Dialer leaves a detour that hangs as soon as the backend is up", async () => {
  const direct = new FakeBackend(untilAborted);
  const { dialer, backend, signal } = setUp({ direct });
  backend.state = "idle";
  backend.start = () => Promise.resolve();
  assert.equal((await dialer.dial(anything, signal.signal)).route, "proxy");
  assert.deepEqual(backend.dials, [anything]);
});

Deno.test("Dialer ends a detour with its client, and does not bother the backend then", async () => {
  const direct = new FakeBackend(untilAborted);
  const backend = new FakeBackend(succeeds);
  const { dialer, signal } = setUp({ direct, backend });
  backend.state = "initializing";
  const dialing = dialer.dial(anything, signal.signal);
  signal.abort(new Error("client left"));
  await assert.rejects(dialing, /client left/);
  assert.deepEqual(backend.dials, []);
});

Deno.test("Dialer never takes a detour again once the backend has been up", async () => {
  const { dialer, backend, direct, signal } = setUp();
  await dialer.dial(anything, signal.signal);
  for (const state of ["transitioning", "initializing"] as const) {
    backend.state = state;
    await dialer.dial(anything, signal.signal);
  }
  assert.equal(backend.dials.length, 3);
  assert.equal(direct.dials.length, 0);
});

Deno.test("Dialer waits instead of a detour where the settings say so", async () => {
  for (const options of [{ lazyUntilReady: "wait" }, { lazy: false }] as const) {
    const { dialer, backend, direct, signal } = setUp(options);
    backend.state = "initializing";
    await dialer.dial(anything, signal.signal);
    assert.deepEqual(backend.dials, [anything]);
    assert.equal(direct.dials.length, 0);
  }
});

Deno.test("Dialer falls back once, and only for destinations that cannot be reached", async () => {
  for (
    const [code, fallsBack] of [
      ["destination-unreachable", true],
      ["destination-network-unreachable", true],
      ["destination-refused", false],
      ["destination-timeout", false],
      ["destination-name-unknown", false],
      ["backend-unavailable", false],
    ] as const
  ) {
    const backend = new FakeBackend(fails(code));
    const { dialer, direct, signal } = setUp({ backend });
    const dial = dialer.dial(anything, signal.signal);
    if (fallsBack) {
      const { route, instead } = await dial;
      assert.deepEqual([route, instead], ["direct", { of: "proxy", because: "fallback" }]);
    } else {
      await assert.rejects(dial, { code });
    }
    assert.equal(direct.dials.length, fallsBack ? 1 : 0, code);
  }
  const off = setUp({
    backend: new FakeBackend(fails("destination-unreachable")),
    fallback: false,
  });
  await assert.rejects(off.dialer.dial(anything, off.signal.signal), {
    code: "destination-unreachable",
  });
});

Deno.test("Dialer bounds a dial over an active backend by the dial's own limit", async () => {
  const { dialer, clock, signal } = setUp({ backend: new FakeBackend(untilAborted) });
  const dial = assert.rejects(dialer.dial(named, signal.signal), { code: "destination-timeout" });
  await clock.advance(30_000);
  await dial;
});

Deno.test("Dialer gives a backend that comes up more time, and tells what holds it up", async () => {
  const backend = new FakeBackend(untilAborted);
  backend.state = "initializing";
  backend.lastError = new AwsocksError("instance-stopped", "Instance i-1 is stopped");
  const { dialer, clock, signal } = setUp({ backend });
  let settled = false;
  const dial = dialer.dial(named, signal.signal).finally(() => settled = true);
  const failed = assert.rejects(dial, (error) => {
    assert.ok(error instanceof AwsocksError);
    assert.equal(error.code, "backend-unavailable");
    assert.equal(error.outcome.socks, 4, "the reply of the cause");
    return true;
  });
  await clock.advance(149_999);
  assert.equal(settled, false);
  await clock.advance(1);
  await failed;
});

Deno.test("Dialer closes a connection that comes after its client has left", async () => {
  const late = Promise.withResolvers<void>();
  const [near, far] = connPair();
  const backend = new FakeBackend(async () => {
    await late.promise;
    return near;
  });
  const { dialer, signal } = setUp({ backend });
  const reason = new AwsocksError("aborted", "Client left");
  const failed = assert.rejects(dialer.dial(named, signal.signal), reason);
  await settle();
  signal.abort(reason);
  await failed;
  late.resolve();
  assert.equal(await far.read(new Uint8Array(1)), null, "closed");
});
