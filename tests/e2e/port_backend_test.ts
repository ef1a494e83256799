/**
 * The port backend through the whole stack: proxy, sessions, the sandbox's agent and its network.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type Clock,
  isAwsocksError,
  readAll,
  sleepWith,
  SocksReply,
  systemClock,
  type Target,
  writeAll,
} from "../../lib/core/mod.ts";
import { Socks5Refusal } from "../../lib/proxy/mod.ts";
import { sha256Of } from "../../lib/sandbox/mod.ts";
import { blocksOf } from "../../lib/sandbox/vpc/bytes.ts";
import { connectThrough, type Stack, type StackOptions, startStack } from "../support/stack.ts";
import { download, upload } from "../support/transfers.ts";

const HELLO = { host: "hello.sandbox.internal", port: 80 };

/** A stack without any key. */
function portStack(options: StackOptions = {}): Promise<Stack> {
  const settings = { "backend": "port", "ssh-key": null, ...options.settings };
  return startStack({ ...options, settings });
}

/** The `Host` that the site saw. */
async function visit(stack: Stack, target: Target): Promise<string> {
  const conn = await connectThrough(stack, target);
  try {
    const head = `GET /headers HTTP/1.0\r\nHost: ${target.host}\r\n\r\n`;
    await writeAll(conn, new TextEncoder().encode(head));
    const answer = new TextDecoder().decode(await readAll(conn));
    return JSON.parse(answer.slice(answer.indexOf("\r\n\r\n"))).headers.host;
  } finally {
    conn.close();
  }
}

async function replyTo(stack: Stack, host: string, port = 80): Promise<number> {
  try {
    (await connectThrough(stack, { host, port })).close();
    return SocksReply.Succeeded;
  } catch (error) {
    if (error instanceof Socks5Refusal) return error.reply;
    throw error;
  }
}

const live = ({ sandbox }: Stack) => sandbox.sessions().filter((session) => session.live);

Deno.test("port backend: hosts by name and address, a session each, used again, without SSH", async () => {
  await using stack = await portStack();
  let ssh = 0;
  using _listening = stack.sandbox.on(({ type }) => {
    if (type.startsWith("ssh-") || type === "direct-tcpip") ssh++;
  });
  const hosts = ["hello.sandbox.internal", "www.example.com", "10.0.1.20", "fd00:5a:b0c5::10"];
  for (let round = 0; round < 2; round++) {
    for (const host of hosts) assert.equal(await visit(stack, { host, port: 80 }), host);
  }
  assert.equal(live(stack).length, 4);
  assert.equal(await visit(stack, { host: "localhost", port: 8080 }), "localhost");
  const documents = stack.sandbox.sessions().map(({ document }) => document);
  assert.deepEqual(documents, [
    ...Array(4).fill("AWS-StartPortForwardingSessionToRemoteHost"),
    "AWS-StartPortForwardingSession",
  ]);
  assert.equal(ssh, 0);
  await stack.stop();
  assert.deepEqual(live(stack), []);
});

Deno.test("port backend: 50 connections at a time to one host share a session", async () => {
  await using stack = await portStack();
  const answers = await Promise.all(Array.from({ length: 50 }, () => visit(stack, HELLO)));
  assert.deepEqual(new Set(answers), new Set([HELLO.host]));
  assert.equal(stack.sandbox.sessions().length, 1);
});

Deno.test("port backend: clients are told why a destination cannot be reached", async () => {
  await using stack = await portStack();
  const rows: [host: string, port: number, reply: number][] = [
    ["hello.sandbox.internal", 81, SocksReply.ConnectionRefused],
    ["refused.sandbox.internal", 80, SocksReply.ConnectionRefused],
    ["localhost", 9999, SocksReply.ConnectionRefused],
    ["nowhere.sandbox.internal", 80, SocksReply.HostUnreachable],
    ["169.254.169.254", 80, SocksReply.NotAllowed],
    ["10.0.0.2", 53, SocksReply.NotAllowed],
    ["hello.sandbox.internal", 80, SocksReply.Succeeded],
  ];
  for (const [host, port, reply] of rows) {
    assert.equal(await replyTo(stack, host, port), reply, host);
  }
  // Refusals among connections that work, all at once.
  const refusals = Array.from({ length: 20 }, () => replyTo(stack, "hello.sandbox.internal", 81));
  const visits = Array.from({ length: 20 }, () => visit(stack, HELLO));
  assert.deepEqual(new Set(await Promise.all(refusals)), new Set([SocksReply.ConnectionRefused]));
  assert.deepEqual(new Set(await Promise.all(visits)), new Set([HELLO.host]));
});

Deno.test("port backend: transfers arrive whole, also when the WebSocket is cut", async () => {
  await using stack = await portStack();
  await download(stack, { size: 3_000_000 });
  await upload(stack, { size: 3_000_000 });
  stack.sandbox.setFaults({ cutEvery: { amount: 400_000, unit: "bytes" } });
  await Promise.all([download(stack, { size: 1_000_000 }), upload(stack, { size: 1_000_000 })]);
  const [session] = live(stack);
  assert.ok(session!.counters.cuts > 2, `${session!.counters.cuts} cuts`);
  assert.equal(session!.counters.malformed, 0);
});

/** Time in which one sleep, of a length of its own, lasts until it is told to end. */
function gated(ms: number) {
  const gate = Promise.withResolvers<void>();
  const clock: Clock = {
    ...systemClock,
    sleep: (time, options) => time === ms ? gate.promise : sleepWith(systemClock, time, options),
  };
  return { clock, open: () => gate.resolve() };
}

