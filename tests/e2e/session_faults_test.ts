import assert from "node:assert/strict";
import type { CutMode, SandboxOptions } from "../../lib/sandbox/mod.ts";
import { type Stack, startStack } from "../support/stack.ts";
import { download, type TransferOptions, upload } from "../support/transfers.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const SEED = 20250101;

interface Direction {
  readonly name: string;
  readonly transfer: (stack: Stack, options: TransferOptions) => Promise<void>;
  /** Counter of the bytes that the gateway has relayed this way. */
  readonly progress: "bytesToClient" | "bytesFromClient";
}

const DIRECTIONS: readonly Direction[] = [
  { name: "download", transfer: download, progress: "bytesToClient" },
  { name: "upload", transfer: upload, progress: "bytesFromClient" },
];

interface FaultCase {
  readonly size: number;
  readonly sandbox?: SandboxOptions;
  /** Acts in the middle of the transfer: how often, and what. */
  readonly times?: number;
  readonly act?: (stack: Stack) => void | Promise<void>;
  /** Looks at what has happened, so that a fault which did not take place fails the test. */
  readonly check: (stack: Stack) => void;
}

/** Each case downloads and uploads, in a stack of its own each. */
function faultTest(name: string, fault: FaultCase): void {
  for (const direction of DIRECTIONS) {
    Deno.test(`${direction.name} of ${fault.size / MIB} MiB, ${name}`, async () => {
      await using stack = await startStack({
        sandbox: { seed: SEED, ...fault.sandbox },
        settings: { "max-sessions": 1 },
      });
      const acts = actAlongTheWay(stack, fault, direction);
      await direction.transfer(stack, { size: fault.size });
      await acts.end();

      assert.equal(stack.manager.stats().accepted, 1, "one connection of the client carried it");
      assert.equal(countersOf(stack).malformed, 0);
      fault.check(stack);
      await assertCleanEnd(stack);
    });
  }
}

/** Milliseconds between looks at how far a transfer is. */
const LOOK_MS = 2;

/** Acts each time another part of the bytes has passed the gateway and a WebSocket is up. */
function actAlongTheWay(stack: Stack, fault: FaultCase, { progress }: Direction) {
  const { size, times = 0, act = () => {} } = fault;
  let done = 0;
  let acting: Promise<void> | undefined;
  const look = setInterval(() => {
    const session = stack.sandbox.sessions()[0];
    if (done === times || acting || !session?.clientConnected) return;
    if (session.counters[progress] < size * (done + 1) / (times + 1)) return;
    done++;
    acting = Promise.resolve(act(stack)).finally(() => acting = undefined);
  }, LOOK_MS);
  return {
    async end() {
      clearInterval(look);
      await acting;
      assert.equal(done, times, "times the fault took place");
    },
  };
}

/** The one session there was. */
function countersOf(stack: Stack) {
  const sessions = stack.sandbox.sessions();
  assert.equal(sessions.length, 1, "exactly one session was started");
  return sessions[0]!.counters;
}

async function assertCleanEnd(stack: Stack): Promise<void> {
  assert.deepEqual(stack.sandbox.sessions().map(({ live }) => live), [true]);
  await stack.stop();
  assert.deepEqual(
    stack.sandbox.sessions().map(({ status }) => status),
    ["Terminated"],
    "no session is left over",
  );
}

function cut(stack: Stack, mode: CutMode): void {
  assert.equal(stack.sandbox.cut({ mode }), 1, "there is a WebSocket to cut");
}

for (const mode of ["bye", "abrupt"] as const) {
  faultTest(`with the WebSocket cut 10 times (${mode})`, {
    size: 20 * MIB,
    times: 10,
    act: (stack) => cut(stack, mode),
    check: (stack) => {
      const { cuts, webSockets, signedWebSockets } = countersOf(stack);
      assert.deepEqual({ cuts, webSockets, signedWebSockets }, {
        cuts: 10,
        webSockets: 11,
        signedWebSockets: 11,
      });
    },
  });
}

faultTest("with the WebSocket cut after every mebibyte", {
  size: 4 * MIB,
  sandbox: { switches: { cutEvery: { amount: MIB, unit: "bytes" }, cutMode: "abrupt" } },
  check: (stack) => assert.ok(countersOf(stack).cuts >= 4),
});

