import assert from "node:assert/strict";
import type { BackendState } from "../../lib/backend/mod.ts";
import { BackendProgress } from "../../lib/cli/progress.ts";
import { Screen } from "../../lib/cli/screen.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeOutput } from "../support/fake_terminal.ts";

Deno.test("BackendProgress counts the seconds until the backend is up", async () => {
  const output = new FakeOutput(true);
  const clock = new FakeClock();
  const progress = new BackendProgress({ screen: new Screen(output), clock, isTerminal: true });
  const backend: { state: BackendState } = { state: "initializing" };
  progress.watch(backend);
  progress.show("Starting i-1");
  await clock.advance(2000);
  progress.show("Waiting for the agent");
  await clock.advance(1000);
  backend.state = "active";
  await clock.advance(1000);
  assert.deepEqual(output.text.split("\r\x1b[2K"), [
    "… Starting i-1",
    "… Starting i-1 (1 s)",
    "… Starting i-1 (2 s)",
    "… Waiting for the agent",
    "… Waiting for the agent (1 s)",
    "",
  ]);
  assert.equal(clock.pending, 0);
});

Deno.test("BackendProgress ends with a failure and when it is taken away", async () => {
  const output = new FakeOutput(true);
  const clock = new FakeClock();
  const progress = new BackendProgress({ screen: new Screen(output), clock, isTerminal: true });
  progress.watch({ state: "initializing", lastError: new Error("no") });
  progress.show("Starting i-1");
  await clock.advance(1000);
  assert.equal(clock.pending, 0);
  progress.show("Starting i-1");
  progress.clear();
  assert.equal(clock.pending, 0);
  assert.ok(output.text.endsWith("\r\x1b[2K"));
});
