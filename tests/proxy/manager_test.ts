import assert from "node:assert/strict";
import { AwsocksError, readAll } from "../../lib/core/mod.ts";
import { createManager, type ManagerOptions, socks5Connect } from "../../lib/proxy/mod.ts";
import { createRouter } from "../../lib/routing/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { captureLog } from "../support/log_capture.ts";
import {
  connect,
  echoServer,
  FakeBackend,
  rules,
  silentServer,
  startProxy,
  TestServer,
} from "./loopback.ts";

function manager(options: Partial<ManagerOptions> = {}) {
  const backend = new FakeBackend();
  const proxy = createManager({
    listen: "127.0.0.1:0",
    router: createRouter(rules()),
    backend,
    mode: "direct",
    ...options,
  });
  return { backend, proxy };
}

Deno.test("a lazy proxy listens without touching its backend", async () => {
  const { backend, proxy } = manager();
  backend.state = "idle";
  assert.equal(proxy.address, undefined);
  await proxy.start();
  assert.ok(proxy.address!.port > 0);
  assert.equal(backend.starts, 0);
  await proxy.close();
  assert.equal(backend.closes, 1);
});

Deno.test("a proxy that is not lazy starts its backend before it listens, or fails", async () => {
  const backend = new FakeBackend();
  const started = Promise.withResolvers<void>();
  Object.assign(backend, { start: () => started.promise });
  const { proxy } = manager({ lazy: false, backend });
  const starting = proxy.start();
  await settle();
  assert.equal(proxy.address, undefined);
  started.resolve();
  await starting;
  assert.ok(proxy.address);
  await proxy.close();

  const failing = new FakeBackend();
  const failure = new AwsocksError("credentials-missing", "No credentials");
  Object.assign(failing, { start: () => Promise.reject(failure) });
  const failed = manager({ lazy: false, backend: failing }).proxy;
  await assert.rejects(failed.start(), failure);
  assert.equal(failed.address, undefined);
  assert.equal(failing.closes, 1, "nothing goes on behind a start that failed");
});

Deno.test("start() ends with its signal", async () => {
  const { proxy, backend } = manager();
  const reason = new AwsocksError("aborted", "Interrupted");
  await assert.rejects(proxy.start({ signal: AbortSignal.abort(reason) }), reason);
  assert.equal(backend.closes, 1);
});

Deno.test("start() refuses addresses that are wrong, open or taken", async () => {
  await assert.rejects(manager({ listen: "nowhere" }).proxy.start(), { code: "usage" });
  await assert.rejects(manager({ listen: "0.0.0.0:0" }).proxy.start(), { code: "listen-open" });
  await using first = await startProxy();
  const taken = manager({ listen: `127.0.0.1:${first.address.port}` });
  await assert.rejects(taken.proxy.start(), { code: "listen-failed" });
  for (const allowed of [{ allowOpen: true }, { auth: { user: "u", password: "p" } }]) {
    const { proxy } = manager({ listen: "0.0.0.0:0", ...allowed });
    await proxy.start();
    await proxy.close();
  }
});

Deno.test("close() lets transfers finish for a moment, then ends them", async () => {
  const clock = new FakeClock();
  await using silent = new TestServer(async (conn) => {
    await readAll(conn);
  });
  const proxy = await startProxy({ clock });
  const conn = await socks5Connect(await connect(proxy.address), silent.target);
  const ended = readAll(conn).catch(() => {});
  let closed = false;
  const closing = proxy.close().then(() => closed = true);
  await clock.advance(999);
  assert.equal(closed, false);
  await clock.advance(1);
  await closing;
  await ended;
  conn.close();
  assert.equal(clock.pending, 0);
});

Deno.test("close() is bounded, even by a backend that never ends", async () => {
  await captureLog(async (lines) => {
    const clock = new FakeClock();
    const backend = new FakeBackend();
    Object.assign(backend, { close: () => new Promise(() => {}) });
    const { proxy } = manager({ clock, backend });
    await proxy.start();
    let closed = false;
    const closing = proxy.close().then(() => closed = true);
    await clock.advance(4999);
    assert.equal(closed, false);
    await clock.advance(1);
    await closing;
    const [warning] = lines.filter(({ level }) => level === "warn");
    assert.equal(warning?.message, "Stopped without waiting for everything");
  });
});

Deno.test("close() may come twice, before the start, and refuses a start that comes after", async () => {
  const { proxy, backend } = manager();
  await Promise.all([proxy.close(), proxy.close()]);
  assert.equal(backend.closes, 1);
  await assert.rejects(proxy.start(), { code: "aborted" });
});

Deno.test("a detour is told once per host", async () => {
  await captureLog(async (lines) => {
    await using server = echoServer();
    const backend = new FakeBackend();
    backend.state = "idle";
    await using proxy = await startProxy({ backend, rules: { default: "proxy" } });
    for (let i = 0; i < 3; i++) {
      (await socks5Connect(await connect(proxy.address), server.target)).close();
    }
    const told = lines.filter(({ message }) => message.startsWith("Backend is not up yet"));
    assert.deepEqual(told.map(({ host, route }) => [host, route]), [["127.0.0.1", "direct"]]);
    assert.ok(backend.starts >= 1);
  });
});

Deno.test("a destination that never answers a direct connection is given up in time", async () => {
  using silent = await silentServer();
  await using proxy = await startProxy({ dialTimeout: 300 });
  const client = await connect(proxy.address);
  await assert.rejects(socks5Connect(client, silent.target), { facts: { reply: 6 } });
  client.close();
});