/** So slow that much is under way, and so few messages that the agent can repeat them in a moment. */
const LOSSY_CUTS = { rate: 4_000_000, unacknowledged: 16 } as const;

faultTest("with all that is under way lost in each of 3 cuts", {
  size: 2 * MIB,
  sandbox: { switches: LOSSY_CUTS },
  times: 3,
  act: (stack) => cut(stack, "abrupt"),
  check: (stack) => assert.equal(countersOf(stack).cuts, 3),
});

faultTest("with messages dropped", {
  size: MIB,
  sandbox: { switches: { drop: 0.01 } },
  check: (stack) => assert.ok(countersOf(stack).dropped >= 10),
});

faultTest("with messages duplicated", {
  size: 4 * MIB,
  sandbox: { switches: { duplicate: 0.2 } },
  check: (stack) => assert.ok(countersOf(stack).duplicated >= 1000),
});

faultTest("with messages reordered", {
  size: 4 * MIB,
  sandbox: { switches: { reorder: 0.2 } },
  check: (stack) => assert.ok(countersOf(stack).reordered >= 1000),
});

faultTest("with messages dropped, duplicated, reordered, late, and the WebSocket cut", {
  size: MIB,
  sandbox: {
    switches: { drop: 0.005, duplicate: 0.05, reorder: 0.05, delay: 0.02, delayTime: 20 },
  },
  times: 2,
  act: (stack) => cut(stack, "abrupt"),
  check: (stack) => {
    const { dropped, duplicated, reordered, delayed, cuts } = countersOf(stack);
    for (const count of [dropped, duplicated, reordered, delayed]) assert.ok(count > 0);
    assert.equal(cuts, 2);
  },
});

faultTest("with messages delayed", {
  size: 2 * MIB,
  sandbox: { switches: { delay: 0.05, delayTime: 30 } },
  check: (stack) => assert.ok(countersOf(stack).delayed >= 50),
});

faultTest("to an agent that refuses data at first", {
  size: MIB,
  sandbox: { switches: { refuseFirst: 1500 } },
  check: (stack) => assert.ok(countersOf(stack).refused >= 1),
});

faultTest("to an agent that is silent on duplicates, with the WebSocket cut", {
  size: 2 * MIB,
  sandbox: { agentVersion: "3.1.1732.0", switches: { reacknowledge: false, ...LOSSY_CUTS } },
  times: 3,
  act: (stack) => cut(stack, "abrupt"),
  check: (stack) => assert.equal(countersOf(stack).cuts, 3),
});

faultTest("with publication paused and started again", {
  size: 4 * MIB,
  times: 3,
  act: async (stack) => {
    stack.sandbox.setPublication(false);
    await pause(20);
    stack.sandbox.setPublication(true);
  },
  check: (stack) => assert.equal(countersOf(stack).webSockets, 1),
});

faultTest("with publication paused and never started again", {
  size: 2 * MIB,
  times: 2,
  act: (stack) => stack.sandbox.setPublication(false),
  check: (stack) => assert.equal(countersOf(stack).webSockets, 1),
});

faultTest("with ResumeSession failing for 3 s after a cut", {
  size: 2 * MIB,
  sandbox: { switches: { refuseResume: 3000 } },
  times: 1,
  act: (stack) => cut(stack, "bye"),
  check: (stack) => assert.equal(countersOf(stack).webSockets, 2),
});

faultTest("with the agent's own WebSocket cut", {
  size: 4 * MIB,
  times: 5,
  act: (stack) => stack.sandbox.cutAgent(),
  check: (stack) => assert.equal(countersOf(stack).webSockets, 1),
});

faultTest("with a throttled API and the WebSocket cut", {
  size: 2 * MIB,
  sandbox: { switches: { throttle: 0.3 } },
  times: 4,
  act: (stack) => cut(stack, "bye"),
  check: (stack) => assert.equal(countersOf(stack).webSockets, 5),
});

faultTest("with error pages in place of upgrades after a cut", {
  size: 2 * MIB,
  times: 2,
  act: (stack) => {
    stack.sandbox.setFaults({ upgradeErrors: 2 });
    cut(stack, "abrupt");
  },
  check: (stack) => assert.equal(countersOf(stack).webSockets, 3),
});

/** The length of a fault; no state is waited for. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
