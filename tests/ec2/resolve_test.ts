import assert from "node:assert/strict";
import { AwsocksError, isAwsocksError } from "../../lib/core/mod.ts";
import { resolveInstance } from "../../lib/ec2/mod.ts";
import { Fleet } from "./fleet.ts";

const fleet = () =>
  new Fleet(
    { id: "i-1", state: "stopped", name: "web-1" },
    { id: "i-2", state: "running", name: "web-2" },
    { id: "i-3", state: "terminated", name: "web-3" },
    { id: "i-4", state: "pending", name: "bastion" },
    { id: "i-5", state: "stopping", name: "Build Server" },
    { id: "i-6", state: "running" },
  );

const denied = () => new AwsocksError("aws-access-denied", "no");

async function failure(work: Promise<unknown>): Promise<AwsocksError> {
  try {
    await work;
  } catch (error) {
    if (isAwsocksError(error)) return error;
    throw error;
  }
  assert.fail("It did not fail");
}

Deno.test("resolveInstance() takes an id before a name", async () => {
  const found = await resolveInstance({ ec2: fleet(), instanceId: "i-6", name: "web-1" });
  assert.deepEqual(found, { id: "i-6", state: "running" });
});

Deno.test("resolveInstance() does not ask EC2 about a managed node", async () => {
  const ec2 = fleet();
  const id = "mi-0f1e2d3c4b5a69788";
  assert.deepEqual(await resolveInstance({ ec2, instanceId: id }), { id, state: "unknown" });
  assert.deepEqual(ec2.calls, []);
});

Deno.test("resolveInstance() goes on with an id when EC2 may not be asked", async () => {
  const ec2 = fleet();
  ec2.failures.describe = [denied()];
  const found = await resolveInstance({ ec2, instanceId: "i-2" });
  assert.deepEqual(found, { id: "i-2", state: "unknown" });
});

Deno.test("resolveInstance() needs the right to describe for a name", async () => {
  const ec2 = fleet();
  ec2.failures.describe = [denied()];
  assert.equal((await failure(resolveInstance({ ec2, name: "web-1" }))).code, "aws-access-denied");
});

Deno.test("resolveInstance() refuses what is gone for good", async () => {
  const terminated = await failure(resolveInstance({ ec2: fleet(), instanceId: "i-3" }));
  assert.equal(terminated.code, "instance-not-found");
  assert.equal(terminated.message, "Instance i-3 (web-3) in eu-west-1 is terminated");
  const unknown = await failure(resolveInstance({ ec2: fleet(), instanceId: "i-9" }));
  assert.equal(unknown.code, "instance-not-found");
});

Deno.test.each([
  ["web-1", "i-1"],
  ["web-2", "i-2"],
  ["bastion", "i-4"],
  ["b?stion", "i-4"],
  ["Build*", "i-5"],
])("resolveInstance() finds the Name tag %s in whatever state", async (name, id) => {
  assert.equal((await resolveInstance({ ec2: fleet(), name })).id, id);
});

Deno.test("resolveInstance() lists several hits, running ones first, without the terminated", async () => {
  const error = await failure(resolveInstance({ ec2: fleet(), name: "web-*" }));
  assert.equal(error.code, "instance-ambiguous");
  assert.equal(
    error.message,
    '2 instances in eu-west-1 have the Name tag "web-*": i-2 (web-2) running, i-1 (web-1) stopped',
  );
});

Deno.test("resolveInstance() lists no more than a person reads", async () => {
  const many = Array.from(
    { length: 25 },
    (_, i) => ({ id: `i-${100 + i}`, state: "running", name: "node" }) as const,
  );
  const { message } = await failure(resolveInstance({ ec2: new Fleet(...many), name: "node" }));
  assert.match(message, /^25 instances .*i-109 \(node\) running, and 15 more$/);
});

Deno.test("resolveInstance() lets the user choose among several hits", async () => {
  const offered: string[] = [];
  const controller = new AbortController();
  const found = await resolveInstance({
    ec2: fleet(),
    name: "*e*",
    signal: controller.signal,
    choose: (instances, { signal }) => {
      assert.equal(signal, controller.signal);
      offered.push(...instances.map(({ id }) => id));
      return Promise.resolve(instances[1]!);
    },
  });
  assert.deepEqual(offered, ["i-2", "i-5", "i-1"]);
  assert.equal(found.id, "i-5");
});

Deno.test("resolveInstance() asks nobody about a single hit", async () => {
  const choose = () => Promise.reject(new Error("asked"));
  assert.equal((await resolveInstance({ ec2: fleet(), name: "bastion", choose })).id, "i-4");
});

Deno.test.each([
  ["bastian", '; the nearest is "bastion"'],
  ["web", '; the nearest are "web-1", "web-2"'],
  ["web-9*", '; the nearest are "web-1", "web-2"'],
  ["build", '; the nearest is "Build Server"'],
  ["database-primary", ""],
])("resolveInstance() suggests for the unknown Name tag %s%s", async (name, suggestion) => {
  const error = await failure(resolveInstance({ ec2: fleet(), name }));
  assert.equal(error.code, "instance-not-found");
  assert.equal(error.message, `No instance in eu-west-1 has the Name tag "${name}"${suggestion}`);
});

Deno.test("resolveInstance() reports an unknown name also without suggestions", async () => {
  const ec2 = fleet();
  const answers = [Promise.resolve([]), Promise.reject(denied())];
  ec2.describeInstances = () => answers.shift()!;
  assert.equal((await failure(resolveInstance({ ec2, name: "x" }))).code, "instance-not-found");
});

Deno.test("resolveInstance() without id and name is the user's mistake", async () => {
  assert.equal((await failure(resolveInstance({ ec2: fleet() }))).code, "usage");
});
