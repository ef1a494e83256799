import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";
import { type Conn, connPair, readAll, writeAll } from "../../lib/core/mod.ts";
import { EventHub } from "../../lib/sandbox/events.ts";
import { PAGE_TEXT } from "../../lib/sandbox/mod.ts";
import { BLOCK_BYTES, blocksOf, sha256Of } from "../../lib/sandbox/vpc/bytes.ts";
import {
  DialFailure,
  type DialFailureReason,
  PrivateNetwork,
  resolvePrivate,
} from "../../lib/sandbox/vpc/network.ts";
import { chargen, discard, echo } from "../../lib/sandbox/vpc/services.ts";
import { Site } from "../../lib/sandbox/vpc/site.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { memoryHeld } from "../support/memory.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

// --- Bytes

Deno.test("blocksOf() yields exactly the size asked for, the same each time", () => {
  for (const size of [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES]) {
    const hash = createHash("sha256");
    let total = 0;
    for (const block of blocksOf(size, 7)) {
      total += block.byteLength;
      hash.update(block);
    }
    assert.equal(total, size);
    assert.equal(hash.digest("hex"), sha256Of(size, 7));
  }
  assert.notEqual(sha256Of(1000, 1), sha256Of(1000, 2));
});

Deno.test("blocksOf() yields no block twice", () => {
  const seen = new Set<string>();
  for (const block of blocksOf(8 * BLOCK_BYTES, 1)) {
    seen.add(createHash("sha256").update(block).digest("hex"));
  }
  assert.equal(seen.size, 8);
});

// --- Network

function network(clock = new FakeClock()) {
  const served: string[] = [];
  const net = new PrivateNetwork({
    clock,
    connectTimeout: 5000,
    services: new Map([[80, (conn: Conn, host: string) => {
      served.push(host);
      conn.close();
    }]]),
  });
  return { clock, net, served };
}

Deno.test("the private zone knows its names in any spelling, and its addresses", async () => {
  const { net, served } = network();
  const good = [
    "hello.sandbox.internal",
    "HELLO.Sandbox.Internal.",
    "any.thing.sandbox.internal",
    "www.example.com",
    "localhost",
    "127.0.0.1",
    "::1",
    "10.0.1.10",
    "fd00:5a:b0c5::10",
  ];
  for (const host of good) (await net.dial(host, 80)).close();
  assert.equal(served.length, good.length);
  assert.equal(served[1], "hello.sandbox.internal");
});

Deno.test("lookup() knows what dial() knows, and addresses as they are", () => {
  const { net } = network();
  const rows: [string, readonly string[]][] = [
    ["HELLO.Sandbox.Internal.", ["10.0.1.10", "fd00:5a:b0c5::10"]],
    ["localhost", ["127.0.0.1", "::1"]],
    ["169.254.169.254", ["169.254.169.254"]],
    ["refused.sandbox.internal", ["10.0.1.20", "fd00:5a:b0c5::20"]],
    ["nowhere.sandbox.internal", []],
    ["example.com", []],
  ];
  for (const [host, addresses] of rows) assert.deepEqual(net.lookup(host), addresses, host);
});

Deno.test("everything else fails as it would in a VPC without a way out", async () => {
  const { clock, net } = network();
  const cases: readonly [string, number, DialFailureReason][] = [
    ["hello.sandbox.internal", 81, "refused"],
    ["refused.sandbox.internal", 80, "refused"],
    ["unreachable.sandbox.internal", 80, "host-unreachable"],
    ["no-network.sandbox.internal", 80, "network-unreachable"],
    ["prohibited.sandbox.internal", 80, "prohibited"],
    ["nowhere.sandbox.internal", 80, "name-unknown"],
    ["sandbox.internal", 80, "name-unknown"],
    ["example.com", 80, "name-unknown"],
    ["constructor", 80, "name-unknown"],
    ["10.0.9.9", 80, "host-unreachable"],
    ["fd00:5a:b0c5::99", 80, "host-unreachable"],
    ["192.0.2.1", 80, "network-unreachable"],
    ["2001:db8::1", 80, "network-unreachable"],
  ];
  for (const [host, port, reason] of cases) {
    await assert.rejects(net.dial(host, port), (error) => {
      assert.ok(error instanceof DialFailure, host);
      assert.equal(error.reason, reason, host);
      return true;
    });
  }
  assert.equal(clock.pending, 0);
});

