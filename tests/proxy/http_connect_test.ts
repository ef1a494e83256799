import assert from "node:assert/strict";
import fc from "fast-check";
import {
  AwsocksError,
  type Conn,
  connPair,
  isAwsocksError,
  readAll,
  relay,
  writeAll,
} from "../../lib/core/mod.ts";
import { createVerifier } from "../../lib/proxy/auth.ts";
import { BufferedConn } from "../../lib/proxy/buffered_conn.ts";
import type { ClientRequest } from "../../lib/proxy/client_request.ts";
import { acceptHttp } from "../../lib/proxy/http_connect.ts";
import { encodeRefusal } from "../../lib/proxy/http_refusal.ts";
import { concat, text, utf8 } from "./bytes.ts";

const verify = createVerifier({ user: "ada", password: "lo:ve" });
const basic = (credentials: string) => `Proxy-Authorization: Basic ${btoa(credentials)}`;

function request(...lines: string[]): string {
  return [...lines, "\r\n"].join("\r\n");
}

/** What the server makes of `sent`; `answer` is what it wrote by the time it returned. */
async function accept(sent: string | Uint8Array, check?: typeof verify) {
  const [near, far] = connPair(1 << 20);
  await writeAll(far, typeof sent === "string" ? utf8(sent) : sent);
  await far.closeWrite();
  let outcome: { request?: ClientRequest; error?: unknown };
  const client = new BufferedConn(near);
  try {
    outcome = { request: await acceptHttp(client, check) };
    await outcome.request!.accept();
  } catch (error) {
    outcome = { error };
  }
  await near.closeWrite();
  return { ...outcome, answer: text(await readAll(far)), client };
}

Deno.test("acceptHttp() takes CONNECT and keeps what is behind it", async () => {
  for (
    const [authority, host] of [
      ["Example.com:443", "example.com"],
      ["[2001:DB8::1]:443", "2001:db8::1"],
      ["192.0.2.1:443", "192.0.2.1"],
    ]
  ) {
    const { request: got, answer, client } = await accept(
      request(`CONNECT ${authority} HTTP/1.1`, "Host: whatever") + "early",
    );
    assert.deepEqual(got?.target, { host, port: 443 });
    assert.equal(got?.protocol, "http-connect");
    assert.equal(answer, "HTTP/1.1 200 Connection established\r\n\r\n");
    assert.equal(text(client.ahead), "early");
  }
});

Deno.test("acceptHttp() answers what it does not take with a status and a reason", async () => {
  const cases: [line: string, status: number, code: string][] = [
    ["CONNECT example.com HTTP/1.1", 400, "proxy-protocol-error"],
    ["CONNECT example.com:0 HTTP/1.1", 400, "proxy-protocol-error"],
    ["CONNECT example.com:65536 HTTP/1.1", 400, "proxy-protocol-error"],
    ["CONNECT 2001:db8::1:443 HTTP/1.1", 400, "proxy-protocol-error"],
    ["CONNECT [x]:443 HTTP/1.1", 400, "proxy-protocol-error"],
    ["CONNECT http://a/ HTTP/1.1", 400, "proxy-protocol-error"],
    ["GET / HTTP/1.1", 400, "proxy-protocol-error"],
    ["OPTIONS * HTTP/1.1", 400, "proxy-protocol-error"],
    ["GET https://a/ HTTP/1.1", 405, "proxy-command-unsupported"],
    ["GET ftp://a/ HTTP/1.1", 405, "proxy-command-unsupported"],
    ["GET http://user@a/ HTTP/1.1", 405, "proxy-command-unsupported"],
    ["GET http://a:99999/ HTTP/1.1", 400, "proxy-protocol-error"],
    ["nonsense", 400, "proxy-protocol-error"],
  ];
  for (const [line, status, code] of cases) {
    const { error, answer } = await accept(request(line));
    assert.ok(isAwsocksError(error), line);
    assert.equal(error.code, code, line);
    assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), `${line}: ${answer}`);
    assert.ok(answer.includes(error.message), "the body has the message");
    assert.ok(answer.includes("\r\nConnection: close\r\n"));
  }
});

Deno.test("acceptHttp() bounds the head", async () => {
  const { error, answer } = await accept(`GET / HTTP/1.1\r\nA: ${"b".repeat(100_000)}`);
  assert.ok(isAwsocksError(error, "proxy-protocol-error"));
  assert.ok(answer.startsWith("HTTP/1.1 400 "));
});

Deno.test("acceptHttp() asks for user and password, and checks them", async () => {
  const connect = "CONNECT a:1 HTTP/1.1";
  const right = await accept(request(connect, basic("ada:lo:ve")), verify);
  assert.deepEqual(right.request?.target, { host: "a", port: 1 });
  const wrong = ["", basic("ada:love"), basic("ada"), basic(":"), "Proxy-Authorization: Basic ???"];
  for (const header of [...wrong, "Proxy-Authorization: Bearer YWRhOmxvOnZl"]) {
    const { error, answer } = await accept(request(connect, ...[header].filter(Boolean)), verify);
    assert.ok(isAwsocksError(error, "proxy-auth-failed"), header);
    assert.match(answer, /^HTTP\/1.1 407 [^]*\r\nProxy-Authenticate: Basic realm="awsocks"\r\n/);
    assert.ok(!answer.includes("lo:ve"));
  }
});

