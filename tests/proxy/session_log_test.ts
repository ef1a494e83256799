import assert from "node:assert/strict";
import { AwsocksError, type Conn, connPair, readAll, writeAll } from "../../lib/core/mod.ts";
import { socks5Connect, Socks5Refusal } from "../../lib/proxy/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { hex, utf8 } from "./bytes.ts";
import { captureLog } from "../support/log_capture.ts";
import { connect, converse, echoServer, eventually, FakeBackend, startProxy } from "./loopback.ts";

const viaProxy = { rules: { default: "proxy" } } as const;
const somewhere = { host: "some.example", port: 80 };

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
