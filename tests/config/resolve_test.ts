import assert from "node:assert/strict";
import fc from "fast-check";
import { AwsocksError, isAwsocksError } from "../../lib/core/mod.ts";
import {
  CONFIG_KEYS,
  type ConfigValue,
  type KeyName,
  type KnownKey,
} from "../../lib/config/keys.ts";
import { type Origin, ORIGINS } from "../../lib/config/levels.ts";
import type { Layer } from "../../lib/config/parse.ts";
import { resolveSettings } from "../../lib/config/resolve.ts";
import type { ResolveOptions, Settings } from "../../lib/config/mod.ts";
import { sampleOf, textOf } from "./samples.ts";

interface Given {
  flags?: ResolveOptions["flags"];
  env?: ResolveOptions["env"];
  profile?: Layer;
  defaults?: Layer;
  home?: string | undefined;
}

function resolve({ flags = {}, env = {}, profile, defaults = {}, ...rest }: Given) {
  return resolveSettings({
    flags,
    env,
    file: {
      path: "/c.toml",
      defaults,
      profiles: new Map<string, Layer>([["dev", profile ?? {}], ["prod", {}]]),
    },
    profile: profile && "dev",
    home: "home" in rest ? rest.home : "/home/me",
  });
}

function failureOf(given: Given): AwsocksError {
  try {
    resolve(given);
  } catch (error) {
    assert.ok(isAwsocksError(error), String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "resolveSettings() should have failed" });
}

/** The value of a dotted key in settings. */
function valueIn(settings: Settings, key: string): unknown {
  return key.split(".").reduce<unknown>((value, name) => {
    const camel = name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    return (value as Record<string, unknown>)[camel];
  }, settings);
}

const BUILT_IN: Settings = {
  sshUser: "ec2-user",
  knownHosts: "/home/me/.ssh/known_hosts",
  autoStart: false,
  autoStop: false,
  mode: "direct",
  listen: "127.0.0.1:1080",
  remotePort: 22,
  lazy: true,
  lazyUntilReady: "direct",
  backend: "auto",
  maxSessions: 4,
  payloadSize: 1024,
  instances: "one",
  fallback: true,
  compression: true,
  allowOpen: false,
  maxConnections: 4096,
  connectTimeout: 120,
  vmMemory: 512,
  vmCpus: 2,
  endpoints: {},
  routing: { default: "proxy", proxy: [], direct: [], vmDirect: [], block: [] },
};

Deno.test("resolveSettings() has the documented built-in values", () => {
  const { settings, origins, notices } = resolve({});
  assert.deepEqual(settings, BUILT_IN);
  assert.deepEqual(notices, []);
  assert.ok(Object.values(origins).every((origin) => origin === "built-in"));
});

Deno.test("resolveSettings() puts every key where Settings has it", () => {
  const everything = Object.fromEntries(CONFIG_KEYS.map((key) => [key.key, sampleOf(key, 1)]));
  const { name: _, ...profile } = everything;
  const expected: Settings = {
    profile: "dev",
    instanceId: "i-0123456789abcdef1",
    awsProfile: "value-1",
    region: "eu-central-2",
    sshUser: "value-1",
    sshKey: "/path/1",
    sshKeyPassphrase: "value-1",
    knownHosts: "/path/1",
    autoStart: true,
    autoStop: true,
    mode: "vm",
    listen: "127.0.0.1:1081",
    remotePort: 101,
    lazy: true,
    lazyUntilReady: "wait",
    backend: "ssh",
    maxSessions: 12,
    payloadSize: 101,
    instances: "all",
    fallback: true,
    compression: true,
    proxyUser: "value-1",
    proxyPassword: "value-1",
    allowOpen: true,
    maxConnections: 101,
    connectTimeout: 101,
    vmMemory: 257,
    vmCpus: 60,
    guestDir: "/path/1",
    qemu: "/path/1",
    vsockDevice: "/path/1",
    endpoints: {
      ssm: "https://host-1.example.com",
      ec2: "https://host-1.example.com",
      sts: "https://host-1.example.com",
      ssmmessages: "wss://host-1.example.com",
    },
    routing: {
      default: "direct",
      proxy: ["1.example.com"],
      direct: ["1.example.com"],
      vmDirect: ["1.example.com"],
      block: ["1.example.com"],
    },
  };
  assert.deepEqual(resolve({ profile }).settings, expected);
  const { instanceId: _id, ...withoutId } = expected;
  const { "instance-id": _2, ...named } = everything;
  assert.deepEqual(resolve({ profile: named }).settings, { ...withoutId, name: "value-1" });
});

