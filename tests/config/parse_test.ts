import assert from "node:assert/strict";
import fc from "fast-check";
import { AwsocksError, isAwsocksError } from "../../lib/core/mod.ts";
import { CONFIG_KEYS } from "../../lib/config/keys.ts";
import { parseConfig } from "../../lib/config/parse.ts";
import { STARTER } from "../../lib/config/starter.ts";
import { parsePattern } from "../../lib/routing/mod.ts";
import { sampleOf, tomlOf } from "./samples.ts";

function validatePattern(pattern: string): string | undefined {
  try {
    parsePattern(pattern);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const parse = (text: string) => parseConfig(text, { path: "c.toml", validatePattern });

/** The lines of the error that `text` gives. */
function problemsOf(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    assert.ok(isAwsocksError(error, "config-invalid"), String(error));
    return error.message.split("\n");
  }
  return [];
}

Deno.test("parseConfig() takes every key in defaults and in a profile", () => {
  for (const key of CONFIG_KEYS) {
    const value = sampleOf(key, 1);
    for (const table of ["defaults", 'profiles."my own"']) {
      const { defaults, profiles } = parse(`[${table}]\n${tomlOf(key.key, value)}\n`);
      const layer = table === "defaults" ? defaults : profiles.get("my own")!;
      assert.deepEqual(layer, { [key.key]: value }, `${key.key} in ${table}`);
    }
  }
});

Deno.test("parseConfig() takes empty files, empty tables and all key notations", () => {
  for (const text of ["", "\n# nothing\n", "[defaults]\n[profiles]\n[profiles.a.routing]\n"]) {
    assert.deepEqual(problemsOf(text), []);
  }
  const text = `defaults = { routing = { "proxy" = ["a"] } }\nprofiles.x.'ssh-user' = "u"\n`;
  const { defaults, profiles } = parse(text);
  assert.deepEqual(defaults, { "routing.proxy": ["a"] });
  assert.deepEqual(profiles.get("x"), { "ssh-user": "u" });
});

Deno.test("parseConfig() points at each mistake, all of them at once", () => {
  const text = `# first line
[defaults]
ssh-usr = "me"
remote-port = "22"
listen = "1080"

[defaults.routing]
default = "drop"
proxy = ["ok.example", "a b",
  "https://x.example", 7]

[profiles.dev]
instance-id = "i-123"
lazy = "yes"
mode =   "VM"
proxy = ["x"]
instanceId = "i-0123456789abcdef0"
endpoints = { ssm = "ssm.local", s3 = "x" }

[profiles.prod]
name = "bastion"
instance-id = "i-0123456789abcdef0"
connect-timeout = 1.5

[profile.typo]
`;
  assert.deepEqual(problemsOf(text), [
    'c.toml:3:1: defaults.ssh-usr: unknown key; did you mean "ssh-user"?',
    'c.toml:4:15: defaults.remote-port: expected a whole number from 1 to 65535, found "22"',
    "c.toml:5:10: defaults.listen: expected an address with a port, such as 127.0.0.1:1080 or " +
    '[::1]:1080, found "1080"',
    'c.toml:8:11: defaults.routing.default: expected one of "proxy", "direct", "vm-direct", ' +
    '"block", found "drop"',
    'c.toml:9:24: defaults.routing.proxy[1]: pattern "a b": " " cannot be in a host name',
    'c.toml:10:3: defaults.routing.proxy[2]: pattern "https://x.example": a pattern is a host, ' +
    "not a URL",
    "c.toml:10:24: defaults.routing.proxy[3]: expected a pattern, found 7",
    "c.toml:13:15: profiles.dev.instance-id: expected an instance id such as " +
    'i-0123456789abcdef0 or mi-0123456789abcdef0, found "i-123"',
    'c.toml:14:8: profiles.dev.lazy: expected true or false, found "yes"',
    'c.toml:15:10: profiles.dev.mode: expected one of "direct", "vm", found "VM"',
    'c.toml:16:1: profiles.dev.proxy: unknown key; did you mean "routing.proxy"?',
    'c.toml:17:1: profiles.dev.instanceId: unknown key; did you mean "instance-id"?',
    "c.toml:18:21: profiles.dev.endpoints.ssm: expected an absolute URL (https: or http:), " +
    'found "ssm.local"',
    "c.toml:18:34: profiles.dev.endpoints.s3: unknown key",
    "c.toml:21:1: profiles.prod.name: stands beside instance-id; keep one of them",
    "c.toml:23:19: profiles.prod.connect-timeout: expected a whole number from 1 to 3600, found 1.5",
    'c.toml:25:2: profile: unknown table; did you mean "profiles"?',
  ]);
});

Deno.test("parseConfig() knows where a misplaced key belongs", () => {
  const vectors: [text: string, problem: string][] = [
    ['region = "eu-central-1"', "c.toml:1:1: region: belongs into [defaults] or [profiles.NAME]"],
    [
      '[routing]\ndefault = "proxy"',
      "c.toml:1:2: routing: belongs into [defaults] or [profiles.NAME]",
    ],
    ["[profiles]\ndev = 1", "c.toml:2:7: profiles.dev: expected a table, found 1"],
    ["[defaults]\nrouting = []", "c.toml:2:11: defaults.routing: expected a table, found a list"],
    ["[[defaults]]", "c.toml:1:3: defaults: expected a table, found a list"],
    [
      '[defaults.routing]\nregion = "x"',
      'c.toml:2:1: defaults.routing.region: unknown key; did you mean "region"?',
    ],
    ["[defaults]\nzzzzzzzz = 1", "c.toml:2:1: defaults.zzzzzzzz: unknown key"],
    ["[defaults.__proto__]", "c.toml:1:11: defaults.__proto__: unknown key"],
  ];
  for (const [text, problem] of vectors) assert.deepEqual(problemsOf(text), [problem]);
});

Deno.test("parseConfig() points at the place where the TOML ends to be one", () => {
  const [problem, ...others] = problemsOf(
    '[defaults]\nssh-user = "me\nssh-key-passphrase = "s3cret"\n',
  );
  assert.match(problem!, /^c\.toml:2:\d+: not valid TOML: \S/);
  assert.deepEqual(others, []);
});

Deno.test("parseConfig() shows no secret in an error", () => {
  const text = '[defaults]\nssh-key-passphrase = ["s3cret"]\nproxy-password = 12345\n' +
    `proxy-user = "${"s3cret".repeat(50)}"\n`;
  const problems = problemsOf(text);
  assert.equal(problems.length, 3);
  assert.doesNotMatch(problems.join("\n"), /s3cret|12345/);
});

Deno.test("parseConfig() accepts or reports any document, and throws nothing else", () => {
  const leaf = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.array(fc.string({ maxLength: 5 })),
    fc.constant({}),
  );
  const keys = [...CONFIG_KEYS.map(({ key }) => key), "defaults", "a.b.c", "routing", "endpoints"];
  const line = fc.tuple(fc.constantFrom(...keys), leaf)
    .map(([key, value]) => `${key} = ${JSON.stringify(value).replace("{}", "{ }")}`);
  const header = fc.constantFrom("[defaults]", "[profiles.a]", "[profiles]", "[[profiles]]", "[x]");
  const document = fc.array(fc.oneof(line, header), { maxLength: 6 })
    .map((lines) => lines.join("\n"));
  fc.assert(fc.property(document, (text) => {
    try {
      parse(text);
    } catch (error) {
      assert.ok(error instanceof AwsocksError, String(error));
      for (const problem of error.message.split("\n")) assert.match(problem, /^c\.toml:\d+:\d+: /);
    }
  }));
});

Deno.test("STARTER passes, as it is and with all comment signs taken away", () => {
  const { profiles } = parse(STARTER);
  assert.deepEqual([...profiles.keys()], ["dev"]);
  const uncommented = STARTER.replaceAll(/^# (?=[a-z-]+ = )/gm, "");
  assert.notEqual(uncommented, STARTER);
  assert.ok(!/^# [a-z-]+ =/m.test(uncommented));
  assert.equal(parse(uncommented).defaults["ssh-user"], "ec2-user");
});
