import assert from "node:assert/strict";
import fc from "fast-check";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { requestBody } from "../../lib/proxy/http_body.ts";
import type { Head } from "../../lib/proxy/http_head.ts";
import { concat, utf8 } from "./bytes.ts";

function head(...headers: [string, string][]): Head {
  return { start: ["POST", "http://a/", "HTTP/1.1"], headers };
}

const chunkedHead = head(["Transfer-Encoding", "chunked"]);

/** Feeds `bytes` in pieces of the given sizes; gives how many belong to the body. */
function measure(body: ReturnType<typeof requestBody>, bytes: Uint8Array, sizes: number[]): number {
  let [at, total] = [0, 0];
  for (let i = 0; at < bytes.length; i++) {
    const piece = bytes.subarray(at, at += sizes[i] ?? 3);
    const taken = body.take(piece);
    total += taken;
    if (taken < piece.length) assert.ok(body.done, "stops short only at the end");
  }
  return total;
}

const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 30 });

Deno.test("requestBody() without length is empty, with a length it has that many bytes", () => {
  assert.equal(requestBody(head()).done, true);
  assert.equal(requestBody(head(["Content-Length", "0"])).done, true);
  fc.assert(fc.property(fc.nat(200), fc.nat(200), sizes, (length, behind, sizes) => {
    const body = requestBody(head(["Content-Length", String(length)]));
    assert.equal(measure(body, new Uint8Array(length + behind), sizes), length);
    assert.equal(body.done, true);
  }));
});

Deno.test("requestBody() finds the end of chunks, however they are cut", () => {
  const chunk = fc.tuple(
    fc.uint8Array({ minLength: 1, maxLength: 60 }),
    fc.constantFrom("", ";a=b"),
  )
    .map(([data, extension]) =>
      concat(utf8(`${data.length.toString(16)}${extension}\r\n`), data, utf8("\r\n"))
    );
  const end = fc.constantFrom("0\r\n\r\n", "000\r\nTrailer: x\r\n\r\n").map(utf8);
  fc.assert(
    fc.property(fc.array(chunk), end, fc.uint8Array(), sizes, (chunks, end, behind, sizes) => {
      const message = concat(...chunks, end);
      const body = requestBody(chunkedHead);
      assert.equal(measure(body, concat(message, behind), sizes), message.length);
      assert.equal(body.done, true);
      const cut = requestBody(chunkedHead);
      measure(cut, message.subarray(0, -1), sizes);
      assert.equal(cut.done, false);
    }),
  );
});

Deno.test("requestBody() refuses lengths that contradict each other", () => {
  const bad = [
    head(["Content-Length", "1"], ["Content-Length", "2"]),
    head(["Content-Length", "1"], ["content-length", "1"]),
    head(["Content-Length", "-1"]),
    head(["Content-Length", "0x10"]),
    head(["Content-Length", ""]),
    head(["Content-Length", "9".repeat(20)]),
    head(["Content-Length", "5"], ["Transfer-Encoding", "chunked"]),
    head(["Transfer-Encoding", "gzip"]),
    head(["Transfer-Encoding", "chunked, gzip"]),
    { ...chunkedHead, start: ["POST", "http://a/", "HTTP/1.0"] } as const,
  ];
  for (const each of bad) {
    assert.throws(() => requestBody(each), { code: "proxy-protocol-error" });
  }
});

Deno.test("chunks that are none are refused", () => {
  for (
    const bytes of ["x\r\n", "\r\n", "5\n", "-1\r\n", "1\r\nab\r\n", "1\r\na\rb", "f".repeat(5000)]
  ) {
    const body = requestBody(chunkedHead);
    assert.throws(() => body.take(utf8(bytes)), { code: "proxy-protocol-error" }, bytes);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    try {
      const taken = requestBody(chunkedHead).take(bytes);
      assert.ok(taken <= bytes.length);
    } catch (error) {
      assert.ok(isAwsocksError(error, "proxy-protocol-error"));
    }
  }));
});