Deno.test("a black hole takes the whole time-out, and lets go when aborted", async () => {
  const { clock, net } = network();
  const failures: unknown[] = [];
  const dial = net.dial("blackhole.sandbox.internal", 80).catch((error) => failures.push(error));
  await clock.advance(4999);
  assert.equal(failures.length, 0);
  await clock.advance(1);
  await dial;
  const [failure] = failures;
  assert.ok(failure instanceof DialFailure && failure.reason === "timed-out");
  const stop = new AbortController();
  const aborted = net.dial("blackhole.sandbox.internal", 80, { signal: stop.signal });
  stop.abort(new Error("stop"));
  await assert.rejects(aborted, /stop/);
  assert.equal(clock.pending, 0);
});

Deno.test("resolvePrivate() gives addresses for names of the zone only", () => {
  assert.deepEqual(resolvePrivate("hello.sandbox.internal"), ["10.0.1.10", "fd00:5a:b0c5::10"]);
  assert.deepEqual(resolvePrivate("a.b.sandbox.internal"), ["10.0.1.20", "fd00:5a:b0c5::20"]);
  assert.deepEqual(resolvePrivate("sandbox.internal"), []);
});

// --- Services

Deno.test("echo sends everything back and ends when its client does", async () => {
  const [client, server] = connPair();
  echo(server, "");
  await writeAll(client, bytes("hello"));
  await client.closeWrite();
  assert.equal(text(await readAll(client)), "hello");
});

Deno.test("discard takes any amount and says nothing", async () => {
  const [client, server] = connPair(1024);
  discard(server, "");
  for (let i = 0; i < 100; i++) await writeAll(client, new Uint8Array(10_000));
  await client.closeWrite();
  assert.equal((await readAll(client)).byteLength, 0);
});

Deno.test("chargen sends the rotating pattern and stops for a client that does not read", async () => {
  const [client, server] = connPair(16 * 1024);
  chargen(server, "");
  const line = new Uint8Array(74);
  await client.read(line);
  assert.equal(text(line).slice(0, 10), " !\"#$%&'()");
  assert.equal(text(line).slice(72), "\r\n");
  await settle();
  client.close();
  await settle();
});

// --- Web site

class Browser {
  readonly clock = new FakeClock();
  readonly requests: string[] = [];
  readonly #site: Site;

  constructor() {
    const events = new EventHub(this.clock);
    events.on((event) => {
      if (event.type === "http-request") {
        this.requests.push(`${event.method} ${event.host} ${event.path}`);
      }
    });
    this.#site = new Site({ clock: this.clock, events });
  }

  connect(highWater?: number): Conn {
    const [client, server] = connPair(highWater);
    this.#site.serve(server);
    return client;
  }

  async fetch(head: string, body = ""): Promise<string> {
    const conn = this.connect();
    await writeAll(conn, bytes(`${head}\r\nHost: hello.sandbox.internal\r\n`));
    await writeAll(conn, bytes(`Connection: close\r\n\r\n${body}`));
    return text(await readAll(conn));
  }

  close(): void {
    this.#site.close();
  }
}

function siteTest(name: string, work: (browser: Browser) => Promise<void>): void {
  Deno.test(name, async () => {
    const browser = new Browser();
    await work(browser);
    browser.close();
    await settle();
  });
}

siteTest("the page has a text of its own, and a request is told to listeners", async (browser) => {
  const page = await browser.fetch("GET / HTTP/1.1");
  assert.match(page, /^HTTP\/1\.1 200 OK\r\n/);
  assert.ok(page.includes(`<h1>${PAGE_TEXT}</h1>`));
  assert.deepEqual(browser.requests, ["GET hello.sandbox.internal /"]);
});

siteTest(
  "a production name shows its staging copy, and markup in a host stays out",
  async (browser) => {
    const conn = browser.connect();
    await writeAll(conn, bytes("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"));
    await writeAll(conn, bytes("GET / HTTP/1.1\r\nHost: <script>\r\nConnection: close\r\n\r\n"));
    const pages = text(await readAll(conn));
    assert.match(pages, /the staging copy of www\.example\.com/);
    assert.equal(pages.includes("<script>"), false);
  },
);

siteTest("/bytes sends what /sha256 says, with the digest behind it", async (browser) => {
  const size = 100_000;
  const answer = await browser.fetch(`GET /sha256?size=${size}&seed=5 HTTP/1.1`);
  assert.ok(answer.endsWith(`${sha256Of(size, 5)}\n`));
  const conn = browser.connect();
  await writeAll(conn, bytes(`GET /bytes?size=${size}&seed=5 HTTP/1.0\r\n\r\n`));
  const all = await readAll(conn);
  const body = all.subarray(all.byteLength - size);
  assert.equal(createHash("sha256").update(body).digest("hex"), sha256Of(size, 5));
  const chunked = await browser.fetch(`GET /bytes?size=${size}&seed=5 HTTP/1.1`);
  assert.ok(chunked.endsWith(`x-sha256: ${sha256Of(size, 5)}\r\n\r\n`));
});

