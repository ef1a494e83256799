import assert from "node:assert/strict";
import type { ServerChannel } from "ssh2";
import { type Clock, isAwsocksError, readAll, readFull, writeAll } from "../../lib/core/mod.ts";
import { connectSsh, type ConnectSshOptions, type SshConnection } from "../../lib/ssh/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { anyIdentity, type ServeOptions, serveSsh, type SshServer, trustAll } from "./server.ts";

/** A connection to a server in this process, closed at the end of the test. */
async function connected(
  serve: ServeOptions,
  options: Partial<ConnectSshOptions> = {},
): Promise<{ ssh: SshConnection; server: SshServer } & AsyncDisposable> {
  const server = await serveSsh(serve);
  const ssh = await connectSsh(server.conn, {
    user: "tester",
    identities: [await anyIdentity()],
    hostKeys: trustAll,
    compression: false,
    ...options,
  });
  return {
    ssh,
    server,
    async [Symbol.asyncDispose]() {
      ssh.close();
      await ssh.closed;
      server.close();
    },
  };
}

const echo: ServeOptions = {
  onDial: (_request, accept) => {
    const channel = accept();
    channel.pipe(channel);
  },
};

const target = { host: "db.internal", port: 5432 };

/** Waits, for a bounded number of turns, until something holds. */
async function until(condition: () => boolean, turns = 2000): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn === turns) throw new Error(`Not so after ${turns} turns: ${condition}`);
    await settle(1);
  }
}

Deno.test("dial() passes the destination on as the client named it", async () => {
  const requests: unknown[] = [];
  await using it = await connected({
    onDial: (request, _accept, reject) => {
      requests.push(request);
      reject();
    },
  });
  for (const host of ["db.internal", "10.0.0.1", "fd00::1"]) {
    await assert.rejects(it.ssh.dial({ host, port: 443 }));
  }
  const origin = { srcIP: "127.0.0.1", srcPort: 65535 };
  assert.deepEqual(requests, [
    { destIP: "db.internal", destPort: 443, ...origin },
    { destIP: "10.0.0.1", destPort: 443, ...origin },
    { destIP: "fd00::1", destPort: 443, ...origin },
  ]);
});

Deno.test("a channel carries bytes and the end of input both ways", async () => {
  await using it = await connected(echo);
  const conn = await it.ssh.dial(target);
  assert.equal(it.ssh.channels, 1);
  const sent = crypto.getRandomValues(new Uint8Array(65536));
  const received = readAll(conn);
  for (let i = 0; i < 40; i++) await writeAll(conn, sent);
  await conn.closeWrite();
  const all = await received;
  assert.equal(all.byteLength, 40 * sent.byteLength);
  assert.deepEqual(all.subarray(-sent.byteLength), sent);
  assert.equal(it.ssh.channels, 0);
  await assert.rejects(conn.write(sent), Deno.errors.BrokenPipe);
  await conn.closeWrite();
  conn.close();
  conn.close();
});

Deno.test("a channel that the server closes can be read to its end", async () => {
  await using it = await connected({
    onDial: (_request, accept) => void accept().end(new Uint8Array(100_000)),
  });
  const conn = await it.ssh.dial(target);
  await settle(50);
  await assert.rejects(conn.write(new Uint8Array(1)), Deno.errors.BrokenPipe);
  assert.equal((await readAll(conn)).byteLength, 100_000);
  await conn.closeWrite();
  assert.equal(it.ssh.channels, 0);
});

Deno.test("close() of a channel wakes its reader and its writer, and closes it at the server", async () => {
  const channels: ServerChannel[] = [];
  await using it = await connected({ onDial: (_request, accept) => channels.push(accept()) });
  const conn = await it.ssh.dial(target);
  const closed = Promise.withResolvers<void>();
  channels[0]!.on("close", closed.resolve);
  const reading = conn.read(new Uint8Array(10));
  // Nobody reads at the server: this stalls when the server's window is full.
  const writing = writeAll(conn, new Uint8Array(8 * 1024 * 1024));
  await settle(200);
  conn.close();
  assert.equal(await reading, null);
  await assert.rejects(writing, Deno.errors.BrokenPipe);
  assert.equal(it.ssh.channels, 0);
  channels[0]!.resume();
  await closed.promise;
});

