import assert from "node:assert/strict";
import { CONFIG_KEYS, findKey } from "../../lib/config/keys.ts";
import { checkValue, parseValue } from "../../lib/config/values.ts";
import { sampleOf, textOf } from "./samples.ts";

const VECTORS: Record<string, { yes: unknown[]; no: unknown[] }> = {
  "instance-id": {
    yes: ["i-01234567", "i-0123456789abcdef0", "mi-0123456789abcdef0"],
    no: ["", "i-0123456", "i-0123456789abcdeg0", "I-01234567", "mi-01234567", "bastion", 1],
  },
  "region": {
    yes: ["eu-central-1", "us-gov-west-1", "cn-north-1", "us-isob-east-1", "eusc-de-east-1"],
    no: ["", "Frankfurt", "eu-central", "eu-central-1a", "EU-CENTRAL-1", "eu_central_1"],
  },
  "listen": {
    yes: [
      ":1080",
      "127.0.0.1:1080",
      "localhost:0",
      "[::1]:1080",
      "0.0.0.0:65535",
      "[fe80::1%en0]:1080",
    ],
    no: [
      "",
      "1080",
      "127.0.0.1",
      "::1:1080",
      "[::1]",
      "a:65536",
      "a b:1",
      "1.2.3.256:1",
      "[1:2]:3",
    ],
  },
  "remote-port": { yes: [1, 65535], no: [0, 65536, -1, 1.5, NaN, "22", true] },
  "lazy": { yes: [true, false], no: ["true", 1, null] },
  "mode": { yes: ["direct", "vm"], no: ["VM", "", true] },
  "ssh-key": { yes: ["~", "~/x", "/a", "rel", "~\\x"], no: ["", "~bob", "~bob/x", "a\nb", 1] },
  "ssh-user": { yes: ["ec2-user", "ü"], no: ["", "a\u0000", []] },
  "ssh-key-passphrase": { yes: ["x", " ", "tab\t"], no: ["", 1] },
  "proxy-user": { yes: ["a", "ü".repeat(127)], no: ["", "a".repeat(256), "ü".repeat(128)] },
  "endpoints.ssm": {
    yes: [
      "https://ssm.eu-central-1.amazonaws.com",
      "http://127.0.0.1:4566/path",
      "https://[::1]:1",
    ],
    no: [
      "ssm.local",
      "ftp://x",
      "wss://x",
      "https://",
      "https://u:p@x",
      "https://x/?q",
      "https://x/#f",
    ],
  },
  "endpoints.ssmmessages": { yes: ["wss://x", "ws://127.0.0.1:1/"], no: ["https://x", "x"] },
  "routing.proxy": { yes: [[], ["a", "!b"]], no: ["a", [1], ["!"], [""], {}] },
};

Deno.test("checkValue() takes what fits the key and nothing else", () => {
  for (const [name, { yes, no }] of Object.entries(VECTORS)) {
    const key = findKey(name)!;
    for (const value of yes) {
      assert.deepEqual(checkValue(key, value), { value }, `${name} ${value}`);
    }
    for (const value of no) {
      assert.ok("problems" in checkValue(key, value), `${name} should refuse ${String(value)}`);
    }
  }
});

Deno.test("checkValue() reports every wrong pattern with its place", () => {
  const checked = checkValue(findKey("routing.proxy")!, ["ok", "no", 7, "!no"], (pattern) => {
    return pattern === "no" ? "not this one" : undefined;
  });
  assert.deepEqual(checked, {
    problems: [
      { text: 'pattern "no": not this one', at: 1 },
      { text: "expected a pattern, found 7", at: 2 },
      { text: 'pattern "!no": not this one', at: 3 },
    ],
  });
});

Deno.test("parseValue() reads what textOf() writes, for every key", () => {
  for (const key of CONFIG_KEYS) {
    for (const n of [0, 1]) {
      const value = sampleOf(key, n);
      assert.deepEqual(parseValue(key, textOf(value)), { value }, key.key);
    }
  }
});

Deno.test("parseValue() knows the usual words for true and false", () => {
  const lazy = findKey("lazy")!;
  for (const text of ["true", "1", "yes", "ON"]) {
    assert.deepEqual(parseValue(lazy, text), { value: true });
  }
  for (const text of ["false", "0", "No", "off"]) {
    assert.deepEqual(parseValue(lazy, text), { value: false });
  }
  for (const text of ["", "2", "t"]) assert.ok("problems" in parseValue(lazy, text));
});

Deno.test("CONFIG_KEYS are consistent: built-in values pass, names and flags are unique", () => {
  for (const key of CONFIG_KEYS) {
    if (key.default !== undefined) assert.ok("value" in checkValue(key, key.default), key.key);
    assert.equal(key.kind === "choice", key.values !== undefined, key.key);
    assert.equal(key.kind === "integer", key.range !== undefined, key.key);
    assert.equal(key.kind === "url", key.schemes !== undefined, key.key);
    assert.ok(key.environment.length > 0, key.key);
    const own = `AWSOCKS_${key.key.toUpperCase().replaceAll(/[-.]/g, "_")}`;
    for (const name of key.environment) {
      assert.ok(name === own || !name.startsWith("AWSOCKS_"), `${name} instead of ${own}`);
    }
  }
  const flags = CONFIG_KEYS.flatMap(({ flag, short }) => [flag, short]).filter(Boolean);
  assert.equal(new Set(flags).size, flags.length);
  assert.equal(new Set(CONFIG_KEYS.map(({ key }) => key)).size, CONFIG_KEYS.length);
});
