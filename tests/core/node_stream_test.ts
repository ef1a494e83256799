import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { PassThrough } from "node:stream";
import { connPair, readAll, relay, writeAll } from "../../lib/core/mod.ts";
import { connFromDuplex, duplexFromConn } from "../../lib/core/node_stream.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

/** A connected pair of TCP sockets with half-close. */
async function sockets(): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const [peer] = await once(server, "connection") as [net.Socket];
  server.close();
  return [client, peer];
}

Deno.test("connFromDuplex() carries 8 MB both ways with half-close over TCP", async () => {
  const [left, right] = await sockets();
  const a = connFromDuplex(left);
  const b = connFromDuplex(right);
  const body = new Uint8Array(8 * 1024 * 1024);
  for (let i = 0; i < body.length; i += 65536) {
    crypto.getRandomValues(body.subarray(i, i + 65536));
  }
  const echoing = (async () => {
    const got = await readAll(b);
    await writeAll(b, got);
    await b.closeWrite();
  })();
  await writeAll(a, body);
  await a.closeWrite();
  assert.deepEqual(await readAll(a), body);
  await echoing;
  a.close();
  b.close();
  a.close();
});

Deno.test("connFromDuplex() holds a writer back while the peer does not read", async () => {
  const [left, right] = await sockets();
  const a = connFromDuplex(left);
  let written = 0;
  const writing = (async () => {
    for (;;) written += await a.write(new Uint8Array(65536));
  })().catch(() => {});
  let before = -1;
  while (written !== before) {
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 50)); // no event says "still stuck"
  }
  assert.ok(written < 64 * 1024 * 1024, `${written} bytes were taken`);
  right.destroy();
  a.close();
  await writing;
});

Deno.test("connFromDuplex() does not fail for a peer that resets: it reads an error or the end", async () => {
  const [left, right] = await sockets();
  const a = connFromDuplex(left);
  right.resetAndDestroy();
  const outcome = await a.read(new Uint8Array(1)).catch((error) => error);
  assert.ok(outcome === null || outcome instanceof Error);
  a.close();
});

Deno.test("duplexFromConn() is a stream that Node code can pipe through", async () => {
  const [near, far] = connPair();
  const stream = duplexFromConn(near);
  const echoing = relay(far, connFromDuplex(new PassThrough()));
  stream.end(utf8("through and back"));
  let text = "";
  for await (const chunk of stream) text += chunk;
  assert.equal(text, "through and back");
  await echoing;
});

Deno.test("duplexFromConn() closes the Conn when destroyed and passes its failure on", async () => {
  const [near, far] = connPair();
  const stream = duplexFromConn(near);
  stream.destroy();
  await once(stream, "close");
  assert.equal(await far.read(new Uint8Array(1)), null);

  const failing = duplexFromConn({
    read: () => Promise.reject(new Error("lost")),
    write: (data) => Promise.resolve(data.byteLength),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  });
  failing.resume();
  const [error] = await once(failing, "error");
  assert.match(error.message, /lost/);
});