/** Another key that must stand beside the one under test. */
const COMPANIONS: Partial<Record<KeyName, Layer>> = {
  "proxy-user": { "proxy-password": "secret" },
  "proxy-password": { "proxy-user": "me" },
};

/** Gives `value` for `key` on a level. */
function giveOn(given: Given, origin: Origin, key: KnownKey, value: ConfigValue): void {
  if (origin === "flag") given.flags = { [key.key]: value };
  if (origin === "environment") given.env = { [key.environment[0]!]: textOf(value) };
  if (origin === "profile") given.profile = { [key.key]: value };
  if (origin === "defaults") given.defaults = { ...given.defaults, [key.key]: value };
}

Deno.test("resolveSettings() lets each level win over all lower ones, for every key", () => {
  const given = ORIGINS.filter((origin) => origin !== "built-in");
  for (const key of CONFIG_KEYS) {
    // Every non-empty set of levels that give the key.
    for (let set = 1; set < 2 ** given.length; set++) {
      const levels = given.filter((_, index) => set & (1 << index));
      const options: Given = { profile: {}, defaults: COMPANIONS[key.key] ?? {} };
      for (const origin of levels) {
        giveOn(options, origin, key, sampleOf(key, given.indexOf(origin)));
      }
      const { settings, origins } = resolve(options);
      const expected = key.kind === "patterns"
        ? levels.toReversed().map((origin) => `${given.indexOf(origin)}.example.com`)
        : sampleOf(key, given.indexOf(levels[0]!));
      const label = `${key.key} on ${levels}`;
      assert.deepEqual(valueIn(settings, key.key), expected, label);
      assert.equal(origins[key.key], levels[0], label);
    }
  }
});

Deno.test("resolveSettings() tells false from not given", () => {
  for (const key of CONFIG_KEYS.filter(({ kind }) => kind === "boolean")) {
    const options = { profile: { [key.key]: false }, defaults: { [key.key]: true } };
    assert.equal(valueIn(resolve(options).settings, key.key), false, key.key);
    const flags = { [key.key]: false };
    assert.equal(
      valueIn(resolve({ flags, profile: { [key.key]: true } }).settings, key.key),
      false,
    );
  }
});

Deno.test("resolveSettings() reads every variable of a key, the stronger first", () => {
  for (const key of CONFIG_KEYS) {
    const companions = COMPANIONS[key.key] ?? {};
    const texts = key.environment.map((name, n) => [name, textOf(sampleOf(key, n))] as const);
    for (const [n, entry] of texts.entries()) {
      const env = Object.fromEntries([...texts.slice(n), [texts[0]![0], n === 0 ? entry[1] : ""]]);
      const { settings, origins } = resolve({ env, defaults: companions });
      assert.deepEqual(valueIn(settings, key.key), sampleOf(key, n), entry[0]);
      assert.equal(origins[key.key], "environment");
    }
  }
});

Deno.test("resolveSettings() takes flags as values, as text and as repeated lists", () => {
  const flags = {
    "remote-port": "2222",
    "auto-start": "yes",
    "lazy": false,
    "region": undefined,
    "routing.proxy": ["a", "b,c"],
    "routing.block": "d, e f",
  };
  const { settings } = resolve({ flags });
  assert.equal(settings.remotePort, 2222);
  assert.equal(settings.autoStart, true);
  assert.equal(settings.lazy, false);
  assert.deepEqual(settings.routing.proxy, ["a", "b", "c"]);
  assert.deepEqual(settings.routing.block, ["d", "e", "f"]);
});

