import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatKnownHost,
  knownHostName,
  matchesHost,
  parseKnownHosts,
} from "../../lib/ssh/known_hosts.ts";
import { concat, string } from "../../lib/ssh/wire.ts";

/** A public key that need not be good for anything. */
function key(type = "ssh-ed25519", fill = 1): Uint8Array {
  return concat(string(type), string(new Uint8Array(32).fill(fill)));
}

const base64 = key().toBase64();

Deno.test("parseKnownHosts() reads lines, markers and comments", () => {
  const entries = parseKnownHosts([
    "# a comment",
    "",
    `i-0123 ssh-ed25519 ${base64} a comment`,
    `  @revoked\t*\tssh-ed25519 ${base64}\r`,
    `@cert-authority *.example.com ssh-ed25519 ${base64}`,
    `@unknown i-1 ssh-ed25519 ${base64}`,
    `i-1 ssh-rsa ${base64}`, // the key is of another type than the line says
    "i-1 ssh-ed25519 AAAA",
    "i-1 ssh-ed25519",
    "i-1",
    `a,b ssh-ed25519 ${base64}`,
  ].join("\n"));
  assert.deepEqual(
    entries.map(({ line, marker, hosts }) => [line, marker, hosts]),
    [
      [3, undefined, "i-0123"],
      [4, "revoked", "*"],
      [5, "cert-authority", "*.example.com"],
      [11, undefined, "a,b"],
    ],
  );
  assert.deepEqual(entries[0]!.publicKey, new Uint8Array(key()));
});

Deno.test("matchesHost() follows the pattern rules of OpenSSH", () => {
  const cases: [string, string, boolean][] = [
    ["i-0123", "i-0123", true],
    ["i-0123", "i-01234", false],
    ["I-0123", "i-0123", true],
    ["a,i-0123,b", "i-0123", true],
    ["*", "anything", true],
    ["i-*", "i-0123", true],
    ["i-*3", "i-0123", true],
    ["i-*2", "i-0123", false],
    ["i-?12*", "i-0123", true],
    ["i-?", "i-", false],
    ["*a*b*", "xaxbx", true],
    ["*a*b*", "xbxax", false],
    ["i-*,!i-0123", "i-0123", false],
    ["!i-0123,i-*", "i-0123", false],
    ["!i-0123", "i-4567", false], // a negation alone matches nothing
    ["i-*,!i-0123", "i-4567", true],
    ["[i-0123]:2222", "i-0123", false],
    ["[i-0123]:2222", "[i-0123]:2222", true],
    ["[*]:2222", "[i-0123]:2222", true],
    ["", "i-0123", false],
  ];
  for (const [hosts, name, expected] of cases) {
    assert.equal(matchesHost({ hosts }, name), expected, `${hosts} against ${name}`);
  }
});

Deno.test("matchesHost() reads hashed names", () => {
  // Written by `ssh-keygen -H` for the name i-0123456789abcdef0.
  const hosts = "|1|NEnLBYIEDBLmkB50IgTetKrdm6g=|kWkLdCsbAmTCtXGX5TR4YqBkusY=";
  assert.equal(matchesHost({ hosts }, "i-0123456789abcdef0"), true);
  assert.equal(matchesHost({ hosts }, "i-0123456789abcdef1"), false);
  for (const bad of ["|", "|1|", "|1||", "|2|AAAA|AAAA", "|1|AAAA", "|1|AAAA|AAAA|AAAA"]) {
    assert.equal(matchesHost({ hosts: bad }, "i-0123456789abcdef0"), false, bad);
  }
});

Deno.test("knownHostName() brackets a name with an unusual port", () => {
  assert.equal(knownHostName("I-0123"), "i-0123");
  assert.equal(knownHostName("i-0123", 22), "i-0123");
  assert.equal(knownHostName("i-0123", 2222), "[i-0123]:2222");
});

Deno.test("formatKnownHost() writes lines that are read back", () => {
  fc.assert(fc.property(
    fc.stringMatching(/^[a-z0-9-]{1,20}$/),
    fc.integer({ min: 1, max: 65535 }),
    fc.nat(255),
    (host, port, fill) => {
      const name = knownHostName(host, port);
      const [entry, ...others] = parseKnownHosts(formatKnownHost(name, key("ssh-ed25519", fill)));
      assert.ok(entry);
      assert.equal(others.length, 0);
      assert.equal(matchesHost(entry, name), true);
      assert.deepEqual(entry.publicKey, new Uint8Array(key("ssh-ed25519", fill)));
    },
  ));
});

Deno.test("parseKnownHosts() and matchesHost() take any text", () => {
  const line = fc.oneof(
    fc.string(),
    fc.tuple(fc.string(), fc.constantFrom("ssh-ed25519", "ssh-rsa"), fc.constant(base64))
      .map((fields) => fields.join(" ")),
  );
  fc.assert(fc.property(fc.array(line), fc.string(), (lines, name) => {
    for (const entry of parseKnownHosts(lines.join("\n"))) matchesHost(entry, name);
  }));
});

Deno.test("matchesHost() is quick for patterns made to be slow", () => {
  const hosts = `${"*a".repeat(200)}b`;
  const start = performance.now();
  assert.equal(matchesHost({ hosts }, "a".repeat(5000)), false);
  assert.ok(performance.now() - start < 1000);
});
