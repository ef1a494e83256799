import assert from "node:assert/strict";
import { AwsocksError, isAwsocksError } from "../../lib/core/mod.ts";
import { ensureRunning, type EnsureRunningOptions, type Instance } from "../../lib/ec2/mod.ts";
import type { InstanceState } from "../../lib/ec2/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { Fleet } from "./fleet.ts";

const POLL = 3_000;

/** An instance in a state, and a run that is under way. */
function begin(state: InstanceState, options: Partial<EnsureRunningOptions> = {}) {
  const ec2 = new Fleet({ id: "i-1", state, name: "web" });
  const clock = new FakeClock();
  const lines: string[] = [];
  const startedByUs: Instance[] = [];
  const run = (signal?: AbortSignal) =>
    ensureRunning({
      ec2,
      instance: { ...ec2.only },
      autoStart: true,
      clock,
      onProgress: (line) => lines.push(line),
      onStarted: (instance) => startedByUs.push(instance),
      signal,
      ...options,
    });
  return { ec2, clock, lines, startedByUs, run };
}

async function failure(work: Promise<unknown>): Promise<AwsocksError> {
  try {
    await work;
  } catch (error) {
    if (isAwsocksError(error)) return error;
    throw error;
  }
  assert.fail("It did not fail");
}

Deno.test("ensureRunning() is done with a running instance", async () => {
  const { ec2, run, lines, startedByUs } = begin("running");
  assert.deepEqual(await run(), { instance: ec2.only, started: false });
  assert.deepEqual([ec2.calls, lines, startedByUs], [[], [], []]);
});

Deno.test("ensureRunning() does not touch an instance of unknown state", async () => {
  const { ec2, run } = begin("unknown");
  assert.equal((await run()).started, false);
  assert.deepEqual(ec2.calls, []);
});

Deno.test("ensureRunning() starts a stopped instance and waits for it", async () => {
  const { ec2, clock, lines, startedByUs, run } = begin("stopped");
  const running = run();
  await clock.advance(0);
  assert.deepEqual(ec2.calls, ["start"]);
  assert.deepEqual(startedByUs.map(({ id }) => id), ["i-1"]); // before it runs
  await clock.advance(2 * POLL);
  ec2.only.state = "running";
  await clock.advance(POLL);
  const { instance, started } = await running;
  assert.equal(instance.state, "running");
  assert.equal(started, true);
  assert.deepEqual(ec2.calls, ["start", "describe", "describe", "describe"]);
  assert.deepEqual(lines, [
    "Starting i-1 (web)",
    "Waiting for i-1 (web) to run: it is pending",
  ]);
});

Deno.test.each(["stopped", "stopping"] as const)(
  "ensureRunning() leaves a %s instance alone without autoStart",
  async (state) => {
    const { ec2, run } = begin(state, { autoStart: false });
    const error = await failure(run());
    assert.equal(error.code, "instance-stopped");
    assert.equal(error.message, `Instance i-1 (web) in eu-west-1 is ${state}`);
    assert.deepEqual(ec2.calls, []);
  },
);

Deno.test("ensureRunning() waits for a pending instance, also without autoStart", async () => {
  const { ec2, clock, run } = begin("pending", { autoStart: false });
  const running = run();
  await clock.advance(POLL);
  ec2.only.state = "running";
  await clock.advance(POLL);
  assert.equal((await running).started, false);
});

Deno.test("ensureRunning() lets an instance stop before it starts it", async () => {
  const { ec2, clock, run } = begin("stopping");
  const running = run();
  await clock.advance(2 * POLL);
  assert(!ec2.calls.includes("start"));
  ec2.only.state = "stopped";
  await clock.advance(POLL);
  assert(ec2.calls.includes("start"));
  ec2.only.state = "running";
  await clock.advance(POLL);
  assert.equal((await running).started, true);
});

Deno.test("ensureRunning() knows when somebody else has started it", async () => {
  const { ec2, clock, startedByUs, run } = begin("stopped");
  ec2.only.state = "pending"; // since the caller has looked
  const running = run();
  await clock.advance(0);
  ec2.only.state = "running";
  await clock.advance(POLL);
  assert.equal((await running).started, false);
  assert.deepEqual(startedByUs, []);
});