Deno.test("resolveSettings() names the flag or variable that is wrong", () => {
  const flag = failureOf({ flags: { "remote-port": "0" } });
  assert.equal(flag.code, "usage");
  assert.equal(
    flag.message,
    "--remote-port: expected a whole number from 1 to 65535, found 0",
  );
  const variable = failureOf({ env: { AWSOCKS_LAZY: "maybe" } });
  assert.equal(variable.code, "config-invalid");
  assert.equal(
    variable.message,
    'Environment variable AWSOCKS_LAZY: expected true or false, found "maybe"',
  );
  const secret = failureOf({ env: { AWSOCKS_PROXY_PASSWORD: "s3cret".repeat(99) } });
  assert.doesNotMatch(secret.message, /s3cret/);
});

Deno.test("resolveSettings() does not mind a wrong variable that a flag replaces", () => {
  const { settings } = resolve({ flags: { region: "eu-west-1" }, env: { AWS_REGION: "local" } });
  assert.equal(settings.region, "eu-west-1");
  assert.match(failureOf({ env: { AWS_REGION: "local" } }).message, /AWS_REGION/);
});

Deno.test("resolveSettings() says so when AWS_PROFILE or AWS_REGION beats the file", () => {
  const profile = { "aws-profile": "prod", "region": "eu-central-1" };
  const env = { AWS_PROFILE: "dev", AWS_DEFAULT_REGION: "us-east-1" };
  const { settings, notices } = resolve({ profile, env });
  assert.deepEqual([settings.awsProfile, settings.region], ["dev", "us-east-1"]);
  assert.deepEqual(notices, [
    'AWS_PROFILE=dev in the environment replaces aws-profile = "prod" of the profile',
    'AWS_DEFAULT_REGION=us-east-1 in the environment replaces region = "eu-central-1" of the profile',
  ]);
  assert.match(resolve({ defaults: profile, env }).notices[0]!, /of \[defaults\]$/);
  const quiet: Given[] = [
    { env },
    { profile, env: { AWS_PROFILE: "prod", AWS_REGION: "eu-central-1" } },
    { profile, env, flags: { "aws-profile": "x", "region": "us-west-2" } },
    { profile: { "ssh-user": "a" }, env: { AWSOCKS_SSH_USER: "b" } },
  ];
  for (const given of quiet) assert.deepEqual(resolve(given).notices, []);
});

Deno.test("resolveSettings() lets the higher of instance-id and name silence the other", () => {
  const id = { "instance-id": "i-0123456789abcdef0" };
  const name = { name: "bastion" };
  const vectors: [Given, string][] = [
    [{ flags: name, profile: id }, "name flag"],
    [{ flags: id, profile: name }, "instance-id flag"],
    [{ profile: name, defaults: id }, "name profile"],
    [{ env: { AWSOCKS_NAME: "bastion" }, profile: id }, "name environment"],
    [{ defaults: id }, "instance-id defaults"],
  ];
  for (const [given, expected] of vectors) {
    const { settings, origins } = resolve(given);
    const key = settings.name === undefined ? "instance-id" : "name";
    assert.equal(`${key} ${origins[key]}`, expected);
    assert.ok(settings.name === undefined || settings.instanceId === undefined);
    assert.equal(origins[key === "name" ? "instance-id" : "name"], undefined);
  }
  const both = failureOf({ flags: { ...id, ...name } });
  assert.equal(both.code, "usage");
  assert.equal(
    both.message,
    "--instance-id and --name both say which instance; keep one of them",
  );
  const env = { AWSOCKS_NAME: "a", AWSOCKS_INSTANCE_ID: "i-0123456789abcdef0" };
  assert.equal(failureOf({ env }).code, "config-invalid");
});

Deno.test("resolveSettings() wants both of user and password, from whatever level, or none", () => {
  const password = { AWSOCKS_PROXY_PASSWORD: "s3cret" };
  const { settings } = resolve({ env: password, profile: { "proxy-user": "me" } });
  assert.deepEqual([settings.proxyUser, settings.proxyPassword], ["me", "s3cret"]);
  assert.equal(
    failureOf({ env: password }).message,
    "AWSOCKS_PROXY_PASSWORD is given without proxy-user; the proxy needs both or none",
  );
  assert.match(
    failureOf({ flags: { "proxy-user": "me" } }).message,
    /^--proxy-user .* proxy-password/,
  );
});

