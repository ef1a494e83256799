/**
 * Connecting and listening over loopback TCP and Unix sockets.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Conn, isAwsocksError, readAll, writeAll } from "../../lib/core/mod.ts";
import {
  connectVsock,
  formatVsockAddress,
  listenVsock,
  type VsockAddress,
  type VsockListener,
} from "../../lib/vsock/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

/** A directory for sockets, removed at the end. */
async function tempDir() {
  const path = await Deno.makeTempDir({ prefix: "awsocks-vsock-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (text: string) => new TextEncoder().encode(text);

/** Both ends speak, end their output and read the other's to the end. */
async function converse(near: Conn, far: Conn): Promise<void> {
  const say = async (conn: Conn, words: string) => {
    await writeAll(conn, bytes(words));
    await conn.closeWrite();
  };
  await say(near, "question");
  assert.equal(text(await readAll(far)), "question");
  await say(far, "answer");
  assert.equal(text(await readAll(near)), "answer");
  near.close();
  far.close();
  near.close();
}

async function connected(listener: VsockListener, address = listener.address) {
  return await Promise.all([connectVsock(address), listener.accept()]);
}

/** Tests beside this one take the ports of 127.0.0.1. */
const LOOPBACK = Deno.build.os === "linux" ? "127.0.0.2" : "127.0.0.1";

const kinds: readonly [string, (dir: string) => VsockAddress][] = [
  ["tcp", () => ({ kind: "tcp", host: LOOPBACK, port: 0 })],
  ["unix", (dir) => ({ kind: "unix", path: `${dir}/s` })],
];

for (const [kind, make] of kinds) {
  Deno.test(`${kind}: connections carry bytes both ways and half-closes`, async () => {
    await using dir = await tempDir();
    using listener = await listenVsock(make(dir.path));
    for (let i = 0; i < 3; i++) {
      const [near, far] = await connected(listener);
      await converse(near, far);
    }
  });

  Deno.test(`${kind}: accept() gives up at its signal and loses no connection by it`, async () => {
    await using dir = await tempDir();
    using listener = await listenVsock(make(dir.path));
    const reason = new Error("enough");
    const controller = new AbortController();
    const waiting = listener.accept({ signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(waiting, reason);
    await assert.rejects(listener.accept({ signal: AbortSignal.abort(reason) }), reason);
    const near = await connectVsock(listener.address);
    await converse(near, await listener.accept());
  });

  Deno.test(`${kind}: accepts are served in the order in which they were called`, async () => {
    await using dir = await tempDir();
    using listener = await listenVsock(make(dir.path));
    const order: number[] = [];
    const accepts = [1, 2, 3].map(async (n) => {
      const conn = await listener.accept();
      order.push(n);
      return conn;
    });
    for (let i = 0; i < 3; i++) (await connectVsock(listener.address)).close();
    for (const conn of await Promise.all(accepts)) conn.close();
    assert.deepEqual(order, [1, 2, 3]);
  });

  Deno.test(`${kind}: close() ends the accepts that wait and is idempotent`, async () => {
    await using dir = await tempDir();
    const listener = await listenVsock(make(dir.path));
    const waiting = [listener.accept(), listener.accept()];
    listener.close();
    listener.close();
    for (const each of waiting) await assert.rejects(each, { code: "aborted" });
    await assert.rejects(listener.accept(), { code: "aborted" });
    await assert.rejects(connectVsock(listener.address), { code: "vsock-connect-failed" });
  });

  Deno.test(`${kind}: the signal of listenVsock() closes the listener`, async () => {
    await using dir = await tempDir();
    const controller = new AbortController();
    const { signal } = controller;
    const listener = await listenVsock(make(dir.path), { signal });
    const waiting = listener.accept();
    controller.abort();
    await assert.rejects(waiting, { code: "aborted" });
    await assert.rejects(listenVsock(make(dir.path), { signal }), { name: "AbortError" });
  });

  Deno.test(`${kind}: a taken address is listen-failed with the errno`, async () => {
    await using dir = await tempDir();
    using listener = await listenVsock(make(dir.path));
    await assert.rejects(listenVsock(listener.address), (error) => {
      assert.ok(isAwsocksError(error, "listen-failed"));
      assert.equal(error.facts.errno, "EADDRINUSE");
      assert.equal(error.facts.address, formatVsockAddress(listener.address));
      return true;
    });
  });
}

Deno.test("a port with nobody behind it refuses, with the errno among the facts", async () => {
  const listener = await listenVsock({ kind: "tcp", host: "127.0.0.1", port: 0 });
  listener.close();
  const where = formatVsockAddress(listener.address);
  await assert.rejects(connectVsock(listener.address), (error) => {
    assert.ok(isAwsocksError(error, "vsock-connect-failed"));
    assert.equal(error.message, `Could not connect to ${where}: nothing listens there`);
    assert.deepEqual(error.facts, { address: where, errno: "ECONNREFUSED" });
    return true;
  });
});

Deno.test("a Unix socket that does not exist, or is a file, is no address to connect to", async () => {
  await using dir = await tempDir();
  const missing: VsockAddress = { kind: "unix", path: `${dir.path}/no` };
  await assert.rejects(connectVsock(missing), {
    code: "vsock-connect-failed",
    message: `Could not connect to unix:${dir.path}/no: there is no such socket`,
  });
  const file: VsockAddress = { kind: "unix", path: `${dir.path}/file` };
  await Deno.writeTextFile(file.path, "kept");
  await assert.rejects(connectVsock(file), { code: "vsock-connect-failed" });
  await assert.rejects(listenVsock(file), { code: "listen-failed" });
  assert.equal(await Deno.readTextFile(file.path), "kept");
});

Deno.test("a Unix socket is this user's alone, and goes with the listener", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/s`;
  const listener = await listenVsock({ kind: "unix", path });
  assert.equal((await Deno.lstat(path)).mode! & 0o777, 0o600);
  listener.close();
  await assert.rejects(Deno.lstat(path), Deno.errors.NotFound);
});

Deno.test("listenVsock() takes the place of a dead program's Unix socket", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/s`;
  const dead = Deno.listen({ transport: "unix", path: `${path}.old` });
  await Deno.rename(`${path}.old`, path); // so that closing does not remove it
  dead.close();
  assert.ok((await Deno.lstat(path)).isSocket);
  using listener = await listenVsock({ kind: "unix", path });
  const [near, far] = await connected(listener);
  await converse(near, far);
});

Deno.test("connecting stops at once when the signal has aborted", async () => {
  const reason = new Error("no");
  for (
    const address of [{ kind: "tcp", host: "127.0.0.1", port: 1 }, { kind: "unix", path: "/x" }]
  ) {
    const signal = AbortSignal.abort(reason);
    await assert.rejects(connectVsock(address as VsockAddress, { signal }), reason);
  }
});

/** A vsock device: answers each connection's first line with what `answer` makes of it. */
async function device(dir: string, answer: (line: string, conn: Conn) => Promise<void>) {
  const path = `${dir}/vm.vsock`;
  const listener = await listenVsock({ kind: "unix", path });
  const served = (async () => {
    for (;;) {
      const conn = await listener.accept();
      const line = new Uint8Array(64);
      const n = await conn.read(line);
      await answer(text(line.subarray(0, n ?? 0)), conn);
    }
  })().catch((error) => assert.ok(isAwsocksError(error, "aborted"), error));
  return {
    address: { kind: "unix", path, port: 52 } as const,
    async [Symbol.asyncDispose]() {
      listener.close();
      await served;
    },
  };
}

Deno.test("unix:PATH:PORT asks the device for the port and takes none of the bytes behind its answer", async () => {
  await using dir = await tempDir();
  const asked: string[] = [];
  await using vm = await device(dir.path, async (line, conn) => {
    asked.push(line);
    await writeAll(conn, bytes("OK 1073741824\nhello\n"));
    conn.close();
  });
  const conn = await connectVsock(vm.address);
  assert.equal(text(await readAll(conn)), "hello\n");
  conn.close();
  assert.deepEqual(asked, ["CONNECT 52\n"]);
});

Deno.test("unix:PATH:PORT fails when the device hangs up, says something else or babbles", async () => {
  const answers: readonly [string, RegExp][] = [
    ["", /nothing in the guest listens on port 52$/],
    ["OK 5", /nothing in the guest listens on port 52$/],
    ["HTTP/1.1 400 Bad Request\r\n\r\n", /is no answer of a vsock device$/],
    ["OK \n", /is no answer of a vsock device$/],
    ["x".repeat(5000), /is no answer of a vsock device$/],
  ];
  for (const [answer, message] of answers) {
    await using dir = await tempDir();
    await using vm = await device(dir.path, async (_, conn) => {
      await writeAll(conn, bytes(answer));
      conn.close();
    });
    await assert.rejects(connectVsock(vm.address), { code: "vsock-connect-failed", message });
  }
});

Deno.test("a device that never answers runs into the time-out, and into the signal", async () => {
  await using dir = await tempDir();
  const held: Conn[] = [];
  await using vm = await device(dir.path, (_, conn) => {
    held.push(conn);
    return Promise.resolve();
  });
  const clock = new FakeClock();
  const late = connectVsock(vm.address, { clock, timeout: 3000 });
  const failed = assert.rejects(late, {
    code: "timeout",
    message: `Could not connect to ${formatVsockAddress(vm.address)}: no answer within 3 s`,
  });
  while (held.length < 1) await settle();
  await clock.advance(3000);
  await failed;

  const reason = new Error("enough");
  const controller = new AbortController();
  const stopped = connectVsock(vm.address, { clock, signal: controller.signal });
  const ended = assert.rejects(stopped, reason);
  while (held.length < 2) await settle();
  controller.abort(reason);
  await ended;
  // Both attempts have hung up.
  for (const conn of held) {
    assert.equal(await conn.read(new Uint8Array(1)), null);
    conn.close();
  }
  assert.equal(clock.pending, 0);
});

Deno.test("listening on unix:PATH:PORT opens the socket to which a device brings the guest", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/vm.vsock`;
  using listener = await listenVsock({ kind: "unix", path, port: 1024 });
  assert.deepEqual(listener.address, { kind: "unix", path, port: 1024 });
  const [near, far] = await connected(listener, { kind: "unix", path: `${path}_1024` });
  await converse(near, far);
});
