/**
 * What a proxy that runs for weeks meets: nonsense, half-finished and vanished clients, very many
 * connections, readers that do not read.
 */

import assert from "node:assert/strict";
import net from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Conn, isAwsocksError, readAll, readFull, writeAll } from "../../lib/core/mod.ts";
import { connFromDuplex } from "../../lib/core/node_stream.ts";
import { createVerifier } from "../../lib/proxy/auth.ts";
import { BufferedConn, READ_AHEAD_BYTES } from "../../lib/proxy/buffered_conn.ts";
import { acceptClient } from "../../lib/proxy/handshake.ts";
import { socks5Connect } from "../../lib/proxy/mod.ts";
import { encodeCredentials, encodeGreeting, encodeRequest } from "../../lib/proxy/socks5.ts";
import { concat, text, utf8 } from "./bytes.ts";
import { memoryHeld } from "../support/memory.ts";
import { connect, echoServer, eventually, FakeBackend, startProxy } from "./loopback.ts";

/** Numbers that look random and are the same in every run (mulberry32). */
function random(seed: number): () => number {
  return () => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Bytes of the heap that are in use, garbage not counted. */
function heapInUse(): number {
  collectGarbage();
  return Deno.memoryUsage().heapUsed;
}

/** A client that sends `input` in one piece or byte by byte, ends, and takes any answer. */
function scriptedClient(input: Uint8Array, piece: number): Conn & { answered: number } {
  let at = 0;
  return {
    answered: 0,
    read(into) {
      if (at === input.length) return Promise.resolve(null);
      const part = input.subarray(at, at + Math.min(piece, into.length));
      at += part.length;
      into.set(part);
      return Promise.resolve(part.length);
    },
    write(data) {
      this.answered += data.length;
      return Promise.resolve(data.length);
    },
    closeWrite: () => Promise.resolve(),
    close: () => {},
  };
}

/** True when the handshake understood the client; false when it refused it; throws for anything else. */
async function understands(input: Uint8Array, piece: number, auth: boolean): Promise<boolean> {
  const client = scriptedClient(input, piece);
  const conn = new BufferedConn(client);
  try {
    if (!await conn.fill()) return false;
    await acceptClient(conn, auth ? verify : undefined);
    return true;
  } catch (error) {
    assert.ok(isAwsocksError(error), `not an AwsocksError: ${error} for ${input}`);
    return false;
  } finally {
    assert.ok(client.answered < 1024);
    assert.ok(conn.ahead.length <= READ_AHEAD_BYTES);
  }
}

const verify = createVerifier({ user: "ada", password: "secret" });

/** Requests of every protocol that are understood as they are. */
const VALID: readonly { readonly bytes: Uint8Array; readonly auth: boolean }[] = [
  {
    bytes: concat(encodeGreeting([0, 2]), encodeRequest({ host: "a.example", port: 80 })),
    auth: false,
  },
  { bytes: concat(encodeGreeting([0]), encodeRequest({ host: "::1", port: 80 })), auth: false },
  {
    bytes: concat(
      encodeGreeting([2]),
      encodeCredentials("ada", "secret"),
      encodeRequest({ host: "192.0.2.1", port: 443 }),
    ),
    auth: true,
  },
  { bytes: concat(Uint8Array.of(4, 1, 0, 80, 0, 0, 0, 1), utf8("me\0a.example\0")), auth: false },
  { bytes: utf8("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"), auth: false },
  { bytes: utf8("GET http://a.example/ HTTP/1.1\r\nAccept: */*\r\n\r\n"), auth: false },
];

Deno.test("100,000 random and truncated requests: an error each, no crash, no growth", async () => {
  const next = random(1);
  const int = (limit: number) => Math.floor(next() * limit);
  for (const { bytes, auth } of VALID) {
    assert.ok(await understands(bytes, 1, auth), "valid as it is");
    for (let length = 0; length < bytes.length; length++) {
      assert.ok(!await understands(bytes.subarray(0, length), 1 + int(8), auth), "truncated");
    }
  }
  const before = heapInUse();
  let understood = 0;
  for (let i = 0; i < 100_000; i++) {
    // Half of them random from the first byte, half of them valid but for a few bytes.
    const { bytes, auth } = VALID[int(VALID.length)]!;
    const input = i % 2 ? bytes.slice(0, 1 + int(bytes.length)) : new Uint8Array(1 + int(300));
    const changes = i % 2 ? 1 + int(3) : input.length;
    for (let j = 0; j < changes; j++) input[i % 2 ? int(input.length) : j] = int(256);
    if (i % 4 === 0) input[0] = 4 + int(2);
    if (await understands(input, i % 3 ? 1024 : 1, auth)) understood++;
  }
  assert.ok(understood < 50_000, `${understood} of 100,000 were understood`);
  const growth = heapInUse() - before;
  assert.ok(growth < 2 * 2 ** 20, `the heap grew by ${growth} bytes`);
});

Deno.test("an endless request is cut off at the bound", async () => {
  const endless = new Uint8Array(1 << 20).fill(0x41);
  for (const start of ["GET / HTTP/1.1\r\nA: ", "A", "\x04\x01\0\x50\0\0\0\x01"]) {
    assert.equal(
      await understands(concat(utf8(start), endless.subarray(0, 40_000)), 999, false),
      false,
    );
  }
});

Deno.test({
  name: "10,000 short connections leave no descriptor and no memory behind",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using server = echoServer();
    await using proxy = await startProxy();
    const request = concat(encodeGreeting([0]), encodeRequest(server.target), utf8("ping"));
    const one = async () => {
      const client = await connect(proxy.address);
      await writeAll(client, request);
      await client.closeWrite();
      assert.ok(text(await readAll(client)).endsWith("ping"));
      client.close();
    };
    const many = async (n: number) => {
      for (let i = 0; i < n; i += 50) await Promise.all(Array.from({ length: 50 }, one));
      await eventually(() => proxy.stats().active === 0, "all gone");
    };
    const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;
    await many(1000);
    const before = { fds: descriptors(), heap: heapInUse() };
    await many(9000);
    await eventually(() => descriptors() <= before.fds, "no descriptor left");
    const growth = heapInUse() - before.heap;
    // 200 bytes for each connection, at most.
    assert.ok(growth < 9000 * 200, `the heap grew by ${growth} bytes`);
    assert.equal(proxy.stats().routed.direct, 10_000);
    assert.equal(proxy.stats().failed, 0);
  },
});

