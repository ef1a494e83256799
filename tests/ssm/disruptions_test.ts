import assert from "node:assert/strict";
import type { Clock } from "../../lib/core/mod.ts";
import { DisruptionWatch, usableAddresses } from "../../lib/ssm/disruptions.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** A machine that can sleep: its monotonic clock stands still meanwhile, unless it is told not to. */
function machine() {
  const time = new FakeClock();
  let wall = 0;
  let monotonic = 0;
  const addresses = ["lo=127.0.0.1", "eth0=10.0.0.7"];
  const clock: Clock = {
    now: () => time.now() + wall,
    monotonic: () => time.monotonic() + monotonic,
    after: (ms, callback) => time.after(ms, callback),
    every: (ms, callback) => time.every(ms, callback),
    sleep: (ms, options) => time.sleep(ms, options),
  };
  const causes: string[] = [];
  const watch = new DisruptionWatch({ clock, addresses: () => addresses });
  const listener = watch.on((cause) => causes.push(cause));
  return {
    time,
    addresses,
    causes,
    watch,
    listener,
    sleep(ms: number, counted = false) {
      wall += ms;
      if (counted) monotonic += ms;
    },
  };
}

Deno.test("sleep is noticed within two seconds, whether the monotonic clock counts it or not", async () => {
  for (const counted of [false, true]) {
    const { time, causes, sleep, listener } = machine();
    await time.advance(60_000);
    assert.deepEqual(causes, []);
    sleep(3_600_000, counted);
    await time.advance(2000);
    assert.deepEqual(causes, ["This machine was asleep for 3600 s"]);
    await time.advance(60_000);
    assert.equal(causes.length, 1, "told once");
    listener[Symbol.dispose]();
    assert.equal(time.pending, 0);
  }
});

Deno.test("a clock that is set back or a little forward is no sleep", async () => {
  const { time, causes, sleep, listener } = machine();
  sleep(-3_600_000);
  await time.advance(4000);
  sleep(5000);
  await time.advance(4000);
  assert.deepEqual(causes, []);
  listener[Symbol.dispose]();
});

Deno.test("another address is noticed, another order is not", async () => {
  const { time, causes, addresses, listener } = machine();
  addresses.reverse();
  await time.advance(4000);
  assert.deepEqual(causes, []);
  addresses.push("wlan0=192.168.1.9");
  await time.advance(2000);
  assert.deepEqual(causes, ["The network of this machine has changed"]);
  addresses.length = 0;
  await time.advance(2000);
  assert.equal(causes.length, 2);
  listener[Symbol.dispose]();
});

Deno.test("what happens while nobody listens is not told", async () => {
  const { time, causes, sleep, listener, watch } = machine();
  listener[Symbol.dispose]();
  listener[Symbol.dispose]();
  assert.equal(time.pending, 0);
  sleep(100_000);
  await time.advance(10_000);
  using _again = watch.on((cause) => causes.push(cause));
  await time.advance(10_000);
  assert.deepEqual(causes, []);
});

Deno.test("addresses that a link gives itself, and those of this machine alone, are no network", () => {
  const interfaces = [
    { name: "lo", address: "127.0.0.1" },
    { name: "lo", address: "::1" },
    { name: "veth1", address: "fe80::1" },
    { name: "veth1", address: "169.254.3.4" },
    { name: "eth0", address: "10.0.0.7" },
    { name: "eth0", address: "2001:db8::7" },
    { name: "eth0", address: "fd00::7" },
  ];
  assert.deepEqual(usableAddresses(interfaces), [
    "eth0=10.0.0.7",
    "eth0=2001:db8::7",
    "eth0=fd00::7",
  ]);
});
