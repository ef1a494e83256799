/**
 * The sockets under vsock, on loopback TCP: the same code with another `sockaddr`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readFull, writeAll } from "../../lib/core/conn.ts";
import { adoptFd } from "../../ffi/fd_conn.ts";
import { closeSocket, forget, reactor } from "../../ffi/reactor.ts";
import { connectSocket, ListeningSocket } from "../../ffi/sockets.ts";
import { LINUX_REMEDY, NO_DESCRIPTOR, replaceFd, socketPair } from "../support/descriptors.ts";
import { settle } from "../support/fake_clock.ts";
import { listenOnLoopback } from "../support/loopback.ts";

async function quiet(): Promise<void> {
  await settle();
  await reactor().idle();
}

function test(name: string, work: () => Promise<void> | void): void {
  Deno.test({
    name: LINUX_REMEDY === "" ? name : `${name} (skipped: ${LINUX_REMEDY})`,
    ignore: LINUX_REMEDY !== "",
    fn: async () => {
      await work();
      await quiet();
    },
  });
}

// Libraries stay open, so they are opened before the checks for leaks begin.
if (LINUX_REMEDY === "") {
  using socket = listenOnLoopback();
  const [fd, accepted] = await Promise.all([connectSocket(socket.address), socket.accept()]);
  await reactor().ready(fd, "write");
  using near = adoptFd(fd, { via: "socket" });
  using far = adoptFd(accepted.fd, { via: "socket" });
  await near.write(Uint8Array.of(1));
  await far.read(new Uint8Array(1));
  for (const each of socketPair()) closeSocket(each);
  await quiet();
}

test("connections come with the address of the peer", async () => {
  using socket = listenOnLoopback();
  for (let i = 0; i < 3; i++) {
    const [fd, accepted] = await Promise.all([connectSocket(socket.address), socket.accept()]);
    assert.deepEqual([...accepted.peer.subarray(4, 8)], [127, 0, 0, 1]);
    using near = adoptFd(fd);
    using far = adoptFd(accepted.fd);
    await near.write(Uint8Array.of(i));
    const into = new Uint8Array(2);
    assert.equal(await far.read(into), 1);
    assert.equal(into[0], i);
  }
});

test("a dead port refuses", async () => {
  const socket = listenOnLoopback();
  socket.close();
  await assert.rejects(connectSocket(socket.address, { timeout: 5000 }), {
    name: "SystemError",
    code: "ECONNREFUSED",
    errno: 111,
    syscall: "connect",
    address: socket.address.text,
    message: `connect ${socket.address.text}: connection refused (ECONNREFUSED)`,
  });
});

test("a taken address is an error of bind", () => {
  using socket = listenOnLoopback();
  assert.throws(() => new ListeningSocket(socket.address, 1), {
    code: "EADDRINUSE",
    syscall: "bind",
  });
});

test("an unknown family is an error of socket", async () => {
  const bytes = Uint8Array.of(255, 0, 0, 0);
  await assert.rejects(connectSocket({ bytes, text: "nowhere" }), {
    code: "EAFNOSUPPORT",
    syscall: "socket",
    address: "nowhere",
  });
});

test("connecting ends at the deadline, and at the signal", async () => {
  using socket = listenOnLoopback(0);
  // Loopback drops what the backlog has no room for; fill it until an attempt gets no answer.
  const fds: number[] = [];
  await assert.rejects(
    async () => {
      for (let i = 0; i < 8; i++) fds.push(await connectSocket(socket.address, { timeout: 100 }));
    },
    { code: "ETIMEDOUT", syscall: "connect" },
  );
  const reason = new Error("enough");
  const controller = new AbortController();
  const hanging = connectSocket(socket.address, { signal: controller.signal });
  await settle();
  controller.abort(reason);
  await assert.rejects(hanging, reason);
  await assert.rejects(connectSocket(socket.address, { signal: controller.signal }), reason);
  for (const fd of fds) closeSocket(fd);
});

test("accept() ends at the deadline, and at the signal, and goes on", async () => {
  using socket = listenOnLoopback();
  await assert.rejects(socket.accept({ timeout: 20 }), { code: "ETIMEDOUT", syscall: "accept" });
  await assert.rejects(socket.accept({ timeout: 0 }), { code: "ETIMEDOUT" });
  const reason = new Error("enough");
  const controller = new AbortController();
  const waiting = socket.accept({ signal: controller.signal, timeout: 60_000 });
  await settle();
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  const [fd, accepted] = await Promise.all([connectSocket(socket.address), socket.accept()]);
  closeSocket(fd);
  closeSocket(accepted.fd);
});

test("close() ends the accepts that wait, and is idempotent", async () => {
  const socket = listenOnLoopback();
  const waiting = [socket.accept(), socket.accept({ timeout: 60_000 })];
  await settle();
  socket.close();
  socket.close();
  for (const each of waiting) {
    await assert.rejects(each, { code: "ECANCELED", syscall: "accept" });
  }
  await assert.rejects(socket.accept(), { code: "ECANCELED" });
});

test("100 connections at once all arrive", async () => {
  using socket = listenOnLoopback();
  const accepting = Array.from({ length: 100 }, () => socket.accept({ timeout: 10_000 }));
  const connecting = Array.from(
    { length: 100 },
    () => connectSocket(socket.address, { timeout: 10_000 }),
  );
  for (const fd of await Promise.all(connecting)) closeSocket(fd);
  for (const { fd } of await Promise.all(accepting)) closeSocket(fd);
});

test("a descriptor number that is used again gets no event of its predecessor", async () => {
  const [first, peer] = socketPair();
  const ended = assert.rejects(reactor().ready(first, "read"), { code: "ECANCELED" });
  closeSocket(peer); // makes `first` readable, and the call on the other thread return
  const pause = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(pause, 0, 0, 20); // while this one has not seen it yet
  const others = socketPair();
  forget(first);
  replaceFd(first, others[0]);
  assert.equal(await reactor().ready(first, "read", { timeout: 20 }), false);
  for (const fd of [first, ...others]) closeSocket(fd);
  await ended;
});

test("of two who wait for one descriptor, each is told of its own", async () => {
  const [fd, peer] = socketPair();
  const [near, far] = [adoptFd(fd, { via: "socket" }), adoptFd(peer, { via: "socket" })];
  const full = (async () => {
    for (let i = 0; i < 4; i++) await writeAll(near, new Uint8Array(256 * 1024));
  })();
  const reading = near.read(new Uint8Array(8));
  await settle();
  await far.write(Uint8Array.of(1));
  assert.equal(await reading, 1);
  await settle();
  assert.equal(await readFull(far, new Uint8Array(1024 * 1024)), true);
  await full;
  near.close();
  far.close();
});

test("waiting for a number that is no descriptor is an error, not silence", async () => {
  await assert.rejects(reactor().ready(NO_DESCRIPTOR, "read"), {
    code: "EBADF",
    syscall: "epoll_ctl",
  });
});

test("no way of losing a socket leaves its descriptor", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL("./leaks.ts", import.meta.url).pathname],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.equal(new TextDecoder().decode(stdout), "");
});