Deno.test("a reset in the middle of a transfer ends both connections, whoever sends it", async () => {
  const serverSockets: net.Socket[] = [];
  const flood = Buffer.alloc(1 << 20);
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    serverSockets.push(socket);
    socket.on("error", () => {});
    const more = () => {
      while (!socket.destroyed && socket.write(flood));
    };
    socket.on("drain", more);
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const proxy = await startProxy();
  for (const resetBy of ["client", "server"]) {
    const socket = net.connect(proxy.address.port, "127.0.0.1");
    socket.on("error", () => {});
    const conn = await socks5Connect(connFromDuplex(socket), { host: "127.0.0.1", port });
    assert.ok(await readFull(conn, new Uint8Array(3_000_000)));
    if (resetBy === "client") socket.resetAndDestroy();
    else serverSockets.at(-1)!.resetAndDestroy();
    await eventually(() => proxy.stats().active === 0, `gone after a reset by the ${resetBy}`);
    await eventually(() => serverSockets.at(-1)!.destroyed, "server socket gone");
    conn.close();
  }
  await proxy.close();
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("100 readers that do not read hold their senders back instead of filling memory", async () => {
  let [open, readBytes] = [0, 0];
  /** Gives bytes without end, as fast as they are taken. */
  const endless = (): Conn => {
    open++;
    let closed = false;
    return {
      read: async (into) => {
        // A turn of the event loop, as with any real source.
        await new Promise((resolve) => setTimeout(resolve, 0));
        if (closed) return null;
        readBytes += into.length;
        return into.length;
      },
      write: (data) => Promise.resolve(data.length),
      closeWrite: () => Promise.resolve(),
      close: () => {
        if (!closed) open--;
        closed = true;
      },
    };
  };
  const backend = new FakeBackend(() => Promise.resolve(endless()));
  await using proxy = await startProxy({ backend, rules: { default: "proxy" } });
  const target = { host: "endless.example", port: 80 };
  const clients = await Promise.all(
    Array.from({ length: 100 }, async () => socks5Connect(await connect(proxy.address), target)),
  );
  const before = memoryHeld();
  /** Waits until nothing more is read at the other end. */
  const stalled = async () => {
    for (let last = -1; last !== readBytes;) {
      last = readBytes;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return readBytes;
  };
  const full = await stalled();
  const growth = memoryHeld() - before;
  assert.ok(growth < 64 * 2 ** 20, `memory grew by ${growth} bytes`);
  // And it goes on when they read.
  const buffer = new Uint8Array(64 * 1024);
  for (let i = 0; i < 200; i++) for (const client of clients.slice(0, 2)) await client.read(buffer);
  assert.ok(await stalled() > full);
  for (const client of clients) client.close();
  await eventually(() => open === 0, "every source closed");
});