/** Resolves when a session has got nothing from the client for so many milliseconds. */
async function standsStill(stack: Stack, ms: number): Promise<void> {
  let bytes = -1;
  let since = performance.now();
  while (performance.now() - since < ms) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const now = live(stack)[0]?.counters.messagesToClient ?? 0;
    if (now !== bytes) since = performance.now();
    bytes = now;
  }
}

Deno.test("port backend: a server that reads nothing hurts only its own connection", async () => {
  const size = 8_000_000;
  const wait = 3_599_999;
  const gate = gated(wait);
  await using stack = await portStack({ sandbox: { clock: gate.clock } });
  const conn = await connectThrough(stack, HELLO);
  const sending = (async () => {
    const head = `PUT /upload?wait=${wait} HTTP/1.0\r\nContent-Length: ${size}\r\n\r\n`;
    await writeAll(conn, new TextEncoder().encode(head));
    for (const block of blocksOf(size, 1)) await writeAll(conn, block);
    return new TextDecoder().decode(await readAll(conn));
  })();
  try {
    await standsStill(stack, 4000);
    const [stalled] = live(stack);
    assert.ok(stalled!.counters.bytesFromClient > 4 * 1024 * 1024);
    assert.ok(stalled!.counters.bytesFromClient < size, "its session stands still");
    for (const host of ["www.example.com", "a.sandbox.internal", "www.example.com", HELLO.host]) {
      const start = performance.now();
      assert.equal(await visit(stack, { host, port: 80 }), host);
      assert.ok(performance.now() - start < 3000, host);
    }
    assert.equal(live(stack).length, 4, "the same host over another session");
  } finally {
    gate.open();
  }
  const answer = await sending;
  assert.ok(answer.endsWith(`{"bytes":${size},"sha256":"${sha256Of(size, 1)}"}\n`), answer);
  conn.close();
});

Deno.test("port backend: a ninth destination takes the place of an idle one", async () => {
  await using stack = await portStack();
  const busy = await connectThrough(stack, HELLO);
  for (let i = 0; i < 9; i++) {
    assert.equal(
      await visit(stack, { host: `h${i}.sandbox.internal`, port: 80 }),
      `h${i}.sandbox.internal`,
    );
  }
  assert.equal(live(stack).length, 8);
  await writeAll(busy, new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
  assert.match(new TextDecoder().decode(await readAll(busy)), /^HTTP\/1.1 200/);
  busy.close();
});

Deno.test("port backend: an agent that knows no other hosts is asked for none", async () => {
  await using stack = await portStack({ sandbox: { agentVersion: "3.1.1000.0" } });
  assert.equal(await replyTo(stack, "hello.sandbox.internal"), SocksReply.GeneralFailure);
  assert.equal(await visit(stack, { host: "localhost", port: 80 }), "localhost");
  assert.ok(stack.log.some(({ message }) => /agent 3\.1\.1000\.0 is too old/.test(message)));
  assert.equal(await replyTo(stack, "hello.sandbox.internal"), SocksReply.GeneralFailure);
  assert.equal(stack.sandbox.sessions().length, 2, "not tried again at once");
});

Deno.test("port backend: an agent without multiplexing gets a session for each connection", async () => {
  await using stack = await portStack({ sandbox: { agentVersion: "3.0.196.0" } });
  const visits = Array.from({ length: 3 }, () => visit(stack, { host: "localhost", port: 80 }));
  assert.deepEqual(await Promise.all(visits), Array(3).fill("localhost"));
  assert.equal(await replyTo(stack, "localhost", 9999), SocksReply.ConnectionRefused);
  await stack.stop();
  assert.deepEqual(live(stack), []);
});

Deno.test("port backend: a policy that lacks a document says which", async () => {
  await using stack = await portStack({ sandbox: { deny: ["ssm:StartSession"] } });
  await assert.rejects(stack.backend.dial(HELLO), (error) => {
    assert.ok(isAwsocksError(error, "backend-unavailable"));
    assert.match(error.hint, /ssm:StartSession on the document AWS-\w+ToRemoteHost$/);
    return isAwsocksError(error.cause, "aws-access-denied");
  });
  assert.equal(await replyTo(stack, "hello.sandbox.internal"), SocksReply.NotAllowed);
});

Deno.test("port backend: an agent that is offline is told at the start", async () => {
  await using stack = await portStack({ settings: { name: "sandbox-offline" } });
  await assert.rejects(stack.backend.start(), (error) => {
    assert.ok(isAwsocksError(error, "backend-unavailable"));
    return isAwsocksError(error.cause, "agent-offline");
  });
});

Deno.test("auto goes by SSH with a key and by port forwarding without, and says why", async () => {
  for (
    const [key, name, why] of [[undefined, "ssh", /SSH/], [
      null,
      "port",
      /No SSH key found/,
    ]] as const
  ) {
    await using stack = await startStack({
      sandbox: { deny: ["ec2-instance-connect:*"] },
      settings: { "backend": "auto", ...(key === null ? { "ssh-key": null } : {}) },
    });
    assert.equal(await visit(stack, HELLO), HELLO.host);
    assert.equal(stack.backend.name, name);
    const line = stack.log.find(({ message }) => message.startsWith("Connections go by"));
    assert.match(line!.message, why);
  }
});
