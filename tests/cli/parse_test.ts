import assert from "node:assert/strict";
import fc from "fast-check";
import { COMMANDS } from "../../lib/cli/command_specs.ts";
import { FLAGS } from "../../lib/cli/flag_specs.ts";
import { type Command, parse } from "../../lib/cli/parse.ts";
import { explainUsage } from "../../lib/cli/usage_error.ts";

function command(...args: string[]): Command {
  const parsed = parse(args);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.error.message);
  return parsed.command;
}

async function mistake(...args: string[]): Promise<{ message: string; hint: string }> {
  const parsed = parse(args);
  assert.ok(!parsed.ok, `accepted: ${args.join(" ")}`);
  return await explainUsage(parsed.error);
}

Deno.test("parse() takes flags before, between and after command and profile", () => {
  const orders = [
    ["--region", "eu-west-1", "-v", "start", "staging", "-i", "i-0123456789abcdef0"],
    ["-v", "start", "-i", "i-0123456789abcdef0", "--region=eu-west-1", "staging"],
    ["start", "staging", "-vi", "i-0123456789abcdef0", "-r", "eu-west-1"],
    ["-reu-west-1", "start", "-v", "-i=i-0123456789abcdef0", "--", "staging"],
  ];
  for (const args of orders) {
    const { name, arguments: words, flags, log } = command(...args);
    assert.equal(name, "start");
    assert.deepEqual(words, ["staging"]);
    assert.deepEqual({ ...flags }, {
      "region": "eu-west-1",
      "instance-id": "i-0123456789abcdef0",
      "verbose": true,
    });
    assert.equal(log.level, "debug");
  }
});

Deno.test("parse() knows every flag of the original program", () => {
  const { flags } = command(
    ..."start p --verbose --log-level warn -c f -m direct -b ssm -i i-1 -n x --aws-profile a".split(
      " ",
    ),
    ..."-r eu-west-1 -u me -k ~/.ssh/id --ssh-key-passphrase s -l :0 -p 2222 --lazy".split(" "),
    ..."--auto-start --auto-stop --route-default direct --route-proxy a,b --route-proxy c".split(
      " ",
    ),
    ..."--route-direct d --route-vm-direct e --routing-config x".split(" "),
  );
  assert.deepEqual({ ...flags }, {
    "verbose": true,
    "log-level": ["warn"],
    "config": "f",
    "mode": "direct",
    "backend": "ssm",
    "instance-id": "i-1",
    "name": "x",
    "aws-profile": "a",
    "region": "eu-west-1",
    "ssh-user": "me",
    "ssh-key": "~/.ssh/id",
    "ssh-key-passphrase": "s",
    "listen": ":0",
    "remote-port": 2222,
    "lazy": true,
    "auto-start": true,
    "auto-stop": true,
    "route-default": "direct",
    "route-proxy": ["a", "b", "c"],
    "route-direct": ["d"],
    "route-vm-direct": ["e"],
    "routing-config": "x",
  });
});

Deno.test("parse() reads booleans in each of their spellings", () => {
  const spellings: [string, boolean][] = [
    ["--lazy", true],
    ["--no-lazy", false],
    ["--lazy=true", true],
    ["--lazy=false", false],
    ["--lazy=off", false],
    ["--lazy=1", true],
  ];
  for (const [flag, value] of spellings) {
    assert.equal(command("start", flag).flags["lazy"], value, flag);
  }
  assert.equal(command("start", "--no-lazy", "--lazy").flags["lazy"], true, "the last one counts");
});

Deno.test("parse() reads --sandbox with and without switches", () => {
  assert.equal(command("start", "--sandbox").flags["sandbox"], true);
  assert.equal(command("start", "--sandbox=drop=0.1").flags["sandbox"], "drop=0.1");
});

Deno.test("parse() reads levels of single rooms", () => {
  const { log } = command("start", "--log-level", "warning", "--log-level=ssm=debug,ssh=trace");
  assert.deepEqual(log, { level: "warn", rooms: { ssm: "debug", ssh: "trace" }, format: "text" });
  assert.equal(command("demo", "-q").log.level, "warn");
  assert.equal(command("demo", "--log-format", "json").log.format, "json");
});

Deno.test("parse() answers --help and --version wherever they stand", () => {
  assert.deepEqual(command("start", "--bogus", "--help").arguments, ["start"]);
  assert.deepEqual(command("-h", "config", "check", "x").arguments, ["config", "check"]);
  assert.deepEqual(command("help", "config", "init").arguments, ["config", "init"]);
  assert.deepEqual(command("help", "config").arguments, ["config"]);
  assert.deepEqual(command("help", "--help").arguments, []);
  assert.deepEqual(command("--help").arguments, []);
  assert.equal(command("--version").name, "version");
  assert.equal(command("-V").name, "version");
  assert.equal(command("start", "--", "--help").arguments[0], "--help");
});