Deno.test("ensureRunning() believes an old answer for half a minute after the start", async () => {
  const { ec2, clock, run } = begin("stopped");
  const running = run();
  await clock.advance(0);
  ec2.only.state = "stopped"; // as the lagging DescribeInstances still has it
  await clock.advance(3 * POLL);
  ec2.only.state = "running";
  await clock.advance(POLL);
  assert.equal((await running).started, true);
  assert.equal(ec2.calls.filter((call) => call === "start").length, 1);
});

Deno.test("ensureRunning() says why an instance stopped again", async () => {
  const { ec2, clock, run } = begin("stopped");
  const running = failure(run());
  await clock.advance(POLL);
  ec2.only.state = "stopped";
  ec2.only.stateReason = "Server.InsufficientInstanceCapacity: no capacity";
  await clock.advance(POLL);
  const error = await running;
  assert.equal(error.code, "instance-start-failed");
  assert.equal(
    error.message,
    "Could not start instance i-1 (web) in eu-west-1: it stopped again: " +
      "Server.InsufficientInstanceCapacity: no capacity",
  );
});

Deno.test("ensureRunning() gives up on an instance that never leaves stopped", async () => {
  const { ec2, clock, run } = begin("stopped");
  const running = failure(run());
  await clock.advance(0);
  ec2.only.state = "stopped";
  await clock.advance(40_000);
  assert.match((await running).message, /it stays stopped/);
});

Deno.test("ensureRunning() survives looks that fail on the way", async () => {
  const { ec2, clock, run } = begin("pending");
  ec2.failures.describe = [
    new AwsocksError("aws-unreachable", "offline"),
    new AwsocksError("aws-throttled", "slow down"),
    new AwsocksError("aws-unavailable", "internal"),
  ];
  const running = run();
  await clock.advance(3 * POLL);
  ec2.only.state = "running";
  await clock.advance(POLL);
  assert.equal((await running).instance.state, "running");
});

Deno.test("ensureRunning() ends when looking is forbidden", async () => {
  const { ec2, clock, run } = begin("pending");
  ec2.failures.describe = [new AwsocksError("aws-access-denied", "no")];
  const running = failure(run());
  await clock.advance(POLL);
  assert.equal((await running).code, "aws-access-denied");
});

Deno.test("ensureRunning() wraps why EC2 refuses to start", async () => {
  const { ec2, run } = begin("stopped");
  const cause = new AwsocksError("aws-unavailable", "ec2:StartInstances failed: no capacity");
  ec2.failures.start = [cause];
  const error = await failure(run());
  assert.equal(error.code, "instance-start-failed");
  assert.match(error.message, /no capacity$/);
  assert.equal(error.cause, cause);
});

Deno.test("ensureRunning() passes on that starting is not allowed", async () => {
  const { ec2, run } = begin("stopped");
  ec2.failures.start = [new AwsocksError("aws-access-denied", "no ec2:StartInstances")];
  assert.equal((await failure(run())).code, "aws-access-denied");
});

Deno.test("ensureRunning() looks again when the state changed under its hands", async () => {
  const { ec2, clock, run } = begin("stopped");
  ec2.failures.start = [
    new AwsocksError("aws-request-failed", "wrong state", {
      facts: { code: "IncorrectInstanceState" },
    }),
  ];
  const running = run();
  await clock.advance(POLL);
  ec2.only.state = "running";
  await clock.advance(POLL);
  assert.equal((await running).started, true);
  assert.equal(ec2.calls.filter((call) => call === "start").length, 2);
});

Deno.test("ensureRunning() waits for ten minutes and no longer", async () => {
  const { clock, run } = begin("pending");
  const running = failure(run());
  await clock.advance(10 * 60_000 - 1);
  assert.equal(clock.pending, 1);
  await clock.advance(POLL);
  const error = await running;
  assert.equal(error.code, "instance-start-failed");
  assert.match(error.message, /it is pending after 10 minutes$/);
});

Deno.test("ensureRunning() fails for an instance that is terminated meanwhile", async () => {
  const { ec2, clock, run } = begin("pending");
  const running = failure(run());
  await clock.advance(POLL);
  ec2.only.state = "terminated";
  await clock.advance(POLL);
  assert.match((await running).message, /it is terminated$/);
});

Deno.test("ensureRunning() ends at once with the signal's reason", async () => {
  const { clock, run } = begin("pending");
  const controller = new AbortController();
  const running = run(controller.signal);
  await clock.advance(POLL);
  controller.abort(new Error("enough"));
  await assert.rejects(running, /enough/);
  assert.equal(clock.pending, 0);
});
