import assert from "node:assert/strict";
import fc from "fast-check";
import { type Conn, connPair, readAll, writeAll } from "../../lib/core/mod.ts";
import {
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  serveHttp,
} from "../../lib/sandbox/vpc/http.ts";

const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const text = (data: Uint8Array) => new TextDecoder("latin1").decode(data);

async function bodyOf(request: HttpRequest): Promise<string> {
  let body = "";
  for await (const part of request.body) body += text(part);
  return body;
}

const tellAll: HttpHandler = async (request) => ({
  status: 200,
  body: `${request.method} ${request.target} [${await bodyOf(request)}]`,
});

const always = (response: HttpResponse): HttpHandler => () => Promise.resolve(response);

function served(handler: HttpHandler = tellAll): { client: Conn; done: Promise<void> } {
  const [client, server] = connPair();
  return { client, done: serveHttp(server, handler) };
}

/** Sends everything, half-closes, gives all that comes back. */
async function exchange(input: string, handler?: HttpHandler): Promise<string> {
  const { client, done } = served(handler);
  await writeAll(client, bytes(input));
  await client.closeWrite();
  const output = text(await readAll(client));
  await done;
  return output;
}

Deno.test("serveHttp() answers requests that follow each other on one connection", async () => {
  const output = await exchange(
    "GET /a HTTP/1.1\r\nHost: x\r\n\r\n" +
      "\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" +
      "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" +
      "2\r\nde\r\n1;x=y\r\nf\r\n0\r\nT: 1\r\n\r\n" +
      "GET /d HTTP/1.1\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n\r\n",
  );
  assert.deepEqual(output.match(/(GET|POST|PUT) .*?\]/g), [
    "GET /a []",
    "POST /b [abc]",
    "PUT /c [def]",
    "GET /d []",
  ]);
});

Deno.test("serveHttp() skips a body that nobody reads", async () => {
  const output = await exchange(
    "POST /a HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /smuggled HTTP/1.1\r\n......" +
      "GET /b HTTP/1.1\r\n\r\n",
    ({ target }) => Promise.resolve({ status: 200, body: target }),
  );
  assert.equal(output.match(/HTTP\/1\.1 200 OK/g)?.length, 2);
  assert.doesNotMatch(output, /smuggled/);
});

Deno.test("serveHttp() tells a client that waits to go on, if its body is wanted", async () => {
  const head = "PUT /a HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  const { client, done } = served();
  await writeAll(client, bytes(head));
  const buffer = new Uint8Array(100);
  const n = await client.read(buffer);
  assert.equal(text(buffer.subarray(0, n!)), "HTTP/1.1 100 Continue\r\n\r\n");
  await writeAll(client, bytes("hi"));
  await client.closeWrite();
  assert.match(text(await readAll(client)), /PUT \/a \[hi\]$/);
  await done;
  const unwanted = await exchange(head, always({ status: 403, body: "no" }));
  assert.match(unwanted, /^HTTP\/1\.1 403 Forbidden\r\n.*connection: close\r\n\r\nno$/s);
});

Deno.test("serveHttp() sends parts in chunks with trailers, or to the end of the connection", async () => {
  const response = () => ({
    status: 200,
    body: [bytes("ab"), new Uint8Array(), bytes("c")],
    trailers: () => ({ "x-sum": "7" }),
  });
  assert.match(
    await exchange("GET / HTTP/1.1\r\n\r\n", always(response())),
    /\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 7\r\n\r\n$/,
  );
  assert.match(
    await exchange("GET / HTTP/1.0\r\n\r\n", always(response())),
    /connection: close\r\n\r\nabc$/,
  );
});

Deno.test("serveHttp() sends no body where there must be none", async () => {
  const head = await exchange("HEAD / HTTP/1.1\r\n\r\n", always({ status: 200, body: "abc" }));
  assert.match(head, /content-length: 3\r\n\r\n$/);
  for (const status of [204, 304]) {
    const empty = await exchange("GET / HTTP/1.1\r\n\r\n", always({ status, body: "abc" }));
    assert.match(empty, /\r\n\r\n$/);
  }
});

Deno.test("serveHttp() refuses what is no HTTP", async () => {
  const inputs = [
    "\x16\x03\x01\r\n\r\n",
    "GET /\r\n\r\n",
    "GET / HTTP/2.0\r\n\r\n",
    "GET / HTTP/1.1\r\nno colon\r\n\r\n",
    "GET / HTTP/1.1\r\nbad name: x\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab",
    "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: 1",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    "GET / HTTP/1.1\r\nHost",
    "GET / HTTP/1.1\r\nHost: x\r\n",
    `GET /${"x".repeat(70_000)} HTTP/1.1\r\n\r\n`,
    `GET / HTTP/1.1\r\n${"a: b\r\n".repeat(10_000)}\r\n`,
  ];
  for (const input of inputs) {
    assert.match(await exchange(input), /^HTTP\/1\.1 400 Bad Request\r\n/, input.slice(0, 60));
  }
  assert.equal(await exchange(""), "");
});

Deno.test("serveHttp() hands the connection over with what came behind the head", async () => {
  const taken = Promise.withResolvers<string>();
  const { client, done } = served(() =>
    Promise.resolve((conn, rest) => {
      conn.close();
      taken.resolve(text(rest));
    })
  );
  await writeAll(client, bytes("GET / HTTP/1.1\r\nUpgrade: x\r\n\r\nahead"));
  assert.equal(await taken.promise, "ahead");
  await done;
});

Deno.test("serveHttp() closes when its handler fails or its client leaves", async () => {
  assert.equal(
    await exchange("GET / HTTP/1.1\r\n\r\n", () => Promise.reject(new Error("broken"))),
    "",
  );
  const { client, done } = served(always({
    status: 200,
    body: (function* () {
      for (;;) yield new Uint8Array(100_000);
    })(),
  }));
  await writeAll(client, bytes("GET / HTTP/1.1\r\n\r\n"));
  await client.read(new Uint8Array(10));
  client.close();
  await done;
});

Deno.test("serveHttp() reads the same however the bytes are cut, and survives any bytes", async () => {
  const request = "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  const expected = await exchange(request);
  assert.match(expected, /PUT \/c \[abc\]$/);
  for (let cut = 1; cut < request.length; cut++) {
    const { client, done } = served();
    await writeAll(client, bytes(request.slice(0, cut)));
    await new Promise((resolve) => setImmediate(resolve));
    await writeAll(client, bytes(request.slice(cut)));
    await client.closeWrite();
    assert.equal(text(await readAll(client)), expected, `cut at ${cut}`);
    await done;
  }
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (noise) => {
    const output = await exchange(text(noise));
    assert.ok(output === "" || output.startsWith("HTTP/1.1 "));
  }));
});