siteTest(
  "/log sends lines of text, the same ones again, that compress several times",
  async (browser) => {
    const fetchLog = async () => {
      const answer = await browser.fetch(`GET /log?size=50000&seed=3 HTTP/1.0`);
      return answer.slice(answer.indexOf("\r\n\r\n") + 4);
    };
    const log = await fetchLog();
    assert.equal(log.length, 50_000);
    assert.match(log, /^\S+Z (INFO |DEBUG|WARN |ERROR) web-\d .*\n/);
    assert.ok(deflateSync(log).byteLength < 50_000 / 3);
    assert.equal(await fetchLog(), log);
  },
);

siteTest("a download waits for a client that does not read", async (browser) => {
  const conn = browser.connect(64 * 1024);
  await writeAll(conn, bytes("GET /bytes?size=1000000000 HTTP/1.0\r\n\r\n"));
  const buffer = new Uint8Array(1000);
  await conn.read(buffer);
  const before = memoryHeld();
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 5));
  const grown = memoryHeld() - before;
  assert.ok(grown < 50e6, `${grown} bytes more after 100 ms`);
  conn.close();
});

siteTest("/upload counts and digests what it gets", async (browser) => {
  for (const method of ["PUT", "POST"]) {
    const answer = await browser.fetch(
      `${method} /upload HTTP/1.1\r\nContent-Length: 5`,
      "hello",
    );
    const sha256 = createHash("sha256").update("hello").digest("hex");
    assert.ok(answer.endsWith(`{"bytes":5,"sha256":"${sha256}"}\n`));
  }
});

siteTest(
  "/slow waits by the clock, /status and unknown paths answer as they should",
  async (browser) => {
    const slow = browser.fetch("GET /slow?ms=3000 HTTP/1.1");
    for (let i = 0; i < 500 && browser.clock.pending === 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await browser.clock.advance(3000);
    assert.match(await slow, /Waited 3000 ms/);
    assert.match(await browser.fetch("GET /status?code=418 HTTP/1.1"), /^HTTP\/1\.1 418 /);
    assert.match(await browser.fetch("GET /status?code=99999 HTTP/1.1"), /^HTTP\/1\.1 599 /);
    assert.match(await browser.fetch("GET /nope HTTP/1.1"), /^HTTP\/1\.1 404 /);
    assert.match(await browser.fetch("GET /constructor HTTP/1.1"), /^HTTP\/1\.1 404 /);
  },
);

siteTest("/headers shows the request as it arrived", async (browser) => {
  const answer = await browser.fetch("GET /headers?a=1 HTTP/1.1\r\nX-Test: yes");
  const { method, url, headers } = JSON.parse(answer.split("\r\n\r\n")[1]!);
  assert.deepEqual([method, url, headers["x-test"]], ["GET", "/headers?a=1", "yes"]);
});

siteTest("/echo is a WebSocket; others are not", async (browser) => {
  const upgrade = (path: string) =>
    `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  const conn = browser.connect();
  await writeAll(conn, bytes(upgrade("/echo")));
  const buffer = new Uint8Array(1000);
  const head = text(buffer.subarray(0, (await conn.read(buffer))!));
  // The accept value of RFC 6455 section 1.3.
  assert.match(head, /^HTTP\/1\.1 101 .*s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/s);
  // A masked text frame "hi" with an all-zero mask, and the unmasked answer.
  await writeAll(conn, new Uint8Array([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));
  const n = (await conn.read(buffer))!;
  assert.deepEqual([...buffer.subarray(0, n)], [0x81, 2, 0x68, 0x69]);
  conn.close();
  const other = browser.connect();
  await writeAll(other, bytes(upgrade("/")));
  await other.closeWrite();
  assert.match(text(await readAll(other)), /^HTTP\/1\.1 200 OK/);
  assert.match(await browser.fetch("GET /echo HTTP/1.1"), /^HTTP\/1\.1 426 /);
});

siteTest("nonsense instead of HTTP ends the connection", async (browser) => {
  const conn = browser.connect();
  await writeAll(conn, bytes("\x16\x03\x01nonsense\r\n\r\n"));
  await readAll(conn).catch(() => {});
});
