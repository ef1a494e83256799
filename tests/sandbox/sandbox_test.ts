import assert from "node:assert/strict";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { PRIVATE_URL, startSandbox } from "../../lib/sandbox/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { callQuery, callSsm, json, xmlValues } from "./caller.ts";
import { startSession } from "./peer.ts";

Deno.test("a sandbox says how to use it, and takes its key with it", async () => {
  const sandbox = await startSandbox({ seed: 1 });
  assert.match(sandbox.endpoint, /^http:\/\/127\.0\.0\.1:\d+$/);
  const { accessKeyId, secretAccessKey } = sandbox.credentials;
  assert.deepEqual(sandbox.env, {
    AWS_ENDPOINT_URL: sandbox.endpoint,
    AWS_REGION: "eu-central-1",
    AWS_DEFAULT_REGION: "eu-central-1",
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  });
  assert.equal(sandbox.siteUrl, PRIVATE_URL);
  assert.equal(sandbox.sshUser, "ec2-user");
  assert.match(sandbox.hostKeyFingerprint, /^SHA256:/);
  const { mode } = await Deno.stat(sandbox.sshKeyPath);
  if (Deno.build.os !== "windows") assert.equal(mode! & 0o777, 0o600);
  const instances = sandbox.instances().map(({ name, state, agentOnline }) =>
    `${name} ${state} ${agentOnline}`
  );
  assert.deepEqual(instances, [
    "sandbox running true",
    "sandbox-stopped stopped false",
    "sandbox-twin running true",
    "sandbox-twin running true",
    "sandbox-offline running false",
  ]);
  assert.deepEqual([sandbox.instances()[0]!.instanceId, "sandbox"], [
    sandbox.instanceId,
    sandbox.name,
  ]);
  await sandbox.close();
  await assert.rejects(Deno.stat(sandbox.sshKeyPath), Deno.errors.NotFound);
  await assert.rejects(fetch(sandbox.endpoint));
});

Deno.test("options that make no sense are refused, and leave nothing behind", async () => {
  await assert.rejects(
    startSandbox({ instances: [] }),
    (error) => isAwsocksError(error, "usage"),
  );
  for (const sshd of ["localhost", "localhost:0", "localhost:99999", "a b:22", ":22"]) {
    await assert.rejects(startSandbox({ sshd }), (error) => isAwsocksError(error, "usage"), sshd);
  }
  await using first = await startSandbox();
  const port = Number(new URL(first.endpoint).port);
  await assert.rejects(startSandbox({ port }), (error) => isAwsocksError(error, "listen-failed"));
});

Deno.test("options name user, region, agent and instances", async () => {
  await using sandbox = await startSandbox({
    region: "us-gov-west-1",
    sshUser: "admin",
    agentVersion: "3.2.1041.0",
    instances: [{ name: "web", instanceId: "i-0123456789abcdef0" }],
    credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "secret" },
  });
  assert.equal(sandbox.instanceId, "i-0123456789abcdef0");
  assert.equal(sandbox.env.AWS_ACCESS_KEY_ID, "AKIAIOSFODNN7EXAMPLE");
  assert.equal(sandbox.sshUser, "admin");
  const answer = await callSsm(sandbox, "DescribeInstanceInformation", {});
  const [instance] = json(answer).InstanceInformationList as Record<string, unknown>[];
  assert.equal(instance?.AgentVersion, "3.2.1041.0");
});

Deno.test("instances are launched and terminated, and the terminated do not come back", async () => {
  const clock = new FakeClock(Date.now());
  await using sandbox = await startSandbox({ clock, transitionTime: 5000, agentStartTime: 3000 });
  const id = sandbox.launchInstance({ name: "web" });
  const now = () => {
    const { name, state, agentOnline } = sandbox.instances().at(-1)!;
    return [name, state, agentOnline];
  };
  assert.equal(sandbox.instances().at(-1)!.instanceId, id);
  assert.deepEqual(now(), ["web", "pending", false]);
  await clock.advance(5000);
  assert.deepEqual(now(), ["web", "running", false]);
  await clock.advance(3000);
  assert.deepEqual(now(), ["web", "running", true]);
  const call = (Action: string) =>
    callQuery(sandbox, "ec2", { Action, "InstanceId.1": id }, { now: clock.now() });
  assert.deepEqual(xmlValues(await call("TerminateInstances"), "name"), [
    "shutting-down",
    "running",
  ]);
  assert.deepEqual(now(), ["web", "shutting-down", false]);
  await clock.advance(5000);
  assert.deepEqual(now(), ["web", "terminated", false]);
  assert.match((await call("StartInstances")).text, /IncorrectInstanceState/);
});

Deno.test("no agent comes to a session whose instance is down by then", async () => {
  for (const way of ["up", "frozen", "stopped", "terminated"] as const) {
    const clock = new FakeClock(Date.now());
    await using sandbox = await startSandbox({ clock, switches: { agentDelay: 1000 } });
    const { instanceId } = sandbox;
    if (way === "frozen") sandbox.freezeInstance(instanceId);
    await startSession(sandbox);
    if (way === "stopped") sandbox.stopInstance(instanceId);
    if (way === "terminated") sandbox.terminateInstance(instanceId);
    await clock.advance(1000);
    // Nobody is there to take the agent's handshake.
    assert.equal(sandbox.sessions()[0]!.counters.lost > 0, way === "up", way);
  }
});

Deno.test("agents go offline and come back by hand", async () => {
  await using sandbox = await startSandbox({ seed: 1 });
  const target = sandbox.instanceId;
  await startSession(sandbox);
  sandbox.setAgentOnline(target, false);
  await assert.rejects(startSession(sandbox), /TargetNotConnected/);
  sandbox.setAgentOnline(target, true);
  await startSession(sandbox);
  assert.throws(() => sandbox.setAgentOnline("i-1", true), /The sandbox has no instance i-1/);
});

Deno.test("a new host key has another fingerprint", async () => {
  await using sandbox = await startSandbox();
  const before = sandbox.hostKeyFingerprint;
  assert.equal(sandbox.replaceHostKey(sandbox.instanceId), sandbox.hostKeyFingerprint);
  assert.notEqual(sandbox.hostKeyFingerprint, before);
});

Deno.test("new credentials replace the old ones at once", async () => {
  await using sandbox = await startSandbox();
  const old = sandbox.credentials;
  sandbox.setCredentials();
  const who = (credentials = sandbox.credentials) =>
    callQuery(sandbox, "sts", { Action: "GetCallerIdentity" }, { credentials });
  assert.equal((await who()).status, 200);
  assert.equal((await who(old)).status, 403);
});

Deno.test("a hundred sandboxes leave nothing behind", async () => {
  for (let i = 0; i < 100; i++) {
    await using sandbox = await startSandbox();
    if (i % 10 === 0) await startSession(sandbox);
  }
});
