import assert from "node:assert/strict";
import {
  AwsocksError,
  type Conn,
  connPair,
  readAll,
  readFull,
  writeAll,
} from "../../lib/core/mod.ts";
import { ClientSession } from "../../lib/proxy/client_session.ts";
import { FailureLog } from "../../lib/proxy/failure_log.ts";
import { socks5Connect, Socks5Refusal } from "../../lib/proxy/mod.ts";
import { encodeGreeting, encodeRequest } from "../../lib/proxy/socks5.ts";
import { Counters } from "../../lib/proxy/stats.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { concat, exchange, hex, text, utf8 } from "./bytes.ts";
import { captureLog } from "../support/log_capture.ts";
import {
  connect,
  converse,
  echoServer,
  eventually,
  FakeBackend,
  startProxy,
  TestServer,
  untilAborted,
} from "./loopback.ts";

const viaProxy = { rules: { default: "proxy" } } as const;
const somewhere = { host: "some.example", port: 80 };

Deno.test("clients beyond the limit are refused in their protocol, and served when there is room", async () => {
  await using server = echoServer();
  await using proxy = await startProxy({ maxConnections: 1 });
  const first = await socks5Connect(await connect(proxy.address), server.target);
  const second = await connect(proxy.address);
  await assert.rejects(
    socks5Connect(second, server.target),
    (error) => error instanceof Socks5Refusal && error.reply === 1,
  );
  second.close();
  const http = await converse(await connect(proxy.address), utf8("GET http://a/ HTTP/1.1\r\n\r\n"));
  assert.ok(http.startsWith("HTTP/1.1 503 "), http);
  first.close();
  await eventually(() => proxy.stats().active === 0, "the first has gone");
  (await socks5Connect(await connect(proxy.address), server.target)).close();
});

Deno.test("a client that makes no request in time is dropped, wherever it stopped", async () => {
  const clock = new FakeClock();
  await using proxy = await startProxy({ clock, handshakeTimeout: 10_000 });
  const starts = ["", "05", "05 01 00", "05 01 00 05 01 00 03 20 61", "04 01 00", "47 45 54 20"];
  const clients = await Promise.all(starts.map(async (start) => {
    const client = await connect(proxy.address);
    if (start) await writeAll(client, hex(start));
    return client;
  }));
  await eventually(() => proxy.stats().active === starts.length, "all accepted");
  await clock.advance(9_999);
  assert.equal(proxy.stats().active, starts.length);
  await clock.advance(1);
  await eventually(() => proxy.stats().active === 0, "all dropped");
  for (const client of clients) {
    await readAll(client).catch(() => {});
    client.close();
  }
  assert.equal(clock.pending, 0);
});

Deno.test("a client in a tunnel is never dropped for being silent", async () => {
  const clock = new FakeClock();
  await using server = echoServer();
  await using proxy = await startProxy({ clock });
  const conn = await socks5Connect(await connect(proxy.address), server.target);
  assert.equal(clock.pending, 0, "no timer watches a tunnel");
  await clock.advance(24 * 3600 * 1000);
  await writeAll(conn, utf8("still there?"));
  await conn.closeWrite();
  assert.equal(text(await readAll(conn)), "still there?");
  conn.close();
});

Deno.test("a client that leaves while it waits ends the dial, and is no warning", async () => {
  const aborted = Promise.withResolvers<unknown>();
  const backend = new FakeBackend((target, signal) => {
    signal.addEventListener("abort", () => aborted.resolve(signal.reason));
    return untilAborted(target, signal);
  });
  await captureLog(async (lines) => {
    await using proxy = await startProxy({ ...viaProxy, backend });
    const client = await connect(proxy.address);
    const request = concat(encodeGreeting([0]), encodeRequest(somewhere));
    await exchange(client, request, hex("05 00"));
    await eventually(() => backend.dials.length === 1, "dialled");
    client.close();
    assert.equal((await aborted.promise as AwsocksError).code, "aborted");
    await eventually(() => proxy.stats().active === 0, "gone");
    assert.deepEqual(lines.filter(({ level }) => level === "warn"), []);
  });
});