Deno.test("a channel of which both directions have ended is closed", async () => {
  const channels: ServerChannel[] = [];
  await using it = await connected({ onDial: (_request, accept) => channels.push(accept()) });
  const conn = await it.ssh.dial(target);
  const [channel] = channels;
  const closed = Promise.withResolvers<void>();
  channel!.on("close", closed.resolve).resume();
  // Says that it sends no more, and leaves the closing to the client.
  channel!.eof();
  assert.equal(await conn.read(new Uint8Array(1)), null);
  assert.equal(it.ssh.channels, 1);
  await conn.closeWrite();
  assert.equal(it.ssh.channels, 0);
  await closed.promise;
});

/** Names of the messages about channels that reach the server from now on. */
async function channelMessages(server: SshServer): Promise<string[]> {
  const received: string[] = [];
  // What the server's half of ssh2 calls for each message.
  const { _handlers: handlers } = (await server.ready as unknown as {
    _protocol: { _handlers: Record<string, (...args: unknown[]) => void> };
  })._protocol;
  for (const name of Object.keys(handlers).filter((each) => each.startsWith("CHANNEL_"))) {
    const original = handlers[name]!;
    handlers[name] = (...args) => {
      received.push(name);
      original(...args);
    };
  }
  return received;
}

Deno.test("a channel closes without a word once its connection has ended", async () => {
  for (const compression of [false, true]) {
    await using it = await connected({ ...echo, compress: ["zlib@openssh.com", "none"] }, {
      compression,
    });
    const conn = await it.ssh.dial(target);
    it.server.close();
    await it.ssh.closed;
    await assert.rejects(conn.read(new Uint8Array(1)));
    conn.close();
    await conn.closeWrite();
  }
});

Deno.test("nothing is sent on a channel after its close", async (t) => {
  const channels: ServerChannel[] = [];
  await using it = await connected({ onDial: (_request, accept) => channels.push(accept()) });
  const received = await channelMessages(it.server);
  await t.step("by the client, with plenty under way to it", async () => {
    const conn = await it.ssh.dial(target);
    for (let i = 0; i < 64; i++) channels.at(-1)!.write(new Uint8Array(32 * 1024));
    await conn.read(new Uint8Array(1000));
    conn.close();
    await until(() => received.includes("CHANNEL_CLOSE"));
    await settle(200);
    assert.equal(received.at(-1), "CHANNEL_CLOSE");
  });
  await t.step("by the server, with plenty to read", async () => {
    received.length = 0;
    const conn = await it.ssh.dial(target);
    channels.at(-1)!.end(new Uint8Array(100_000));
    await until(() => received.includes("CHANNEL_CLOSE"));
    assert.equal((await readAll(conn)).byteLength, 100_000);
    await conn.closeWrite();
    await settle(200);
    assert.equal(received.at(-1), "CHANNEL_CLOSE");
  });
});

Deno.test("a reader that stops holds its own channel back, and no other", async () => {
  const channels: ServerChannel[] = [];
  await using it = await connected({
    onDial(request, accept) {
      const channel = accept();
      if (request.destPort === 7) channel.pipe(channel);
      else channels.push(channel);
    },
  });
  const slow = await it.ssh.dial(target);
  const chunk = new Uint8Array(32 * 1024);
  for (let i = 0; i < 256; i++) channels[0]!.write(chunk);
  for (let i = 0; i < 128; i++) await readFull(slow, new Uint8Array(chunk.byteLength));
  const before = 128 * chunk.byteLength;
  await settle(500);
  const ahead = it.server.wire.toClient - before;
  assert.ok(ahead > 32 * 1024, `${ahead} bytes arrived`);
  assert.ok(ahead < 300 * 1024, `${ahead} bytes arrived without being read`);

  const other = await it.ssh.dial({ host: "echo", port: 7 });
  for (let i = 0; i < 20; i++) {
    await writeAll(other, chunk);
    assert.equal(await readFull(other, new Uint8Array(chunk.byteLength)), true);
  }
  assert.equal(it.server.wire.toClient - before - ahead < 25 * 33 * 1024, true);

  channels[0]!.end();
  assert.equal((await readAll(slow)).byteLength, 128 * chunk.byteLength);
  await slow.closeWrite();
  other.close();
});

