import assert from "node:assert/strict";
import {
  AwsocksError,
  type Conn,
  connPair,
  type ErrorCode,
  OUTCOMES,
  readAll,
  readFull,
  writeAll,
} from "../../lib/core/mod.ts";
import { ClientSession } from "../../lib/proxy/client_session.ts";
import { FailureLog } from "../../lib/proxy/failure_log.ts";
import { socks5Connect, Socks5Refusal } from "../../lib/proxy/mod.ts";
import { encodeGreeting, encodeRequest, parseReply } from "../../lib/proxy/socks5.ts";
import { Counters } from "../../lib/proxy/stats.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { concat, exchange, hex, text, utf8 } from "./bytes.ts";
import { captureLog } from "./log_capture.ts";
import {
  connect,
  echoServer,
  eventually,
  FakeBackend,
  startProxy,
  TestServer,
  untilAborted,
} from "./loopback.ts";

const viaProxy = { rules: { default: "proxy" } } as const;
const somewhere = { host: "some.example", port: 80 };

/** Writes all of `sent` and reads to the end. */
async function converse(conn: Conn, sent: Uint8Array): Promise<string> {
  await writeAll(conn, sent);
  const answer = text(await readAll(conn));
  conn.close();
  return answer;
}

Deno.test("a SOCKS5 client reaches its destination and learns the bound address", async () => {
  await using server = echoServer();
  await using proxy = await startProxy();
  const client = await connect(proxy.address);
  await exchange(client, encodeGreeting([0]), hex("05 00"));
  await writeAll(client, encodeRequest(server.target));
  const reply = new Uint8Array(10);
  assert.ok(await readFull(client, reply));
  const { reply: code, host, port } = parseReply(reply)!.value;
  assert.deepEqual([code, host], [0, "127.0.0.1"]);
  assert.ok(port > 0);
  await writeAll(client, utf8("hello"));
  await client.closeWrite();
  assert.equal(text(await readAll(client)), "hello");
  client.close();
  await eventually(() => proxy.stats().active === 0, "connection gone");
  assert.deepEqual(proxy.stats(), {
    active: 0,
    accepted: 1,
    routed: { "proxy": 0, "direct": 1, "vm-direct": 0, "block": 0 },
    failed: 0,
    bytesUp: 5,
    bytesDown: 5,
  });
});

