import assert from "node:assert/strict";
import fc from "fast-check";
import {
  encodeHead,
  endToEndHeaders,
  headerList,
  headerValues,
  parseRequestHead,
  parseResponseHead,
} from "../../lib/proxy/http_head.ts";
import { assertIncremental, assertTotal, text, utf8 } from "./bytes.ts";

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,15}$/);
const value = fc.stringMatching(/^([\x21-\x7e]([\x20-\x7e]{0,30}[\x21-\x7e])?)?$/);
const headers = fc.array(fc.tuple(token, value), { maxLength: 10 });

Deno.test("parseRequestHead() reads method, target, version and fields", () => {
  const head = assertIncremental(
    parseRequestHead,
    utf8("\r\nCONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nEmpty:\r\nx-y:\t z \r\n\r\n"),
  );
  assert.deepEqual(head.start, ["CONNECT", "a:443", "HTTP/1.1"]);
  assert.deepEqual(head.headers, [["Host", "a:443"], ["Empty", ""], ["x-y", "z"]]);
  assert.deepEqual(assertIncremental(parseRequestHead, utf8("GET / HTTP/1.0\r\n\r\n")).headers, []);
});

Deno.test("parseResponseHead() reads a status with and without reason", () => {
  const parse = (line: string) => parseResponseHead(utf8(`${line}\r\n\r\n`))?.value.start;
  assert.deepEqual(parse("HTTP/1.1 404 Not Found"), ["HTTP/1.1", "404", "Not Found"]);
  assert.deepEqual(parse("HTTP/1.0 200 "), ["HTTP/1.0", "200", ""]);
  assert.deepEqual(parse("HTTP/1.1 200"), ["HTTP/1.1", "200", ""]);
});

Deno.test("heads that programs read differently are refused", () => {
  const lines = [
    "GET /\r\n\r\n",
    "GET  / HTTP/1.1\r\n\r\n",
    "GET / HTTP/2.0\r\n\r\n",
    "GET / HTTP/1.1\r\nA : b\r\n\r\n",
    "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
    "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
    "GET / HTTP/1.1\r\nA: \0\r\n\r\n",
    "GET / HTTP/1.1\r\n: b\r\n\r\n",
    "GET /\nA HTTP/1.1\r\n\r\n",
  ];
  for (const line of lines) {
    assert.throws(() => parseRequestHead(utf8(line)), { code: "proxy-protocol-error" }, line);
  }
});

Deno.test("heads survive the round trip, bytes above ASCII included", () => {
  fc.assert(fc.property(token, headers, (method, headers) => {
    const head = { start: [method, "/x", "HTTP/1.1"] as const, headers };
    assert.deepEqual(assertIncremental(parseRequestHead, encodeHead(head)), head);
  }));
  const bytes = new Uint8Array([...utf8("GET / HTTP/1.1\r\nA: "), 0xff, 0x80, 13, 10, 13, 10]);
  assert.deepEqual(encodeHead(parseRequestHead(bytes)!.value), bytes);
});

Deno.test("header fields are found whatever their case, and lists taken apart", () => {
  const head = { start: ["", "", ""], headers: [["A", "x, Y"], ["a", "z,,"], ["b", "n"]] } as const;
  assert.deepEqual(headerValues(head, "A"), ["x, Y", "z,,"]);
  assert.deepEqual(headerList(head, "a"), ["x", "y", "z"]);
  assert.deepEqual(headerList(head, "c"), []);
});

Deno.test("endToEndHeaders() drops what speaks of one connection, but never the framing", () => {
  const head = parseRequestHead(utf8([
    "GET http://a/ HTTP/1.1",
    "Connection: X-Hop, Content-Length, host",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic c2VjcmV0",
    "Keep-Alive: 5",
    "TE: trailers",
    "Upgrade: websocket",
    "x-hop: 1",
    "Content-Length: 3",
    "Host: a",
    "Accept: */*",
    "\r\n",
  ].join("\r\n")))!.value;
  assert.deepEqual(endToEndHeaders(head).map(([name]) => name), [
    "Content-Length",
    "Host",
    "Accept",
  ]);
});

Deno.test("head parsers are total", () => {
  const anything = fc.uint8Array({ maxLength: 300 }).map((bytes) => text(bytes));
  const likely = fc.array(
    fc.constantFrom("GET", " ", "/", "HTTP/1.1", "\r\n", "A", ":", "\0", "1"),
    {
      maxLength: 40,
    },
  ).map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(anything, likely), (input) => {
      for (const parser of [parseRequestHead, parseResponseHead]) assertTotal(parser, utf8(input));
    }),
    { numRuns: 2000 },
  );
});