Deno.test("a server that stops reading holds its own channel back, and no other", async () => {
  const channels: ServerChannel[] = [];
  await using it = await connected({
    onDial(request, accept) {
      const channel = accept();
      if (request.destPort === 7) channel.pipe(channel);
      else channels.push(channel);
    },
  });
  const stuck = await it.ssh.dial(target);
  const chunk = new Uint8Array(64 * 1024);
  let taken = 0;
  let done = false;
  const writing = (async () => {
    while (!done) taken += await stuck.write(chunk);
  })();
  await settle(500);
  const stalledAt = taken;
  await settle(100);
  assert.equal(taken, stalledAt);
  assert.ok(taken < 5 * 1024 * 1024, `${taken} bytes taken`);

  const other = await it.ssh.dial({ host: "echo", port: 7 });
  await writeAll(other, chunk);
  assert.equal(await readFull(other, new Uint8Array(chunk.byteLength)), true);
  other.close();

  done = true;
  channels[0]!.resume();
  await writing;
  stuck.close();
});

Deno.test("a transport that stops holds the writers of all channels back", async () => {
  await using it = await connected({ ...echo, highWater: 64 * 1024 });
  const conns = await Promise.all(Array.from({ length: 8 }, () => it.ssh.dial(target)));
  const server = await it.server.ready;
  // The far end reads nothing any more: stop ssh2's stream there.
  (server as unknown as { _sock: { pause(): void; resume(): void } })._sock.pause();
  let taken = 0;
  let done = false;
  const writing = conns.map(async (conn) => {
    while (!done) taken += await conn.write(new Uint8Array(64 * 1024));
  });
  await settle(300);
  // Eight windows of 2 MiB would take 16 MiB.
  assert.ok(taken < 1024 * 1024, `${taken} bytes taken`);
  done = true;
  (server as unknown as { _sock: { resume(): void } })._sock.resume();
  for (const conn of conns) conn.close();
  await Promise.allSettled(writing);
});

Deno.test("dial() that is aborted closes the channel when it opens after all", async () => {
  let open: (() => ServerChannel) | undefined;
  await using it = await connected({ onDial: (_request, accept) => open = accept });
  const controller = new AbortController();
  const dialing = it.ssh.dial(target, { signal: controller.signal });
  await until(() => open !== undefined);
  assert.equal(it.ssh.channels, 1);
  controller.abort(new Error("client has gone"));
  await assert.rejects(dialing, /client has gone/);
  assert.equal(it.ssh.channels, 0);
  const closed = Promise.withResolvers<void>();
  const channel = open!();
  channel.on("close", closed.resolve);
  channel.resume();
  await closed.promise;
});

Deno.test("dial() with a signal that is aborted already asks the server for nothing", async () => {
  let asked = 0;
  await using it = await connected({ onDial: () => asked++ });
  await assert.rejects(it.ssh.dial(target, { signal: AbortSignal.abort(new Error("no")) }), /no/);
  await settle(50);
  assert.equal(asked, 0);
});

Deno.test("dial() gives the server a limited time", async () => {
  const clock = new FakeClock();
  await using it = await connected({ onDial: () => {} }, { clock, dialTimeout: 5_000 });
  const dialing = assert.rejects(
    it.ssh.dial(target),
    (error) =>
      isAwsocksError(error, "destination-timeout") &&
      error.message === "Cannot connect to db.internal:5432: no answer within 5 s",
  );
  await clock.advance(5_000);
  await dialing;
  assert.equal(it.ssh.channels, 0);
});

Deno.test("thousands of channels one after the other leave nothing behind", async () => {
  await using it = await connected(echo);
  for (let i = 0; i < 2000; i++) {
    const conn = await it.ssh.dial(target);
    if (i % 3 === 0) {
      conn.close();
      continue;
    }
    await writeAll(conn, new Uint8Array(100));
    await conn.closeWrite();
    assert.equal((await readAll(conn)).byteLength, 100);
  }
  assert.equal(it.ssh.channels, 0);
  const server = await it.server.ready;
  const managed = () => (server as unknown as { _chanMgr: { _count: number } })._chanMgr._count;
  await until(() => managed() === 0);
});

Deno.test("a lost transport fails channels after what they had received", async () => {
  const channels: ServerChannel[] = [];
  let asked = 0;
  await using it = await connected({
    onDial(_request, accept) {
      if (++asked === 1) channels.push(accept());
    },
  });
  const conn = await it.ssh.dial(target);
  channels[0]!.write("half of an answer");
  await settle(50);
  const dialing = assert.rejects(it.ssh.dial(target), (e) => isAwsocksError(e, "ssh-closed"));
  await until(() => asked === 2);
  it.server.close();
  await dialing;
  const buffer = new Uint8Array(100);
  assert.equal(await conn.read(buffer), 17);
  await assert.rejects(conn.read(buffer), (error) => isAwsocksError(error, "ssh-closed"));
  await assert.rejects(conn.write(buffer), (error) => isAwsocksError(error, "ssh-closed"));
  const end = await it.ssh.closed;
  assert.ok(isAwsocksError(end, "ssh-closed"));
  assert.equal(end.message, "The SSH server ended the connection");
  await assert.rejects(it.ssh.dial(target), (error) => error === end);
});

