/** VM mode without a VM: host and guest in one process, a Unix socket between them, a sandbox as AWS. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  AwsocksError,
  type Conn,
  type Credentials,
  describeError,
  isAwsocksError,
  readAll,
  readFull,
  systemClock,
  writeAll,
} from "../../lib/core/mod.ts";
import { type CredentialManager, fixedCredentials } from "../../lib/credentials/mod.ts";
import { PAGE_TEXT, type Sandbox, sha256Of } from "../../lib/sandbox/mod.ts";
import { echoServer } from "../proxy/loopback.ts";
import { ToldDisruptions } from "../../lib/ssm/disruptions.ts";
import { getPage, type GuestStack, SITE, startGuestStack } from "./stack.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Loads the private page, over and over until it comes; what it waits for is bounded by the backend. */
async function page(stack: GuestStack): Promise<string> {
  return text(await getPage(await stack.backend.dial(SITE), SITE.host));
}

const sessionsOf = (sandbox: Sandbox) => sandbox.sessions().length;
const living = (sandbox: Sandbox) => sandbox.sessions().filter(({ live }) => live).length;

/** Waits for something that happens by itself, for a bounded time. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const end = systemClock.monotonic() + 10_000;
  while (!condition()) {
    if (systemClock.monotonic() > end) assert.fail(`not within 10 s: ${what}`);
    await systemClock.sleep(5);
  }
}

/** The code of each error in a chain of causes. */
function codesOf(error: unknown): string[] {
  const codes: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) {
    if (isAwsocksError(at)) codes.push(at.code);
  }
  return codes;
}

/** Credentials that a test replaces. */
function replaceable(first: Credentials) {
  let current = first;
  const listeners = new Set<(credentials: Credentials) => void>();
  const asked: string[] = [];
  const manager: CredentialManager = {
    ...fixedCredentials(first),
    source: () => (asked.push("source"), Promise.resolve(current)),
    refresh: () => (asked.push("refresh"), Promise.resolve(current)),
    onUpdate: (listener) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  };
  const replace = (credentials: Credentials) => {
    current = credentials;
    for (const listener of listeners) listener(credentials);
  };
  return { manager, replace, asked };
}

Deno.test("a private page comes through host, tunnel, guest, session and SSH", async () => {
  await using stack = await startGuestStack();
  stack.startAgent();
  const { backend } = stack;
  assert.equal(backend.state, "idle");
  assert.ok((await page(stack)).includes(PAGE_TEXT));
  assert.equal(backend.state, "active");
  assert.equal(backend.lastError, undefined);
});

Deno.test("vm-direct is the guest's own network, and needs nothing of AWS", async () => {
  await using server = echoServer();
  await using stack = await startGuestStack();
  stack.startAgent();
  const { vmDirect } = stack.backend;
  const conn = await vmDirect.dial(server.target);
  await writeAll(conn, new TextEncoder().encode("hello"));
  await conn.closeWrite();
  assert.equal(text(await readAll(conn)), "hello");
  conn.close();
  assert.equal(vmDirect.state, "active");
  assert.equal(stack.backend.state, "idle");
  assert.equal(sessionsOf(stack.sandbox), 0);
  await assert.rejects(vmDirect.dial({ host: "127.0.0.1", port: 1 }), {
    code: "destination-refused",
  });
  await assert.rejects(vmDirect.dial({ host: "no-such-name.invalid", port: 1 }), {
    code: "destination-name-unknown",
  });
});

Deno.test("bytes of both ways are right, and errors of destinations are theirs", async () => {
  await using stack = await startGuestStack();
  stack.startAgent();
  const { backend } = stack;
  const size = 3_000_000;
  const body = await getPage(await backend.dial(SITE), SITE.host, `/bytes?size=${size}&seed=3`);
  assert.equal(sha256(body), sha256Of(size, 3));
  await assert.rejects(backend.dial({ ...SITE, port: 4444 }), { code: "destination-refused" });
  await assert.rejects(backend.dial({ host: "nowhere.internal", port: 80 }), {
    code: "destination-name-unknown",
  });
  assert.equal(backend.state, "active");
});

