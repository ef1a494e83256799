import assert from "node:assert/strict";
import { fetchPage, pageText } from "../../lib/cli/http_page.ts";
import { connPair, isAwsocksError, writeAll } from "../../lib/core/mod.ts";

async function serve(answer: string): Promise<ReturnType<typeof fetchPage>> {
  const [client, server] = connPair();
  let first = 0;
  const page = fetchPage(client, "hello.internal", "/x", () => void first++);
  const buffer = new Uint8Array(4096);
  const n = await server.read(buffer);
  assert.match(
    new TextDecoder().decode(buffer.subarray(0, n ?? 0)),
    /^GET \/x HTTP\/1\.0\r\nHost: hello\.internal\r\n/,
  );
  await writeAll(server, new TextEncoder().encode(answer));
  await server.closeWrite();
  const result = await page;
  assert.equal(first, 1);
  return result;
}

Deno.test("fetchPage() gives status and body", async () => {
  assert.deepEqual(await serve("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhé\r\n\r\nx"), {
    status: "HTTP/1.1 200 OK",
    body: "hé\r\n\r\nx",
    bytes: 8,
  });
});

Deno.test("fetchPage() refuses what is not HTTP", async () => {
  for (const answer of ["SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\n", "x"]) {
    await assert.rejects(serve(answer), (error) => isAwsocksError(error, "destination-failed"));
  }
});

Deno.test("pageText() gives the text of a page, a line for each block", () => {
  const html = `<!doctype html><html><head><title>no</title><style>p{}</style></head><body>
    <!-- no --><h1>Hello &amp; welcome</h1><p>One
    <b>two</b> &#51; &bogus;</p><ul><li>a</li><li>b</li></ul><script>no()</script></body></html>`;
  assert.deepEqual(pageText(html), ["Hello & welcome", "One two 3 &bogus;", "a", "b"]);
  assert.deepEqual(pageText("just text"), ["just text"]);
});