Deno.test("encodeRefusal() carries message and hint with the status of the table", () => {
  const error = new AwsocksError("route-blocked", "No way to a.example", { hint: "ask Ada" });
  const answer = text(encodeRefusal(error));
  assert.match(answer, /^HTTP\/1.1 403 Forbidden\r\n/);
  assert.ok(answer.endsWith("\r\n\r\nNo way to a.example\nHint: ask Ada\n"));
  assert.match(answer, /\r\nContent-Length: 34\r\n/);
  assert.ok(text(encodeRefusal(error, "HEAD")).endsWith("\r\n\r\n"));
});

/** Runs a forwarded request between a scripted client and server, as the relay does. */
async function forward(sent: string, response: string | Uint8Array) {
  const [near, client] = connPair(1 << 20);
  const [remote, server] = connPair(1 << 20);
  await writeAll(client, utf8(sent));
  const buffered = new BufferedConn(near);
  const got = await acceptHttp(buffered);
  await got.accept();
  const relayed = relay(...got.adapt!(buffered, remote));
  await writeAll(server, typeof response === "string" ? utf8(response) : response);
  await server.closeWrite();
  const received = text(await readAll(client));
  client.close();
  await relayed;
  return { target: got.target, received, forwarded: text(await readAllThenClose(server)) };
}

async function readAllThenClose(conn: Conn): Promise<Uint8Array> {
  const all = await readAll(conn);
  conn.close();
  return all;
}

Deno.test("a plain request is rewritten for its server, its response for the client", async () => {
  const { target, forwarded, received } = await forward(
    request(
      "GET http://Example.com:8080/a?b=c HTTP/1.1",
      "Host: ignored",
      "Proxy-Connection: keep-alive",
      basic("ada:lo:ve"),
      "Accept: */*",
    ),
    "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nContent-Length: 2\r\n\r\nhi",
  );
  assert.deepEqual(target, { host: "example.com", port: 8080 });
  assert.equal(
    forwarded,
    "GET /a?b=c HTTP/1.1\r\nHost: Example.com:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n",
  );
  assert.equal(received, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
});

Deno.test("the path of a plain request may be missing", async () => {
  const ok = "HTTP/1.1 204 No Content\r\n\r\n";
  for (
    const [url, path] of [["http://a", "/"], ["http://a?q", "/?q"], ["HTTP://a:/x", "/x"]] as const
  ) {
    const { forwarded, target } = await forward(request(`GET ${url} HTTP/1.1`), ok);
    assert.ok(forwarded.startsWith(`GET ${path} HTTP/1.1\r\n`), forwarded);
    assert.deepEqual(target, { host: "a", port: 80 });
  }
});

Deno.test("nothing behind a request's body reaches its server", async () => {
  const smuggled = request("GET http://other/ HTTP/1.1");
  const sized = await forward(
    request("POST http://a/ HTTP/1.1", "Content-Length: 4") + "body" + smuggled,
    "HTTP/1.1 200 OK\r\n\r\n",
  );
  assert.ok(sized.forwarded.endsWith("\r\n\r\nbody"));
  const chunked = await forward(
    request("POST http://a/ HTTP/1.1", "Transfer-Encoding: chunked") + "4\r\nbody\r\n0\r\n\r\n" +
      smuggled,
    "HTTP/1.1 200 OK\r\n\r\n",
  );
  assert.ok(chunked.forwarded.endsWith("\r\n\r\n4\r\nbody\r\n0\r\n\r\n"));
});

Deno.test("an interim response passes before the final one", async () => {
  const { received } = await forward(
    request("POST http://a/ HTTP/1.1", "Content-Length: 4", "Expect: 100-continue") + "body",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nKeep-Alive: 1\r\n\r\nrest",
  );
  assert.equal(
    received,
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nConnection: close\r\n\r\nrest",
  );
});

Deno.test("a server that answers no HTTP gives 502", async () => {
  for (const response of ["", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n", "x".repeat(100_000)]) {
    const { received } = await forward(request("GET http://a/ HTTP/1.1"), response);
    assert.match(received, /^HTTP\/1.1 502 Bad Gateway\r\n/);
  }
});

Deno.test("a client that leaves before the answer takes its request back", async () => {
  const [near, client] = connPair();
  const [remote, server] = connPair();
  await writeAll(client, utf8(request("GET http://a/ HTTP/1.1")));
  const buffered = new BufferedConn(near);
  const got = await acceptHttp(buffered);
  const relayed = relay(...got.adapt!(buffered, remote));
  const forwarded = readAll(server);
  await client.closeWrite();
  assert.ok(text(await forwarded).startsWith("GET / HTTP/1.1\r\n"), "and then the end of input");
  server.close();
  await relayed;
});

Deno.test("whatever an HTTP client sends, it is understood or refused", async () => {
  const parts = fc.constantFrom(
    "GET ",
    "CONNECT ",
    "http://",
    "a",
    ":80",
    "/",
    " HTTP/1.1",
    "\r\n",
    "Content-Length: 1",
    "Proxy-Authorization: Basic ",
    "\0",
    "[::1]",
  );
  const likely = fc.array(parts, { maxLength: 30 }).map((all) => utf8(all.join("")));
  const anything = fc.oneof(fc.uint8Array({ maxLength: 300 }), likely);
  await fc.assert(
    fc.asyncProperty(anything, fc.boolean(), async (bytes, auth) => {
      const sent = concat(bytes, utf8("\r\n\r\n"));
      const { error, request } = await accept(sent, auth ? verify : undefined);
      assert.ok(request || isAwsocksError(error), String(error));
    }),
    { numRuns: 1000 },
  );
});
