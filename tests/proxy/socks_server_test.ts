import assert from "node:assert/strict";
import fc from "fast-check";
import { AwsocksError, connPair, isAwsocksError, readAll, writeAll } from "../../lib/core/mod.ts";
import { createVerifier } from "../../lib/proxy/auth.ts";
import { BufferedConn } from "../../lib/proxy/buffered_conn.ts";
import { socks5Connect, Socks5Refusal } from "../../lib/proxy/socks5_client.ts";
import { acceptSocks4, acceptSocks5 } from "../../lib/proxy/socks_server.ts";
import { concat, exchange, hex, text, utf8 } from "./bytes.ts";

const verify = createVerifier({ user: "ada", password: "löve" });
const GREETING = "05 01 00";
const CONNECT_1_2_3_4_80 = "05 01 00 01 01020304 0050";

/** Sends all `sent` at once and ends; gives what the server answered and its outcome. */
async function run(
  accept: typeof acceptSocks5,
  sent: Uint8Array,
  check?: typeof verify,
): Promise<{ answered: Uint8Array; error?: unknown; target?: unknown }> {
  const [near, far] = connPair(1 << 20);
  await writeAll(far, sent);
  await far.closeWrite();
  let outcome: { error?: unknown; target?: unknown };
  try {
    outcome = { target: (await accept(new BufferedConn(near), check)).target };
  } catch (error) {
    outcome = { error };
  }
  await near.closeWrite();
  const answered = await readAll(far);
  near.close();
  far.close();
  return { answered, ...outcome };
}

Deno.test("acceptSocks5() takes a client that waits for each answer", async () => {
  const [near, far] = connPair();
  const accepted = acceptSocks5(new BufferedConn(near));
  await exchange(far, hex("05 02 01 00"), hex("05 00"));
  await writeAll(far, concat(hex("05 01 00 03 0b"), utf8("EXAMPLE.com"), hex("01bb")));
  const request = await accepted;
  assert.deepEqual(request.target, { host: "example.com", port: 443 });
  assert.equal(request.protocol, "socks5");
  await request.accept({ host: "10.0.0.1", port: 9 });
  await exchange(far, hex(""), hex("05 00 00 01 0a000001 0009"));
});

Deno.test("acceptSocks5() takes greeting, password, request and data in one segment", async () => {
  const [near, far] = connPair();
  const client = new BufferedConn(near);
  const accepted = acceptSocks5(client, verify);
  const password = concat(hex("01 03"), utf8("ada"), hex("05"), utf8("löve"));
  await writeAll(
    far,
    concat(hex("05 02 00 02"), password, hex(CONNECT_1_2_3_4_80), utf8("GET / HTTP/1.0")),
  );
  const request = await accepted;
  assert.deepEqual(request.target, { host: "1.2.3.4", port: 80 });
  await request.accept();
  await exchange(far, hex(""), hex("05 02 01 00 05 00 00 01 00000000 0000"));
  assert.equal(text(client.ahead), "GET / HTTP/1.0");
});

Deno.test("acceptSocks5() answers each refusal with its reply", async () => {
  const request = (tail: string) => concat(hex(GREETING), hex(`05 ${tail}`));
  const named = (name: string, port = "0050") =>
    concat(request("01 00 03"), Uint8Array.of(utf8(name).length), utf8(name), hex(port));
  const cases: [what: string, sent: Uint8Array, reply: number, code: string][] = [
    ["BIND", request("02 00 01 01020304 0050"), 7, "proxy-command-unsupported"],
    ["UDP ASSOCIATE", request("03 00 01 00000000 0000"), 7, "proxy-command-unsupported"],
    ["command 0", request("00 00 01 01020304 0050"), 7, "proxy-command-unsupported"],
    ["address type 2", request("01 00 02 01020304 0050"), 8, "proxy-address-unsupported"],
    ["empty name", request("01 00 03 00 0050"), 1, "proxy-protocol-error"],
    ["port 0", request("01 00 01 01020304 0000"), 1, "proxy-protocol-error"],
    ["space in the name", named("a b"), 1, "proxy-protocol-error"],
    ["NUL in the name", named("a\0b"), 1, "proxy-protocol-error"],
    ["only dots", named("..."), 1, "proxy-protocol-error"],
    ["half an IPv6 address", named("1:2"), 1, "proxy-protocol-error"],
    ["truncated", request("01 00 01 0102"), 1, "proxy-protocol-error"],
    ["version 4 in the request", request("").with(3, 4), 1, "proxy-protocol-error"],
  ];
  for (const [what, sent, reply, code] of cases) {
    const { answered, error } = await run(acceptSocks5, sent);
    assert.ok(isAwsocksError(error), what);
    assert.equal(error.code, code, what);
    assert.deepEqual([...answered], [5, 0, 5, reply, 0, 1, 0, 0, 0, 0, 0, 0], what);
  }
});