Deno.test("the guest holds sessions on all instances of a name, and one may go", async () => {
  await using stack = await startGuestStack({
    sandbox: { instances: [{ name: "web" }, { name: "web" }, { name: "other" }] },
    settings: { name: "web", instances: "all", maxSessions: 4 },
  });
  stack.startAgent();
  const { sandbox } = stack;
  const [first, second] = sandbox.instances().map(({ instanceId }) => instanceId);
  const on = (id: string | undefined) =>
    sandbox.sessions().filter(({ live, instanceId }) => live && instanceId === id).length;
  assert.ok((await page(stack)).includes(PAGE_TEXT));
  await until(() => on(first) === 1 && on(second) === 1, "a session on each of both");
  sandbox.stopInstance(first!);
  const since = systemClock.monotonic();
  for (let i = 0; i < 5; i++) assert.ok((await page(stack)).includes(PAGE_TEXT));
  assert.ok(systemClock.monotonic() - since < 5000);
  assert.ok(on(second) >= 1);
});

Deno.test("the loss of the tunnel is survived, and the session in the guest with it", async () => {
  await using stack = await startGuestStack();
  stack.startAgent();
  await page(stack);
  const open = await stack.backend.dial(SITE);
  const reading = open.read(new Uint8Array(1)).catch((error) => error);
  stack.conns[0]!.close();
  assert.ok(await reading instanceof Error, "the connections of the tunnel end with an error");
  open.close();
  assert.ok((await page(stack)).includes(PAGE_TEXT));
  assert.equal(stack.conns.length, 2);
  assert.equal(sessionsOf(stack.sandbox), 1);
});

Deno.test("a guest that starts anew gets configuration and credentials again", async () => {
  await using stack = await startGuestStack();
  const first = stack.startAgent();
  await page(stack);
  await first.stop();
  await until(() => living(stack.sandbox) === 0, "the session of the first agent ends");
  stack.startAgent();
  assert.ok((await page(stack)).includes(PAGE_TEXT));
  assert.equal(sessionsOf(stack.sandbox), 2);
});

Deno.test("a guest that comes again takes the place of its former self", async () => {
  await using stack = await startGuestStack();
  stack.startAgent();
  await page(stack);
  const open = await stack.backend.dial(SITE);
  const reading = open.read(new Uint8Array(1)).catch((error) => error);
  stack.startAgent(); // the first one still lives and will try to come back, too
  assert.ok(await reading instanceof Error);
  open.close();
  assert.ok((await page(stack)).includes(PAGE_TEXT));
});

Deno.test("credentials are asked for when needed, and replaced in mid-run", async () => {
  const holder: { current?: ReturnType<typeof replaceable> } = {};
  await using stack = await startGuestStack({
    credentials: (sandbox) => (holder.current = replaceable(sandbox.credentials)).manager,
  });
  stack.startAgent();
  await stack.backend.vmDirect.start();
  const { replace, asked } = holder.current!;
  assert.deepEqual(asked, []);
  await page(stack);
  assert.deepEqual(asked, ["source"]);
  // The old ones are worth nothing from now on.
  replace(stack.sandbox.setCredentials());
  const [session] = stack.sandbox.sessions();
  stack.sandbox.terminate(session!.sessionId);
  assert.ok((await page(stack)).includes(PAGE_TEXT));
  assert.equal(sessionsOf(stack.sandbox), 2);
  assert.deepEqual(asked, ["source"]);
});

Deno.test("credentials that have expired unnoticed are asked for anew", async () => {
  const holder: { current?: ReturnType<typeof replaceable> } = {};
  await using stack = await startGuestStack({
    credentials: (sandbox) => {
      // They do not say when they expire, so that only AWS can tell.
      const { expiration: _, ...expired } = sandbox.setCredentials(sandbox.temporaryCredentials(1));
      return (holder.current = replaceable(expired)).manager;
    },
  });
  stack.startAgent();
  const error: unknown = await stack.backend.dial(SITE).catch((error) => error);
  assert.deepEqual(codesOf(error), ["backend-unavailable", "credentials-expired"]);
  assert.deepEqual(holder.current!.asked, ["source", "refresh"]);
});

Deno.test("what the user must do is told as in direct mode", async () => {
  const expired = new AwsocksError("credentials-expired", "The SSO session of dev has expired", {
    hint: "aws sso login --profile dev",
  });
  await using stack = await startGuestStack({
    credentials: ({ credentials }) => ({
      ...fixedCredentials(credentials),
      source: () => Promise.reject(expired),
    }),
  });
  stack.startAgent();
  const error: unknown = await stack.backend.dial(SITE).catch((error) => error);
  assert.deepEqual(codesOf(error), ["backend-unavailable", "credentials-expired"]);
  assert.ok(error instanceof AwsocksError);
  assert.equal(error.hint, "aws sso login --profile dev");
  assert.equal(stack.backend.state, "initializing");
  assert.ok(isAwsocksError(stack.backend.lastError, "credentials-expired"));
});

