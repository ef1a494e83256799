/** What the proxy does by itself about causes that it can take away. */

import assert from "node:assert/strict";
import { eventually } from "../proxy/loopback.ts";
import { renewCredentials } from "../support/credentials_file.ts";
import { SkippingClock } from "../support/skipping_clock.ts";
import { connectThrough, type Stack, type StackOptions, startStack } from "../support/stack.ts";
import { getPage, SITE } from "../support/transfers.ts";

const STOPPED = "sandbox-stopped";

function stateOf({ sandbox }: Stack, name: string): string {
  return sandbox.instances().find((instance) => instance.name === name)!.state;
}

/** A stack whose time runs fast while `work` lasts: minutes of waiting for an instance. */
async function withFastTime(
  options: StackOptions,
  work: (stack: Stack) => Promise<void>,
): Promise<void> {
  const clock = new SkippingClock();
  await using stack = await startStack({
    ...options,
    sandbox: { transitionTime: 20, agentStartTime: 20, ...options.sandbox },
    clock,
  });
  const hurry = setInterval(() => clock.skip(500), 20);
  try {
    await work(stack);
  } finally {
    clearInterval(hurry);
  }
}

Deno.test("auto-start starts a stopped instance, auto-stop stops it again", async () => {
  const settings = { name: STOPPED, "auto-start": true, "auto-stop": true };
  await withFastTime({ settings }, async (stack) => {
    await getPage(stack);
    assert.equal(stateOf(stack, STOPPED), "running");
    assert.ok(
      stack.log.some(({ message }) => /^Waiting for i-\w+ \(sandbox-stopped\)/.test(message)),
    );
    await stack.stop();
    await eventually(() => stateOf(stack, STOPPED) === "stopped", "the instance is stopped");
    assert.ok(stack.sandbox.sessions().every(({ live }) => !live));
  });
});

Deno.test("auto-start without auto-stop leaves the instance running", async () => {
  await withFastTime({ settings: { name: STOPPED, "auto-start": true } }, async (stack) => {
    await getPage(stack);
    await stack.stop();
    assert.equal(stateOf(stack, STOPPED), "running");
  });
});

Deno.test("auto-stop leaves alone what it has not started", async () => {
  await withFastTime({ settings: { "auto-start": true, "auto-stop": true } }, async (stack) => {
    await getPage(stack);
    await stack.stop();
    assert.equal(stack.sandbox.instances()[0]!.state, "running");
  });
});

Deno.test("auto-start finds an instance that is on its way down", async () => {
  const settings = { "auto-start": true };
  await withFastTime({ settings }, async (stack) => {
    stack.sandbox.stopInstance(stack.sandbox.instanceId);
    assert.equal(stack.sandbox.instances()[0]!.state, "stopping");
    await getPage(stack);
  });
});

Deno.test("an instance that is stopped and started meanwhile is found again", async () => {
  await withFastTime({}, async (stack) => {
    const { sandbox } = stack;
    await getPage(stack);
    sandbox.stopInstance(sandbox.instanceId);
    await eventually(() => sandbox.instances()[0]!.state === "stopped", "the instance is stopped");
    sandbox.startInstance(sandbox.instanceId);
    await eventually(() => sandbox.instances()[0]!.agentOnline, "its agent is online");
    // The agent has gone without a word: only keep-alives tell that the session is dead.
    await stack.logged(/has ended/);
    await getPage(stack);
  });
});

Deno.test("rights to start sessions are enough, without any for EC2", async () => {
  await using stack = await startStack({ sandbox: { deny: ["ec2:*"] } });
  await getPage(stack);
});

Deno.test("credentials that were replaced resume the session that the old ones started", async () => {
  const env = { AWS_ACCESS_KEY_ID: null, AWS_SECRET_ACCESS_KEY: null };
  await using stack = await startStack({ credentials: "chain", env });
  const { sandbox } = stack;
  await Deno.mkdir(`${stack.home}/.aws`);
  const { accessKeyId, secretAccessKey } = sandbox.credentials;
  const text =
    `[default]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n`;
  await Deno.writeTextFile(`${stack.home}/.aws/credentials`, text);
  const standing = await connectThrough(stack, { ...SITE, port: 7 });
  await renewCredentials(stack);
  assert.equal(sandbox.cut(), 1);
  await stack.logged(/^Session \S+ resumed/);
  const echo = new Uint8Array(2);
  await standing.write(new TextEncoder().encode("ok"));
  assert.equal(await standing.read(echo), 2);
  standing.close();
  assert.equal(sandbox.sessions().length, 1);
});

Deno.test("a session that an administrator ends is replaced by the next request", async () => {
  await using stack = await startStack();
  const { sandbox } = stack;
  const standing = await connectThrough(stack, { ...SITE, port: 7 });
  sandbox.terminate(sandbox.sessions()[0]!.sessionId, "Session terminated by an administrator");
  assert.equal(await standing.read(new Uint8Array(1)).catch(() => null), null);
  standing.close();
  await getPage(stack);
  assert.deepEqual(sandbox.sessions().map(({ live }) => live), [false, true]);
  const { message } = await stack.logged(/has ended/);
  assert.match(message, /terminated by an administrator/);
});

Deno.test("a session whose time is up is replaced, and the log blames nobody for sure", async () => {
  await using stack = await startStack();
  const { sandbox } = stack;
  const standing = await connectThrough(stack, { ...SITE, port: 7 });
  sandbox.terminate(sandbox.sessions()[0]!.sessionId);
  assert.equal(await standing.read(new Uint8Array(1)).catch(() => null), null);
  standing.close();
  await getPage(stack);
  const { message } = await stack.logged(/has ended/);
  assert.match(
    message,
    /: Session Manager has ended the session, or the SSH server the connection; connecting again in \d s$/,
  );
});
