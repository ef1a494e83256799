/** `awsocks-agent serve` as a program of its own: killed, ended by its host, stopped, wrongly started. */

import assert from "node:assert/strict";
import { describeError } from "../../lib/core/mod.ts";
import { PAGE_TEXT } from "../../lib/sandbox/mod.ts";
import { type Program, runProgram, startProgram } from "../support/program.ts";
import { getPage, type GuestStack, SITE, startGuestStack } from "./stack.ts";

function startAgent(stack: GuestStack): Program {
  return startProgram(["serve", "--host", `unix:${stack.home}/vsock_5000`], { script: "agent.ts" });
}

async function page(stack: GuestStack): Promise<string> {
  const body = await getPage(await stack.backend.dial(SITE), SITE.host);
  return new TextDecoder().decode(body);
}

Deno.test("the agent is killed and started again: the next page comes through the new one", async () => {
  await using stack = await startGuestStack();
  const first = startAgent(stack);
  assert.ok((await page(stack)).includes(PAGE_TEXT));
  const open = await stack.backend.dial(SITE);
  const reading = open.read(new Uint8Array(1)).catch((error) => error);
  first.signal("SIGKILL");
  assert.ok(await reading instanceof Error, describeError(await reading));
  open.close();
  await first.finished;
  await using second = startAgent(stack);
  assert.ok((await page(stack)).includes(PAGE_TEXT));
  // What the first one has left at AWS ends with its silence, or is ended by the service.
  await stack.backend.close();
  const { code, stderr } = await second.finished;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /The host asks for the end/);
  assert.ok(!stderr.includes(stack.sandbox.credentials.secretAccessKey));
});

Deno.test("a signal stops the agent, which ends its session", async () => {
  await using stack = await startGuestStack();
  await using agent = startAgent(stack);
  await page(stack);
  const { code, stderr } = await agent.stop();
  assert.equal(code, 0, stderr);
  assert.ok(stack.sandbox.sessions().every(({ live }) => !live));
});

Deno.test("an agent without a host waits for it", async () => {
  const home = await Deno.makeTempDir();
  try {
    await using agent = startProgram(["serve", "--host", `unix:${home}/none`], {
      script: "agent.ts",
    });
    await agent.saw(/No tunnel to the host yet: .*none/, "stderr");
    assert.equal((await agent.stop()).code, 0);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

Deno.test("wrong command lines say what is wrong", async () => {
  const cases: [string[], RegExp][] = [
    [["init"], /init is for process 1 of a guest/],
    [["serve", "--hots", "2"], /Unknown option '--hots'/],
    [["serve", "--host", "nowhere"], /"nowhere" is not an address/],
  ];
  for (const [args, pattern] of cases) {
    const { code, stdout, stderr } = await runProgram(args, { script: "agent.ts" });
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(stderr, pattern);
  }
});
