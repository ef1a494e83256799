import assert from "node:assert/strict";
import { type ErrorCode, readAll, writeAll } from "../../lib/core/mod.ts";
import { boundOf, DirectBackend } from "../../lib/backend/direct.ts";
import { connectError, lookupError } from "../../lib/backend/direct_errors.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { text, utf8 } from "../proxy/bytes.ts";
import { echoServer } from "../proxy/loopback.ts";

/** An address where nobody listens. */
async function deadPort(): Promise<number> {
  const server = echoServer();
  await server[Symbol.asyncDispose]();
  return server.port;
}

Deno.test("DirectBackend connects by address and by name, IPv4 and IPv6", async () => {
  await using ipv4 = echoServer();
  await using ipv6 = echoServer("::1");
  const backend = new DirectBackend();
  for (
    const target of [ipv4.target, ipv6.target, { host: "localhost", port: ipv4.port }]
  ) {
    const conn = await backend.dial(target);
    assert.ok(boundOf(conn)!.port > 0);
    await writeAll(conn, utf8("hello"));
    await conn.closeWrite();
    assert.equal(text(await readAll(conn)), "hello");
    conn.close();
  }
});

Deno.test("DirectBackend tries every address of a name", async () => {
  await using server = echoServer();
  const backend = new DirectBackend({
    lookup: () => Promise.resolve(["::1", "127.0.0.2", "127.0.0.1"]),
  });
  const conn = await backend.dial({ host: "several.example", port: server.port });
  assert.equal(boundOf(conn)!.host, "127.0.0.1");
  conn.close();
});

Deno.test("DirectBackend says why it could not connect", async () => {
  const port = await deadPort();
  const backend = new DirectBackend();
  await assert.rejects(backend.dial({ host: "127.0.0.1", port }), {
    code: "destination-refused",
    message: `Could not connect to 127.0.0.1:${port} directly: connection refused`,
  });
  await assert.rejects(backend.dial({ host: "no-such-name.invalid", port }), {
    code: "destination-name-unknown",
  });
  const nowhere = new DirectBackend({ lookup: () => Promise.resolve([]) });
  await assert.rejects(nowhere.dial({ host: "empty.example", port }), {
    code: "destination-name-unknown",
  });
});

Deno.test("DirectBackend gives up in time, even on a resolver that hangs", async () => {
  const clock = new FakeClock();
  const backend = new DirectBackend({ clock, timeout: 5000, lookup: () => new Promise(() => {}) });
  const dial = assert.rejects(backend.dial({ host: "slow.example", port: 80 }), {
    code: "destination-timeout",
    message: "Could not connect to slow.example:80 directly: no answer within 5 s",
  });
  await clock.advance(5000);
  await dial;
  assert.equal(clock.pending, 0);
});

Deno.test("DirectBackend ends a dial with its signal", async () => {
  const backend = new DirectBackend({ lookup: () => new Promise(() => {}) });
  const controller = new AbortController();
  const reason = new Error("client left");
  const dial = assert.rejects(
    backend.dial({ host: "slow.example", port: 80 }, { signal: controller.signal }),
    reason,
  );
  await settle();
  controller.abort(reason);
  await dial;
});

Deno.test("DirectBackend refuses to dial once closed", async () => {
  const backend = new DirectBackend();
  assert.equal(backend.state, "active");
  await backend.close();
  assert.equal(backend.state, "closed");
  await assert.rejects(backend.dial({ host: "127.0.0.1", port: 1 }), { code: "backend-closed" });
});

Deno.test("errno and resolver names become the project's codes", () => {
  const target = { host: "a.example", port: 80 };
  const withCode = (code: string) => Object.assign(new Error("in prose"), { code });
  const connects: Record<string, ErrorCode> = {
    ECONNREFUSED: "destination-refused",
    EHOSTUNREACH: "destination-unreachable",
    ENETUNREACH: "destination-network-unreachable",
    EADDRNOTAVAIL: "destination-network-unreachable",
    ETIMEDOUT: "destination-timeout",
    EPERM: "destination-prohibited",
    ESOMETHING: "destination-failed",
  };
  for (const [errno, code] of Object.entries(connects)) {
    const cause = withCode(errno);
    const error = connectError(cause, target);
    assert.equal(error.code, code, errno);
    assert.equal(error.cause, cause);
    assert.equal(error.hint, "", "hints about the instance do not belong here");
  }
  const lookups: Record<string, ErrorCode> = {
    ENOTFOUND: "destination-name-unknown",
    EAI_AGAIN: "destination-unreachable",
    EAI_FAIL: "destination-failed",
  };
  for (const [name, code] of Object.entries(lookups)) {
    assert.equal(lookupError(withCode(name), target).code, code, name);
  }
});