Deno.test("a client that half-closes behind early data still gets its answer", async () => {
  const dial = Promise.withResolvers<Conn>();
  const backend = new FakeBackend(() => dial.promise);
  await using proxy = await startProxy({ ...viaProxy, backend });
  const client = await connect(proxy.address);
  const request = concat(encodeGreeting([0]), encodeRequest(somewhere), utf8("question"));
  await exchange(client, request, hex("05 00"));
  await client.closeWrite();
  await eventually(() => backend.dials.length === 1, "dialled");
  await settle(50);
  const [near, far] = connPair();
  dial.resolve(near);
  assert.equal(text(await readAll(far)), "question");
  await writeAll(far, utf8("answer"));
  await far.closeWrite();
  assert.ok(text(await readAll(client)).endsWith("answer"));
  client.close();
});

/** Writes `first`, then `bytes` zeros in pieces, each as soon as the one before was taken. */
async function writePieces(conn: Conn, first: Uint8Array, bytes: number): Promise<void> {
  await writeAll(conn, first);
  for (let left = bytes; left > 0; left -= 4096) {
    await writeAll(conn, new Uint8Array(Math.min(left, 4096)));
  }
}

Deno.test("a refused client may finish what it was sending, within bounds", async () => {
  const clock = new FakeClock();
  const refused = new AwsocksError("destination-refused", "Connection refused");
  const session = (conn: Conn) =>
    new ClientSession({ id: 1, conn, address: "test" }, {
      dialer: { dial: () => Promise.reject(refused) },
      handshakeTimeout: 10_000,
      clock,
      counters: new Counters(),
      failures: new FailureLog(clock),
    });
  const request = concat(encodeGreeting([0]), encodeRequest(somewhere));
  const reply = hex("05 00 05 05 00 01 00000000 0000");

  const [near, polite] = connPair(16 * 1024);
  const served = session(near).run();
  // Fails if the proxy closes the connection while input is unread, as a socket would be reset.
  const sent = writePieces(polite, request, 100_000);
  assert.deepEqual(await readAll(polite), reply);
  await sent;
  await polite.closeWrite();
  await served;

  const [again, silent] = connPair();
  const cutOff = session(again).run();
  await writeAll(silent, request);
  assert.deepEqual(await readAll(silent), reply);
  await clock.advance(1000);
  await cutOff;
  assert.equal(clock.pending, 0);

  const [third, endless] = connPair(16 * 1024);
  const bounded = session(third).run();
  await assert.rejects(writePieces(endless, request, 1_000_000));
  await bounded;
});

Deno.test("half-close travels both ways", async () => {
  // Answers only after the client has ended its input.
  await using afterwards = new TestServer(async (conn) => {
    const all = await readAll(conn);
    await writeAll(conn, utf8(`got ${all.length}`));
  });
  // Ends its output first and takes what still comes.
  const received: number[] = [];
  await using first = new TestServer(async (conn) => {
    await writeAll(conn, utf8("that is all"));
    await conn.closeWrite();
    received.push((await readAll(conn)).length);
  });
  await using proxy = await startProxy();
  const one = await socks5Connect(await connect(proxy.address), afterwards.target);
  await writeAll(one, new Uint8Array(1000));
  await one.closeWrite();
  assert.equal(text(await readAll(one)), "got 1000");
  one.close();
  const two = await socks5Connect(await connect(proxy.address), first.target);
  assert.equal(text(await readAll(two)), "that is all");
  await writeAll(two, new Uint8Array(2_000_000));
  await two.closeWrite();
  await eventually(() => received.length === 1, "server has it all");
  assert.deepEqual(received, [2_000_000]);
  two.close();
});

Deno.test("a client that vanishes in the middle of a transfer takes its destination along", async () => {
  let ended = false;
  await using server = new TestServer(async (conn) => {
    const chunk = new Uint8Array(64 * 1024);
    try {
      for (;;) await writeAll(conn, chunk);
    } finally {
      ended = true;
    }
  });
  await using proxy = await startProxy();
  const conn = await socks5Connect(await connect(proxy.address), server.target);
  assert.ok(await readFull(conn, new Uint8Array(1_000_000)));
  // Closing with unread input resets the connection.
  conn.close();
  await eventually(() => ended, "server noticed");
  await eventually(() => proxy.stats().active === 0, "gone");
});