Deno.test("close() ends the connection and what is on it", async () => {
  await using it = await connected(echo);
  const conn = await it.ssh.dial(target);
  const reading = assert.rejects(
    conn.read(new Uint8Array(1)),
    (error) => isAwsocksError(error, "ssh-closed"),
  );
  it.ssh.close();
  it.ssh.close();
  await reading;
  assert.equal(await it.ssh.closed, undefined);
  await assert.rejects(it.ssh.dial(target), (error) => isAwsocksError(error, "ssh-closed"));
});

Deno.test("close() does not wait for a transport that is stuck", async () => {
  const clock = new FakeClock();
  await using it = await connected({ ...echo, highWater: 1 }, { clock });
  const server = await it.server.ready;
  (server as unknown as { _sock: { pause(): void } })._sock.pause();
  await settle(20);
  it.ssh.close();
  await clock.advance(1_000);
  assert.equal(await it.ssh.closed, undefined);
  assert.equal(clock.pending, 0);
});

Deno.test("keep-alives give up a server that is silent for too long", async () => {
  const clock = new FakeClock();
  await using it = await connected(echo, { clock, keepAliveInterval: 10_000 });
  await settle(20);
  // As long as it answers, nothing happens.
  for (let i = 0; i < 20; i++) await clock.advance(10_000);
  const server = await it.server.ready;
  (server as unknown as { _sock: { pause(): void } })._sock.pause();
  for (let i = 0; i < 3; i++) await clock.advance(10_000);
  let ended = false;
  void it.ssh.closed.then(() => ended = true);
  await settle();
  assert.equal(ended, false);
  await clock.advance(10_000);
  const end = await it.ssh.closed;
  assert.ok(isAwsocksError(end, "ssh-closed"));
  assert.equal(end.message, "The SSH server has not answered for 40 s");
});

Deno.test("a machine that slept does not hold its own silence against the server", async () => {
  const time = new FakeClock();
  let asleep = 0;
  // As on Windows, where the monotonic clock counts sleep.
  const clock: Clock = {
    now: () => time.now() + asleep,
    monotonic: () => time.monotonic() + asleep,
    after: (ms, callback) => time.after(ms, callback),
    every: (ms, callback) => time.every(ms, callback),
    sleep: (ms, options) => time.sleep(ms, options),
  };
  await using it = await connected(echo, { clock, keepAliveInterval: 10_000 });
  await settle(20);
  for (let i = 0; i < 3; i++) await time.advance(10_000);
  asleep = 3_600_000;
  let ended = false;
  void it.ssh.closed.then(() => ended = true);
  for (let i = 0; i < 20; i++) await time.advance(10_000);
  assert.equal(ended, false);
  const server = await it.server.ready;
  (server as unknown as { _sock: { pause(): void } })._sock.pause();
  for (let i = 0; i < 5; i++) await time.advance(10_000);
  assert.equal(ended, true, "and notices one that is gone");
});

Deno.test("compression shrinks what goes over the wire, both ways, when the server can", async () => {
  const text = new TextEncoder().encode("GET /index.html HTTP/1.1 200 OK\n".repeat(20_000));
  const measure = async (compression: boolean, compress: ServeOptions["compress"]) => {
    await using it = await connected({ ...echo, ...(compress ? { compress } : {}) }, {
      compression,
    });
    const conn = await it.ssh.dial(target);
    const received = readAll(conn);
    await writeAll(conn, text);
    await conn.closeWrite();
    assert.deepEqual(await received, text);
    return it.server.wire;
  };
  const packed = await measure(true, ["zlib@openssh.com", "none"]);
  assert.ok(packed.toServer < text.byteLength / 20, `${packed.toServer} bytes to the server`);
  assert.ok(packed.toClient < text.byteLength / 20, `${packed.toClient} bytes to the client`);
  // ssh2's server prefers none: only a client that offers zlib first gets it.
  for (const [compression, compress] of [[true, ["none"]], [false, undefined]] as const) {
    const plain = await measure(compression, compress && [...compress]);
    assert.ok(plain.toServer > text.byteLength);
    assert.ok(plain.toClient > text.byteLength);
  }
});
