import assert from "node:assert/strict";
import { createApp } from "../../lib/cli/app.ts";
import { FLAGS } from "../../lib/cli/flag_specs.ts";
import { parse } from "../../lib/cli/parse.ts";
import { configKey, flagSettings, settingsOf, validatePattern } from "../../lib/cli/settings.ts";
import { CONFIG_KEYS, type ConfigKey } from "../../lib/config/mod.ts";
import { isAwsocksError } from "../../lib/core/errors.ts";
import { settle } from "../support/fake_clock.ts";
import { FakeTerminal } from "../support/fake_terminal.ts";

Deno.test("every configuration key with a flag has that flag, with its letter, values and bounds", () => {
  for (const key of CONFIG_KEYS as readonly ConfigKey[]) {
    const flag = FLAGS.find((flag) => flag.setting && configKey(flag.name) === key.key);
    if (key.flag === undefined) {
      assert.ok(flag === undefined || flag.exposes !== undefined, `${key.key} has no flag`);
      continue;
    }
    assert.ok(flag, `${key.flag} is missing`);
    assert.equal(`--${flag.name}`, key.flag);
    assert.equal(flag.short && `-${flag.short}`, key.short);
    if (key.range) assert.deepEqual([flag.min, flag.max], key.range, key.key);
    if (key.values) {
      // `ssm` is an old word that the command line alone knows.
      assert.deepEqual(flag.choices?.filter((choice) => choice !== "ssm"), key.values, key.key);
    }
    const secret = flag.exposes !== undefined;
    assert.equal(secret, key.secret === true, `${key.key} is secret`);
  }
});

Deno.test("every flag that is a setting has its key", () => {
  for (const flag of FLAGS.filter((flag) => flag.setting)) {
    assert.ok(CONFIG_KEYS.some(({ key }) => key === configKey(flag.name)), flag.name);
  }
});

Deno.test("flagSettings() takes settings only, under their keys", () => {
  const flags = { "route-proxy": ["a"], "lazy": false, "once": true, "backend": "ssm" };
  assert.deepEqual(flagSettings(flags), {
    "routing.proxy": ["a"],
    "lazy": false,
    "backend": "auto",
  });
});

Deno.test("validatePattern() says why a pattern is none", () => {
  assert.equal(validatePattern("*.example.com"), undefined);
  assert.equal(typeof validatePattern("10.0.0.0/99"), "string");
});

const FILE = `
[profiles.staging]
name = "bastion"
region = "eu-west-1"

[profiles.production]
instance-id = "i-0123456789abcdef0"
`;

/** Settings of a command line with a configuration file. */
async function choose(
  args: string[],
  options: { file?: string; isTerminal?: boolean; keys?: string; env?: Record<string, string> } =
    {},
) {
  const home = await Deno.makeTempDir({ prefix: "awsocks-test-" });
  try {
    const path = `${home}/config.toml`;
    await Deno.writeTextFile(path, options.file ?? FILE);
    const parsed = parse(["start", "-c", path, ...args]);
    assert.ok(parsed.ok);
    const terminal = new FakeTerminal({
      isTerminal: options.isTerminal ?? false,
      env: { HOME: home, ...options.env },
    });
    const app = createApp(parsed.command, { terminal, exit: () => assert.fail("exit") });
    const { command } = app;
    const chosen = settingsOf(app, {
      profile: command.arguments[0],
      values: flagSettings(command.flags),
      env: terminal.env,
      needsInstance: true,
    });
    chosen.catch(() => {});
    if (options.keys !== undefined) {
      while (!terminal.raw) await settle();
      terminal.press(options.keys);
    }
    return (await chosen).settings;
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

const usage = (error: unknown) => isAwsocksError(error, "usage");

Deno.test("settingsOf() takes the profile named, flags above it", async () => {
  const settings = await choose(["staging", "--region", "us-east-1"]);
  assert.equal(settings.profile, "staging");
  assert.equal(settings.name, "bastion");
  assert.equal(settings.region, "us-east-1");
});

Deno.test("settingsOf() takes the only profile without asking", async () => {
  const settings = await choose([], { file: '[profiles.one]\nname = "x"\n' });
  assert.equal(settings.profile, "one");
});

Deno.test("settingsOf() lets the person pick one of several", async () => {
  const settings = await choose([], { isTerminal: true, keys: "prod\r" });
  assert.equal(settings.profile, "production");
});

Deno.test("settingsOf() asks nobody without a terminal", async () => {
  await assert.rejects(choose([]), usage);
});

Deno.test("settingsOf() needs no profile when the instance is named otherwise", async () => {
  const id = "i-00000000000000000";
  const byFlag = await choose(["-i", id]);
  assert.deepEqual([byFlag.profile, byFlag.instanceId], [undefined, id]);
  const byVariable = await choose([], { env: { AWSOCKS_NAME: "jump" } });
  assert.deepEqual([byVariable.profile, byVariable.name], [undefined, "jump"]);
  const byDefault = await choose([], { file: `[defaults]\nname = "d"\n${FILE}` });
  assert.deepEqual([byDefault.profile, byDefault.name], [undefined, "d"]);
});

Deno.test("settingsOf() refuses a profile and a configuration without an instance", async () => {
  await assert.rejects(choose([], { file: "" }), usage);
  await assert.rejects(choose(["x"], { file: "[profiles.x]\nlazy = true\n" }), usage);
});