Deno.test("resolveSettings() joins pattern lists and takes away what a higher level unsays", () => {
  const { settings, notices, origins } = resolve({
    defaults: { "routing.proxy": ["a", "b", "c", "a"], "routing.direct": ["!zzz"] },
    profile: { "routing.proxy": ["!b", "d", "a"] },
    flags: { "routing.proxy": ["!d", "!nope", "e"] },
  });
  assert.deepEqual(settings.routing.proxy, ["a", "c", "e"]);
  assert.deepEqual(settings.routing.direct, []);
  assert.equal(origins["routing.proxy"], "flag");
  assert.deepEqual(notices, [
    "routing.proxy: !nope takes nothing away",
    "routing.direct: !zzz takes nothing away",
  ]);
});

Deno.test("resolveSettings() expands ~ and refuses ~user", () => {
  const { settings } = resolve({
    profile: { "ssh-key": "~/.ssh/id" },
    env: { AWSOCKS_KNOWN_HOSTS: "~" },
  });
  assert.deepEqual([settings.sshKey, settings.knownHosts], ["/home/me/.ssh/id", "/home/me"]);
  assert.match(failureOf({ flags: { "ssh-key": "~bob/key" } }).message, /not ~bob$/);
  const homeless = failureOf({ home: undefined, profile: { "ssh-key": "~/id" } });
  assert.match(homeless.message, /home directory is unknown/);
  assert.equal(resolve({ home: undefined }).settings.knownHosts, undefined);
});

Deno.test("resolveSettings() names the profiles there are, and the nearest first", () => {
  const file = { path: "/c.toml", defaults: {}, profiles: new Map([["dev", {}], ["prod", {}]]) };
  const base = { env: {}, file, home: "/home/me" };
  const fail = (profile: string, options = base) => {
    try {
      resolveSettings({ ...options, profile });
    } catch (error) {
      assert.ok(isAwsocksError(error, "profile-unknown"));
      return error;
    }
    throw new assert.AssertionError({ message: "should have failed" });
  };
  const near = fail("prd");
  assert.equal(near.message, 'No profile "prd" in /c.toml; did you mean "prod"?');
  assert.equal(near.hint, "profiles: dev, prod");
  assert.equal(fail("zzz").message, 'No profile "zzz" in /c.toml; profiles there: dev, prod');
  const empty = { ...base, file: { ...file, profiles: new Map() } };
  assert.equal(fail("x", empty).message, 'No profile "x" in /c.toml; it has no profiles');
});

Deno.test("resolveSettings() checks patterns of flags and environment with the given validator", () => {
  const options = {
    env: {},
    file: { path: undefined, defaults: {}, profiles: new Map<string, Layer>() },
    home: undefined,
    validatePattern: (pattern: string) => pattern === "bad" ? "it is bad" : undefined,
  };
  const wrong = { code: "usage", message: '--route-block: pattern "!bad": it is bad' };
  const flags = { "routing.block": ["good", "!bad"] };
  assert.throws(() => resolveSettings({ ...options, flags }), wrong);
  const env = { AWSOCKS_ROUTING_PROXY: "bad good" };
  assert.throws(() => resolveSettings({ ...options, env }), { code: "config-invalid" });
});

Deno.test("resolveSettings() settles or reports any flags and environment, and throws nothing else", () => {
  const key = fc.constantFrom(...CONFIG_KEYS);
  const flags = fc.dictionary(
    key.map(({ key }) => key),
    fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string())),
    { maxKeys: 3 },
  );
  const env = fc.dictionary(key.map(({ environment }) => environment[0]!), fc.string(), {
    maxKeys: 3,
  });
  fc.assert(fc.property(flags, env, (flags, env) => {
    try {
      resolve({ flags, env });
    } catch (error) {
      assert.ok(isAwsocksError(error, "usage", "config-invalid"), String(error));
    }
  }));
});