Deno.test("start() comes back when the guest's backend is up, or with its failure", async () => {
  await using stack = await startGuestStack();
  stack.startAgent();
  await stack.backend.start();
  assert.equal(stack.backend.state, "active");
  await using other = await startGuestStack({ settings: { instanceId: "i-0aaaaaaaaaaaaaaaa" } });
  other.startAgent();
  const error: unknown = await other.backend.start().catch((error) => error);
  assert.deepEqual(codesOf(error), ["backend-unavailable", "instance-not-found"]);
});

Deno.test("host keys are those of the host's files: recorded on first use, a changed one refused", async () => {
  await using stack = await startGuestStack();
  stack.startAgent();
  await page(stack);
  const file = `${stack.home}/trusted_hosts`;
  const { instanceId } = stack.sandbox;
  assert.match(await Deno.readTextFile(file), new RegExp(`^${instanceId} ssh-`));
  stack.sandbox.replaceHostKey(instanceId);
  const [session] = stack.sandbox.sessions();
  stack.sandbox.terminate(session!.sessionId);
  const error: unknown = await stack.backend.dial(SITE).catch((error) => error);
  assert.deepEqual(codesOf(error), ["backend-unavailable", "ssh-host-key-changed"]);
  // The file is one that the user has.
  assert.ok(describeError(error).includes(`${file} line 1`), describeError(error));
});

Deno.test("the private key stays on the host", async () => {
  await using stack = await startGuestStack();
  const seen: Uint8Array[] = [];
  spy(stack, seen);
  stack.startAgent();
  await page(stack);
  const sent = text(joined(seen));
  assert.match(sent, /"publicKey":"AAAA/);
  const pem = await Deno.readTextFile(stack.sandbox.sshKeyPath);
  for (const line of pem.split("\n").slice(1, -2)) {
    // A whole line is longer than the public key, which is part of the file, too.
    assert.ok(line.length < 70 || !sent.includes(line), "a line of the private key");
  }
  assert.ok(!sent.includes("PRIVATE KEY"));
});

/** Keeps what the host writes to its first guest. */
function spy(stack: GuestStack, seen: Uint8Array[]): void {
  const conns = stack.conns as Conn[];
  const push = conns.push.bind(conns);
  conns.push = (conn) => {
    const { write } = conn;
    conn.write = (data) => {
      seen.push(data.slice());
      return write.call(conn, data);
    };
    return push(conn);
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

Deno.test("close() ends the session, and the agent with it", async () => {
  await using stack = await startGuestStack();
  const { ended } = stack.startAgent();
  await page(stack);
  assert.equal(living(stack.sandbox), 1);
  await stack.backend.close();
  assert.equal(living(stack.sandbox), 0);
  await ended;
  await assert.rejects(stack.backend.dial(SITE), { code: "backend-closed" });
});

Deno.test("without a guest a dial waits for its time and says what is missing", async () => {
  await using stack = await startGuestStack({ settings: { connectTimeout: 0.05 } });
  const error: unknown = await stack.backend.dial(SITE).catch((error) => error);
  assert.deepEqual(codesOf(error), ["backend-unavailable"]);
  assert.match((error as Error).message, /within 0\.05 s/);
});

Deno.test("after sleep of the host a connection through the guest goes on within seconds", async () => {
  const disruptions = new ToldDisruptions();
  await using stack = await startGuestStack({ disruptions });
  stack.startAgent();
  const conn = await stack.backend.dial({ ...SITE, port: 7 });
  const echo = async (byte: number) => {
    const bytes = Uint8Array.of(byte);
    await writeAll(conn, bytes);
    assert.ok(await readFull(conn, bytes));
    assert.equal(bytes[0], byte);
  };
  await echo(1);
  assert.equal(stack.sandbox.cut({ mode: "stall" }), 1);
  disruptions.tell("This machine was asleep for 60 s");
  const since = performance.now();
  await echo(2);
  assert.ok(performance.now() - since < 8000, "not only when the next ping is due");
  assert.equal(sessionsOf(stack.sandbox), 1);
  conn.close();
});
