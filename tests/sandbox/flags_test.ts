import assert from "node:assert/strict";
import fc from "fast-check";
import { AwsocksError } from "../../lib/core/mod.ts";
import { DEFAULT_SWITCHES, parseSandboxFlags, SANDBOX_FLAGS } from "../../lib/sandbox/mod.ts";

function failure(text: string): AwsocksError {
  try {
    parseSandboxFlags(text);
  } catch (error) {
    assert.ok(error instanceof AwsocksError);
    assert.equal(error.code, "usage");
    return error;
  }
  assert.fail(`"${text}" was accepted`);
}

Deno.test("parseSandboxFlags() reads switches of every kind", () => {
  assert.deepEqual(parseSandboxFlags("pace=on,drop=0.01,cut-every=2MB"), {
    switches: { pace: true, drop: 0.01, cutEvery: { amount: 2_000_000, unit: "bytes" } },
  });
  assert.deepEqual(parseSandboxFlags(" cut-every=30s , cut-mode=abrupt, delay=5% "), {
    switches: { cutEvery: { amount: 30_000, unit: "ms" }, cutMode: "abrupt", delay: 0.05 },
  });
  assert.deepEqual(parseSandboxFlags("cut-every=500msg,rate=64KiB,reacknowledge=off"), {
    switches: {
      cutEvery: { amount: 500, unit: "messages" },
      rate: 65_536,
      reacknowledge: false,
    },
  });
  assert.deepEqual(parseSandboxFlags("seed=7,sshd=127.0.0.1:2222,pace,region=us-east-1"), {
    seed: 7,
    sshd: "127.0.0.1:2222",
    switches: { pace: true },
    region: "us-east-1",
  });
  assert.deepEqual(parseSandboxFlags("instances=2"), {
    instances: [{ name: "sandbox" }, { name: "sandbox" }],
  });
  assert.deepEqual(parseSandboxFlags(""), {});
});

Deno.test("parseSandboxFlags() says which switch is wrong and what it expects", () => {
  const cases: readonly [string, RegExp][] = [
    ["drop=2", /drop has value "2", expected a probability of at most 1/],
    ["drop=often", /expected a probability such as/],
    ["pace=maybe", /pace has value "maybe", expected on or off/],
    ["cut-every=0MB", /expected a size, a time or a number of messages/],
    ["cut-mode=loud", /expected one of bye, abrupt, stall/],
    ["idle-timeout=20", /expected a time such as/],
    ["rate=fast", /expected a size such as/],
    ["seed=-1", /expected a whole number/],
    ["instances=0", /expected a whole number from 1 to/],
    ["region=", /expected a word/],
  ];
  for (const [text, expected] of cases) assert.match(failure(text).message, expected, text);
});

Deno.test("parseSandboxFlags() names the nearest switch", () => {
  const error = failure("cutevery=2MB");
  assert.match(error.message, /Unknown sandbox switch "cutevery"/);
  assert.equal(error.hint, "did you mean cut-every?");
  assert.match(failure("quantum=1").hint, /known switches: pace, /);
});

Deno.test("every switch has a flag with a help text", () => {
  const camel = (name: string) => name.replaceAll(/-(.)/g, (_all, char) => char.toUpperCase());
  const names = new Set(SANDBOX_FLAGS.map((flag) => camel(flag.name)));
  for (const key of Object.keys(DEFAULT_SWITCHES)) assert.ok(names.has(key), key);
  for (const { name, value, help } of SANDBOX_FLAGS) assert.ok(name && value && help);
});

Deno.test("parseSandboxFlags() fails with usage errors only", () => {
  const part = fc.tuple(
    fc.oneof(fc.constantFrom(...SANDBOX_FLAGS.map((flag) => flag.name)), fc.string()),
    fc.string(),
  ).map(([name, value]) => `${name}=${value}`);
  fc.assert(fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
    try {
      parseSandboxFlags(parts.join(","));
    } catch (error) {
      assert.ok(error instanceof AwsocksError && error.code === "usage");
    }
  }));
});
