import assert from "node:assert/strict";
import {
  AwsocksError,
  type ErrorCode,
  OUTCOMES,
  readAll,
  readFull,
  writeAll,
} from "../../lib/core/mod.ts";
import { socks5Connect, Socks5Refusal } from "../../lib/proxy/mod.ts";
import { encodeGreeting, encodeRequest, parseReply } from "../../lib/proxy/socks5.ts";
import { concat, exchange, hex, text, utf8 } from "./bytes.ts";
import { connect, converse, echoServer, eventually, FakeBackend, startProxy } from "./loopback.ts";

const viaProxy = { rules: { default: "proxy" } } as const;
const somewhere = { host: "some.example", port: 80 };

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