Deno.test("SOCKS5, SOCKS4a and HTTP CONNECT share the port; data behind the request arrives", async () => {
  await using server = echoServer();
  await using proxy = await startProxy();
  const { port } = server;
  const portBytes = [port >> 8, port & 0xff];
  const socks5 = concat(encodeGreeting([0]), encodeRequest({ host: "127.0.0.1", port }));
  const socks4 = concat(
    Uint8Array.of(4, 1, ...portBytes, 0, 0, 0, 1),
    utf8("me\0localhost\0"),
  );
  const http = utf8(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\n\r\n`);
  for (const request of [socks5, socks4, http]) {
    const client = await connect(proxy.address);
    await writeAll(client, concat(request, utf8("early data")));
    await client.closeWrite();
    const answer = text(await readAll(client));
    assert.ok(answer.endsWith("early data"), answer);
    client.close();
  }
});

Deno.test("every failure of a dial is told in the client's protocol, as the table says", async () => {
  const backend = new FakeBackend();
  await using proxy = await startProxy({ ...viaProxy, backend, fallback: false });
  const connectLine = utf8("CONNECT some.example:80 HTTP/1.1\r\n\r\n");
  for (const [code, outcome] of Object.entries(OUTCOMES)) {
    const message = `No way: ${code}`;
    const dial = () => Promise.reject(new AwsocksError(code as ErrorCode, message));
    Object.assign(backend, { dialer: dial });
    const client = await connect(proxy.address);
    await assert.rejects(
      socks5Connect(client, somewhere),
      (error) => error instanceof Socks5Refusal && error.reply === outcome.socks,
      code,
    );
    client.close();
    const answer = await converse(await connect(proxy.address), connectLine);
    assert.ok(answer.startsWith(`HTTP/1.1 ${outcome.http} `), `${code}: ${answer}`);
    assert.ok(answer.includes(`\r\n\r\n${message}\n${outcome.hint && `Hint: ${outcome.hint}`}`));
  }
});

Deno.test("a backend that waits for its cause tells the cause's reply", async () => {
  const cause = new AwsocksError("instance-stopped", "Instance i-1 is stopped");
  const backend = new FakeBackend(() =>
    Promise.reject(new AwsocksError("backend-unavailable", "Backend is not up", { cause }))
  );
  await using proxy = await startProxy({ ...viaProxy, backend });
  const client = await connect(proxy.address);
  await assert.rejects(
    socks5Connect(client, somewhere),
    (error) => error instanceof Socks5Refusal && error.reply === 4,
  );
  client.close();
});

Deno.test("an unexpected exception is a general failure for the client and a warning in the log", async () => {
  await captureLog(async (lines) => {
    const backend = new FakeBackend(() => Promise.reject(new TypeError("x is not a function")));
    await using proxy = await startProxy({ ...viaProxy, backend });
    const client = await connect(proxy.address);
    await assert.rejects(socks5Connect(client, somewhere), Socks5Refusal);
    client.close();
    const warning = lines.find(({ level }) => level === "warn");
    assert.equal(warning?.message, "x is not a function");
    assert.equal(warning?.code, "internal");
  });
});

Deno.test("user and password are needed over every protocol once they are set", async () => {
  await using server = echoServer();
  await using proxy = await startProxy({ auth: { user: "ada", password: "secret" } });
  const client = await connect(proxy.address);
  const conn = await socks5Connect(client, server.target, { user: "ada", password: "secret" });
  conn.close();
  for (const auth of [undefined, { user: "ada", password: "wrong" }]) {
    const refused = await connect(proxy.address);
    await assert.rejects(socks5Connect(refused, server.target, auth), {
      code: "proxy-auth-failed",
    });
    refused.close();
  }
  const authority = `127.0.0.1:${server.port}`;
  const basic = `Proxy-Authorization: Basic ${btoa("ada:secret")}`;
  const http = await connect(proxy.address);
  const asked = await converse(http, utf8(`CONNECT ${authority} HTTP/1.1\r\n\r\n`));
  assert.ok(asked.startsWith("HTTP/1.1 407 "));
  const accepted = await connect(proxy.address);
  await exchange(
    accepted,
    utf8(`CONNECT ${authority} HTTP/1.1\r\n${basic}\r\n\r\n`),
    utf8("HTTP/1.1 200 "),
  );
  accepted.close();
  const socks4 = await connect(proxy.address);
  assert.equal(await converse(socks4, hex("04 01 0050 7f000001 00")), "\0[\0\0\0\0\0\0");
});

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

Deno.test("a backend connection that breaks ends its client and is a warning", async () => {
  await captureLog(async (lines) => {
    const [near] = connPair();
    const lost = new AwsocksError("session-lost", "Session s-1 was lost");
    const broken: Conn = { ...near, read: () => Promise.reject(lost) };
    const backend = new FakeBackend(() => Promise.resolve(broken));
    await using proxy = await startProxy({ ...viaProxy, backend });
    const conn = await socks5Connect(await connect(proxy.address), somewhere);
    await readAll(conn).catch(() => {});
    conn.close();
    await eventually(() => proxy.stats().active === 0, "gone");
    const [warning] = lines.filter(({ level }) => level === "warn");
    assert.equal(warning?.message, "Session s-1 was lost");
  });
});

Deno.test("one warning per host and code in ten seconds, with the count of the others", async () => {
  await captureLog(async (lines) => {
    const clock = new FakeClock();
    const backend = new FakeBackend(() =>
      Promise.reject(new AwsocksError("destination-refused", "Connection refused"))
    );
    await using proxy = await startProxy({ ...viaProxy, backend, clock });
    const refusedBy = async (host: string) => {
      const client = await connect(proxy.address);
      await assert.rejects(socks5Connect(client, { host, port: 80 }), Socks5Refusal);
      client.close();
    };
    for (const host of ["a.example", "a.example", "b.example", "a.example"]) await refusedBy(host);
    await clock.advance(10_000);
    await refusedBy("a.example");
    const warnings = lines.filter(({ level }) => level === "warn");
    assert.deepEqual(warnings.map(({ repeated }) => repeated), [undefined, undefined, 2]);
    assert.equal(proxy.stats().failed, 5);
  });
});

Deno.test("each connection leaves a record, and no secret", async () => {
  await captureLog(async (lines) => {
    await using server = echoServer();
    const auth = { user: "ada", password: "se-cr-et" };
    await using proxy = await startProxy({ auth });
    const conn = await socks5Connect(await connect(proxy.address), server.target, auth);
    await writeAll(conn, utf8("12345"));
    await conn.closeWrite();
    await readAll(conn);
    conn.close();
    await eventually(() => proxy.stats().active === 0, "gone");
    const record = lines.find(({ message }) => message === "Connection ended");
    assert.equal(record?.target, `127.0.0.1:${server.port}`);
    assert.deepEqual(
      [record?.id, record?.protocol, record?.route, record?.up, record?.down, record?.end],
      [1, "socks5", "direct", 5, 5, "both sides finished"],
    );
    assert.ok(!JSON.stringify(lines).includes("se-cr-et"));
  });
});

Deno.test("what is neither SOCKS nor HTTP is told in the log and closed", async () => {
  await captureLog(async (lines) => {
    await using proxy = await startProxy();
    assert.equal(await converse(await connect(proxy.address), hex("16 03 01 00 05")), "");
    assert.equal(await converse(await connect(proxy.address), hex("00 01 02")), "");
    (await connect(proxy.address)).close();
    await eventually(() => proxy.stats().accepted === 3 && proxy.stats().active === 0, "gone");
    const [tls, ...others] = lines.filter(({ level }) => level === "warn");
    assert.equal(tls?.message, "Client speaks TLS to the proxy");
    assert.equal(others.length, 0, "the second is the same failure, a probe is none");
  });
});
