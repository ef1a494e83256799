/** Logging in with a key of this run that EC2 Instance Connect lets in, through the whole stack. */

import assert from "node:assert/strict";
import { describeError, isAwsocksError } from "../../lib/core/mod.ts";
import type { SandboxEvent } from "../../lib/sandbox/mod.ts";
import { type Stack, type StackOptions, startStack } from "../support/stack.ts";
import { getPage } from "../support/transfers.ts";

function eventsOf(stack: Stack): SandboxEvent[] {
  const events: SandboxEvent[] = [];
  stack.sandbox.on((event) => events.push(event));
  return events;
}

const pushes = (events: readonly SandboxEvent[]) =>
  events.filter((event) => event.type === "api-call" && event.action === "SendSSHPublicKey").length;

/** Private keys among the files of the home directory. */
async function keysIn(directory: string): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) found.push(...await keysIn(path));
    else if (/PRIVATE KEY/.test(await Deno.readTextFile(path))) found.push(path);
  }
  return found;
}

Deno.test("instance-connect logs in with a key that is on no disk", async () => {
  await using stack = await startStack({
    settings: { "backend": "ssh", "ssh-key": "instance-connect", "max-sessions": 1 },
  });
  const events = eventsOf(stack);
  await getPage(stack);
  assert.equal(pushes(events), 1);
  assert.deepEqual(await keysIn(stack.home), []);
});

Deno.test("each SSH handshake has a key of its own", async () => {
  await using stack = await startStack({
    settings: { "backend": "ssh", "ssh-key": "instance-connect" },
  });
  const events = eventsOf(stack);
  await Promise.all(Array.from({ length: 8 }, () => getPage(stack)));
  const logins = events.flatMap((event) =>
    event.type === "ssh-authenticated" ? [event.fingerprint] : []
  );
  assert.equal(logins.length, stack.sandbox.sessions().length);
  assert.equal(new Set(logins).size, logins.length);
});

for (const backend of ["ssh", "auto"] as const) {
  Deno.test(`without any key, backend ${backend} uses Instance Connect and says so`, async () => {
    await using stack = await startStack({
      settings: { "backend": backend, "ssh-key": null, "max-sessions": 1 },
    });
    const events = eventsOf(stack);
    await getPage(stack);
    assert.equal(stack.backend.name, "ssh");
    assert.equal(pushes(events), 1, "the login that was tried first is used");
    assert.equal(stack.sandbox.sessions().length, 1);
    await stack.logged(/^No SSH key found.*using EC2 Instance Connect$/);
  });
}

async function failureOf(options: StackOptions): Promise<unknown> {
  await using stack = await startStack({
    ...options,
    settings: { "backend": "ssh", ...options.settings },
  });
  const error = await stack.backend.start().then(() => assert.fail("It starts"), (error) => error);
  await stack.stop();
  assert.ok(stack.sandbox.sessions().every(({ live }) => !live));
  return error.cause;
}

Deno.test("a policy that forbids Instance Connect is told with the right to ask for", async () => {
  const sandbox = { deny: ["ec2-instance-connect:*"] };
  const denied = await failureOf({ sandbox, settings: { "ssh-key": "instance-connect" } });
  assert.ok(isAwsocksError(denied, "aws-access-denied"));
  assert.match(denied.message, /do not allow ec2-instance-connect:SendSSHPublicKey on i-/);
  assert.match(denied.hint, /policy needs ec2-instance-connect:SendSSHPublicKey/);

  const missing = await failureOf({ sandbox, settings: { "ssh-key": null } });
  assert.ok(isAwsocksError(missing, "ssh-key-missing"));
  assert.match(describeError(missing), /^No SSH key found: .* do not allow ec2-instance-connect:/);
  assert.match(missing.hint, /--ssh-key.*ec2-instance-connect:SendSSHPublicKey/);
});

Deno.test("an instance that does not ask Instance Connect is told as such", async () => {
  const refused = await failureOf({
    settings: { "ssh-key": "instance-connect", "ssh-user": "ubuntu" },
  });
  assert.ok(isAwsocksError(refused, "ssh-auth-failed"));
  assert.match(refused.message, /refuses user "ubuntu".*EC2 Instance Connect/);
  assert.match(refused.hint, /package ec2-instance-connect/);
});

Deno.test("auto goes by port forwarding where neither a key nor Instance Connect is of use", async () => {
  for (
    const options of [
      { sandbox: { deny: ["ec2-instance-connect:*"] } },
      { settings: { "ssh-user": "ubuntu" } },
    ]
  ) {
    await using stack = await startStack({
      ...options,
      settings: { "backend": "auto", "ssh-key": null, ...options.settings },
    });
    await getPage(stack);
    assert.equal(stack.backend.name, "port");
  }
});