Deno.test("acceptSocks5() takes addresses written as names", async () => {
  const cases = [
    ["192.0.2.1", "192.0.2.1"],
    ["2001:DB8::1", "2001:db8::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["bücher.example", "xn--bcher-kva.example"],
  ] as const;
  for (const [name, host] of cases) {
    const bytes = utf8(name);
    const sent = concat(hex(GREETING), hex("05 01 00 03"), Uint8Array.of(bytes.length), bytes);
    const { target } = await run(acceptSocks5, concat(sent, hex("0050")));
    assert.deepEqual(target, { host, port: 80 }, name);
  }
});

Deno.test("acceptSocks5() refuses clients without an acceptable method", async () => {
  for (const greeting of ["05 00", "05 01 00", "05 01 01"]) {
    const { answered, error } = await run(acceptSocks5, hex(greeting), verify);
    assert.ok(isAwsocksError(error, "proxy-auth-failed"), greeting);
    assert.deepEqual(answered, hex("05 ff"), greeting);
  }
  const { answered, error } = await run(acceptSocks5, hex("05 01 02"));
  assert.ok(isAwsocksError(error, "proxy-auth-failed"));
  assert.deepEqual(answered, hex("05 ff"));
});

Deno.test("acceptSocks5() refuses a wrong user, a wrong password and none", async () => {
  const cases = [["ada", "love"], ["adA", "löve"], ["ada", ""], ["", "löve"], ["löve", "ada"]];
  for (const [user, password] of cases) {
    const [name, secret] = [utf8(user!), utf8(password!)];
    const lengths = [Uint8Array.of(1, name.length), Uint8Array.of(secret.length)];
    const sent = concat(hex("05 01 02"), lengths[0]!, name, lengths[1]!, secret);
    const { answered, error } = await run(acceptSocks5, sent, verify);
    assert.ok(isAwsocksError(error, "proxy-auth-failed"), user);
    assert.ok(!error.message.includes("löve"), "the password is not in the message");
    assert.deepEqual(answered, hex("05 02 01 01"));
  }
});

Deno.test("acceptSocks4() grants and rejects", async () => {
  const connect = concat(hex("04 01 0050 c0000201"), utf8("me\0"));
  const named = concat(hex("04 01 0050 00000001 00"), utf8("Example.COM\0"));
  assert.deepEqual((await run(acceptSocks4, connect)).target, { host: "192.0.2.1", port: 80 });
  assert.deepEqual((await run(acceptSocks4, named)).target, { host: "example.com", port: 80 });
  const rejected: [Uint8Array, string, typeof verify?][] = [
    [connect, "proxy-auth-failed", verify],
    [connect.with(1, 2), "proxy-command-unsupported"],
    [connect.subarray(0, 9), "proxy-protocol-error"],
  ];
  for (const [sent, code, check] of rejected) {
    const { answered, error } = await run(acceptSocks4, sent, check);
    assert.ok(isAwsocksError(error), code);
    assert.equal(error.code, code);
    assert.deepEqual(answered, hex("00 5b 0000 00000000"));
  }
});

Deno.test("socks5Connect() and acceptSocks5() understand each other", async () => {
  const [near, far] = connPair();
  const server = (async () => {
    const client = new BufferedConn(near);
    const request = await acceptSocks5(client, verify);
    await request.accept();
    await writeAll(client, utf8(`hello from ${request.target.host}`));
    client.close();
  })();
  const target = { host: "a.example", port: 80 };
  const conn = await socks5Connect(far, target, { user: "ada", password: "löve" });
  assert.equal(text(await readAll(conn)), "hello from a.example");
  await server;
});

Deno.test("socks5Connect() tells refusals, wrong passwords and strange servers apart", async () => {
  const target = { host: "a.example", port: 80 };
  const auth = { user: "ada", password: "love" };
  const [near, far] = connPair();
  const refused = acceptSocks5(new BufferedConn(near)).then((request) =>
    request.refuse(new AwsocksError("destination-refused", "no"))
  );
  await assert.rejects(
    socks5Connect(far, target),
    (error) => error instanceof Socks5Refusal && error.reply === 5,
  );
  await refused;
  for (
    const [answers, code] of [
      ["05 02 01 01", "proxy-auth-failed"],
      ["05 ff", "proxy-auth-failed"],
      ["05", "proxy-protocol-error"],
      ["48 54", "proxy-protocol-error"],
    ] as const
  ) {
    const [near, far] = connPair();
    await writeAll(near, hex(answers));
    await near.closeWrite();
    await assert.rejects(socks5Connect(far, target, auth), { code });
  }
});

Deno.test("whatever a SOCKS client sends, it is refused or understood, and answered in bounds", async () => {
  const anything = fc.uint8Array({ maxLength: 600 });
  const started = anything.map((bytes) => concat(hex(GREETING), hex("05 01 00"), bytes));
  await fc.assert(
    fc.asyncProperty(fc.oneof(anything, started), fc.boolean(), async (sent, auth) => {
      for (const accept of [acceptSocks5, acceptSocks4]) {
        const { answered, error, target } = await run(accept, sent, auth ? verify : undefined);
        assert.ok(target !== undefined || isAwsocksError(error));
        assert.ok(answered.length <= 14);
      }
    }),
    { numRuns: 1000 },
  );
});