Deno.test("parse() warns of secrets in plain sight and of flags without effect", () => {
  assert.deepEqual(command("start", "--proxy-password=x").warnings, [
    "--proxy-password can be read in a process list; use AWSOCKS_PROXY_PASSWORD",
  ]);
  assert.match(command("start", "--ssh-key-passphrase", "x").warnings[0]!, /process list/);
  assert.match(command("start", "--routing-config", "x").warnings[0]!, /no effect/);
  assert.deepEqual(command("start").warnings, []);
});

const MISTAKES: [args: string, message: RegExp, hint: RegExp][] = [
  ["", /^No command is given$/, /awsocks help/],
  ["strat", /^Unknown command "strat"; did you mean start\?$/, /^$/],
  ["production", /^Unknown command "production"$/, /awsocks start production/],
  ["config", /needs one of: check, init, path/, /awsocks help config/],
  ["config chekc", /^Unknown command "config chekc"; did you mean check\?$/, /^$/],
  ["help strat", /no help for "strat"; did you mean start\?$/, /^$/],
  ["help start demo", /no help for "start demo"/, /./],
  ["start --regoin x", /^Unknown flag "--regoin"; did you mean --region\?$/, /^$/],
  ["start --no-lasy", /^Unknown flag "--no-lasy"; did you mean --no-lazy\?$/, /^$/],
  ["start --no-region", /^Unknown flag "--no-region"; did you mean --region\?$/, /^$/],
  ["start --zzzzzzzz", /^Unknown flag "--zzzzzzzz"$/, /awsocks help start/],
  ["start -x", /^Unknown flag "-x"$/, /awsocks help start/],
  ["start -region eu-west-1", /^Unknown flag "-region"$/, /two dashes: --region/],
  ["start --once", /`awsocks start` has no flag --once/, /belongs to awsocks demo/],
  ["start --region", /--region needs a value: REGION/, /./],
  ["start --region --lazy", /--region needs a value: REGION/, /write --region=--lazy/],
  ["start --region=", /--region is empty/, /./],
  ["start --lazy false", /"false" does not belong to --lazy/, /write --lazy=false/],
  ["start --lazy=maybe", /--lazy is true or false, not "maybe"/, /./],
  ["start --no-lazy=true", /--no-lazy takes no value/, /./],
  ["start --sandbox drop=0.1", /does not belong to --sandbox/, /--sandbox=drop=0.1/],
  [
    "start --mode dircet",
    /--mode is one of direct, vm, not "dircet"; did you mean direct\?$/,
    /^$/,
  ],
  ["start -p 70000", /-p is a whole number from 1 to 65535, not "70000"/, /./],
  ["start -p 0x16", /not "0x16"/, /./],
  ["start --route-proxy ,", /--route-proxy is empty/, /./],
  ["start --log-level loud", /one of trace, debug, info, warn, error, not "loud"/, /./],
  ["start --log-level shh=debug", /there is no room "shh"; did you mean ssh\?$/, /^$/],
  ["start one two", /does not know what to do with "two"/, /awsocks help start/],
  ["demo staging", /`awsocks demo` takes no arguments, but there is "staging"/, /./],
  ["route", /needs HOST\[:PORT\]/, /awsocks help route/],
];

for (const [args, message, hint] of MISTAKES) {
  Deno.test(`parse() refuses: awsocks ${args}`, async () => {
    const error = await mistake(...args.split(" ").filter((word) => word !== ""));
    assert.match(error.message, message);
    assert.match(error.hint, hint);
    assert.doesNotMatch(error.message, /\n|\.$/, "one line without a full stop");
  });
}

Deno.test("parse() refuses an empty argument", async () => {
  assert.match((await mistake("start", "")).message, /PROFILE is empty/);
});

Deno.test("parse() never throws, whatever the words", () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom("start", "config", "check", "help", "--", "-", "--no-", "-=", "--=x", "-h"),
    fc.constantFrom(...FLAGS).map((flag) => `--${flag.name}`),
    fc.tuple(fc.constantFrom(...FLAGS), fc.string()).map(([flag, text]) =>
      `--${flag.name}=${text}`
    ),
    fc.constantFrom("__proto__", "--__proto__", "--constructor=x", "--no-constructor"),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (args) => {
      const parsed = parse(args);
      if (!parsed.ok) assert.ok(parsed.error.message.length > 0);
    }),
    { numRuns: 3000 },
  );
});

Deno.test("the tables agree: every flag exists, has one letter of its own, and stands somewhere", () => {
  const shorts = FLAGS.flatMap((flag) => flag.short ?? []);
  assert.equal(new Set(shorts).size, shorts.length);
  const used = new Set(COMMANDS.flatMap((spec) => spec.flags));
  for (const flag of FLAGS) {
    assert.ok(used.has(flag.name) || flag.name === "version", `${flag.name} belongs to no command`);
  }
  for (const name of used) assert.ok(FLAGS.some((flag) => flag.name === name), name);
});

Deno.test("every example of the help parses", () => {
  for (const { examples } of COMMANDS) {
    for (const [example] of examples) {
      if (!example.startsWith("awsocks")) continue;
      const args = example.replaceAll("'", "").split(" ").slice(1);
      assert.ok(parse(args).ok, example);
    }
  }
});
