/**
 * A process of its own that opens and loses sockets in every way there is, and prints the descriptors
 * that are left.
 *
 * @module
 */

import assert from "node:assert/strict";
import { adoptFd } from "../../ffi/fd_conn.ts";
import { pipesWork } from "../../ffi/pipe_conn.ts";
import { closeSocket, reactor } from "../../ffi/reactor.ts";
import { connectSocket, ListeningSocket } from "../../ffi/sockets.ts";
import { openFds, socketPair } from "../support/descriptors.ts";
import { settle } from "../support/fake_clock.ts";
import { listenOnLoopback } from "../support/loopback.ts";

async function connections(via: "pipe" | "socket", rounds: number): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    const [a, b] = socketPair().map((fd) => adoptFd(fd, { via }));
    const reading = b!.read(new Uint8Array(8));
    if (i % 2 === 0) await a!.write(Uint8Array.of(1));
    if (i % 3 === 0) await a!.closeWrite();
    a!.close();
    await reading.catch(() => {});
    b!.close();
  }
}

/** Closes what a call gave, and lets it fail. */
async function lose(opening: Promise<number>): Promise<void> {
  await opening.then(closeSocket, () => {});
}

async function sockets(rounds: number): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    const socket = listenOnLoopback(0);
    const { address } = socket;
    const accepts = Array.from({ length: 3 }, () => socket.accept({ timeout: 60_000 }));
    const accepted = accepts.map((each) => lose(each.then(({ fd }) => fd)));
    await lose(connectSocket(address));
    await Promise.race(accepted);
    // More than the backlog has room for: some end at their limit.
    const limits = [{ timeout: 5 }, { signal: AbortSignal.timeout(5) }];
    await Promise.all(
      [0, 1, 2, 3].map((n) => lose(connectSocket(address, limits[n % 2]))),
    );
    assert.throws(() => new ListeningSocket(address, 1));
    socket.close();
    await Promise.all(accepted);
    await assert.rejects(connectSocket(address));
    await assert.rejects(connectSocket({ bytes: Uint8Array.of(255, 0), text: "nowhere" }));
    await assert.rejects(connectSocket(address, { prepare: () => assert.fail("unprepared") }));
  }
}

async function everything(rounds: number): Promise<void> {
  if (pipesWork()) await connections("pipe", rounds);
  await connections("socket", rounds);
  await sockets(rounds);
  await settle();
  await reactor().idle();
}

await everything(2);
const before = openFds();
await everything(20);
const left = openFds().filter((each) => !before.includes(each));
await Deno.stdout.write(new TextEncoder().encode(left.join("\n")));
