import assert from "node:assert/strict";
import { InstanceGroup } from "../../lib/backend/instances.ts";
import { AwsocksError, isAwsocksError } from "../../lib/core/mod.ts";
import type { InstanceState } from "../../lib/ec2/mod.ts";
import { Fleet } from "../ec2/fleet.ts";
import { FakeClock } from "../support/fake_clock.ts";

const { signal } = new AbortController();

/** A group over instances of one name, whose states the test changes. */
function group(
  { states, offline = [], throttled = [], autoStart = false }: {
    states: Record<string, InstanceState>;
    offline?: string[];
    throttled?: string[];
    autoStart?: boolean;
  },
) {
  const clock = new FakeClock();
  const ec2 = new Fleet(
    ...Object.entries(states).map(([id, state]) => ({ id, state, name: "web" })),
  );
  const instances = new InstanceGroup({
    name: "web",
    clock,
    autoStart,
    autoStop: true,
    ec2,
    ssm: {
      describeInstanceInformation: (instanceId) =>
        throttled.includes(instanceId)
          ? Promise.reject(new AwsocksError("aws-throttled", "Too many requests"))
          : Promise.resolve({
            instanceId,
            pingStatus: offline.includes(instanceId) ? "ConnectionLost" : "Online",
            agentVersion: "3.3.1142.0",
            platformName: "Linux",
          }),
    },
  });
  const take = () => instances.take({ signal });
  return { instances, clock, take, ec2, offline };
}

const ids = (leases: readonly { instance: { id: string } }[]) =>
  leases.map(({ instance }) => instance.id).sort();

Deno.test("sessions spread evenly over the instances, and one list serves a burst", async () => {
  const { take, ec2 } = group({ states: { a: "running", b: "running", c: "stopped" } });
  const leases = await Promise.all([take(), take(), take(), take()]);
  assert.deepEqual(ids(leases), ["a", "a", "b", "b"]);
  assert.deepEqual(ec2.calls, ["describe"]);
  leases.filter(({ instance }) => instance.id === "a").forEach((lease) => lease.end());
  assert.deepEqual(ids([await take(), await take()]), ["a", "a"]);
});

Deno.test("an instance whose agent is offline, or that is new, is noticed with the next list", async () => {
  const { take, clock, ec2, offline } = group({
    states: { a: "running", b: "running" },
    offline: ["b"],
  });
  assert.deepEqual(ids([await take(), await take()]), ["a", "a"]);
  offline.pop();
  ec2.instances.push({ id: "c", state: "running", name: "web" });
  assert.deepEqual(ids([await take()]), ["a"], "the list is not that old");
  await clock.advance(10_000);
  assert.deepEqual(ids([await take(), await take()]), ["b", "c"]);
});

Deno.test("an instance on which a session failed is left alone for a while", async () => {
  const { take, clock } = group({ states: { a: "running", b: "running" } });
  const first = await take();
  first.end(new AwsocksError("session-handshake-failed", "No answer"));
  const others = [await take(), await take(), await take()];
  assert.equal(new Set(ids(others)).size, 1);
  assert.notEqual(others[0]!.instance.id, first.instance.id);
  await clock.advance(20_000);
  assert.equal((await take()).instance.id, first.instance.id);
});

Deno.test("a session that is silent, and a destination that fails, are told apart", async () => {
  const { take } = group({ states: { a: "running", b: "running" } });
  const [first, second] = [await take(), await take()];
  first.serve({ silence: 2500 });
  second.serve({ silence: 0 });
  const next = [await take(), await take()];
  assert.deepEqual(new Set(ids(next)), new Set([second.instance.id]));
  next[0]!.end(new AwsocksError("destination-refused", "Refused"));
  assert.equal((await take()).instance.id, second.instance.id);
});

Deno.test("a failure that is not the instance's does not count against it", async () => {
  const { take } = group({ states: { a: "running", b: "running" } });
  for (const code of ["credentials-expired", "aws-throttled", "ssh-key-missing"] as const) {
    const lease = await take();
    assert.equal(lease.instance.id, "a", code);
    lease.end(new AwsocksError(code, "Not its fault"));
  }
});

Deno.test("one instance that cannot be asked about does not keep the others from use", async () => {
  const { take } = group({ states: { a: "running", b: "running" }, throttled: ["a"] });
  assert.deepEqual(ids([await take(), await take()]), ["b", "b"]);
  const all = group({ states: { a: "running" }, throttled: ["a"] });
  await assert.rejects(all.take(), (error) => isAwsocksError(error, "aws-throttled"));
});

Deno.test("beside an instance there is another only if nothing speaks against that", async () => {
  const { instances, take } = group({ states: { a: "running", b: "running" } });
  const first = await take();
  const second = await instances.beside(first, { signal, again: false });
  assert.equal(second?.instance.id, "b");
  second!.end(new AwsocksError("agent-offline", "Gone"));
  assert.equal(await instances.beside(first, { signal, again: false }), undefined);
  const doubtful = await instances.beside(first, { signal, again: true });
  assert.equal(doubtful?.instance.id, "b");
  const alone = group({ states: { a: "running" } });
  const lonely = await alone.take();
  assert.equal(await alone.instances.beside(lonely, { signal, again: false }), undefined);
  const again = await alone.instances.beside(lonely, { signal, again: true });
  assert.equal(again?.instance.id, "a");
  alone.ec2.instances[0]!.state = "stopped";
  await alone.clock.advance(1000);
  assert.equal(await alone.instances.beside(lonely, { signal, again: true }), undefined);
});

Deno.test("when all are in doubt, one that has come in their place is found at once", async () => {
  const { take, clock, ec2 } = group({ states: { a: "running" } });
  const lease = await take();
  lease.serve({ silence: 2500 });
  ec2.instances.push({ id: "b", state: "running", name: "web" });
  assert.equal((await take()).instance.id, "a", "the list is of this second");
  await clock.advance(1000);
  assert.equal((await take()).instance.id, "b");
});

Deno.test("where none runs, one is started, and stopped at the end", async () => {
  const stopped = { a: "stopped", b: "stopped" } as const;
  const cold = group({ states: { ...stopped } });
  await assert.rejects(cold.take(), (error) => isAwsocksError(error, "instance-stopped"));
  const { take, instances, clock, ec2 } = group({ states: { ...stopped }, autoStart: true });
  const taken = take();
  await clock.advance(1000);
  const up = ec2.instances.find(({ state }) => state === "pending")!;
  up.state = "running";
  await clock.advance(10_000);
  assert.deepEqual((await taken).instance, { id: up.id, started: true });
  await instances.release();
  assert.equal(up.state, "stopping");
  assert.equal(ec2.calls.filter((call) => call === "start").length, 1);
});

Deno.test("no agent online, and no instance at all, are said as such", async () => {
  const { take } = group({ states: { a: "running" }, offline: ["a"] });
  await assert.rejects(take(), (error) => isAwsocksError(error, "agent-offline"));
  const nothing = group({ states: {} });
  await assert.rejects(nothing.take(), (error) => isAwsocksError(error, "instance-not-found"));
});

Deno.test("who gives up waiting for the list leaves it to the others", async () => {
  const { instances } = group({ states: { a: "running" } });
  const abort = new AbortController();
  const leaving = assert.rejects(instances.take({ signal: abort.signal }), /left/);
  const staying = instances.take({ signal });
  abort.abort(new Error("left"));
  await leaving;
  assert.equal((await staying).instance.id, "a");
});
