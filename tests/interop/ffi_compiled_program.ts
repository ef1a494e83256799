/**
 * What `ffi_compiled_test.ts` compiles: descriptors as connections in whatever runtime it has got, by
 * the way that this runtime can do.
 *
 * @module
 */

import assert from "node:assert/strict";
import { adoptFd } from "../../ffi/fd_conn.ts";
import { pipesWork } from "../../ffi/pipe_conn.ts";
import { SystemError } from "../../ffi/errors.ts";
import { connectSocket } from "../../ffi/sockets.ts";
import { socketPair } from "../support/descriptors.ts";
import { listenOnLoopback } from "../support/loopback.ts";
import { exchange, expectedStream, receiveStream, sendStream } from "../support/streams.ts";

const MEGABYTES = 8;

// Both ways at once, over a pair.
const [a, b] = socketPair().map((fd) => adoptFd(fd));
const received = await Promise.all([exchange(a!, MEGABYTES, 1), exchange(b!, MEGABYTES, 2)]);
assert.deepEqual(received, [expectedStream(MEGABYTES, 2), expectedStream(MEGABYTES, 1)]);

// One after the other, over a socket: the second begins when the first has ended its half.
const listener = listenOnLoopback();
const [near, far] = await Promise.all([
  connectSocket(listener.address, { timeout: 5000 }).then((fd) => adoptFd(fd)),
  listener.accept({ timeout: 5000 }).then(({ fd }) => adoptFd(fd)),
]);
await Promise.all([sendStream(near, 1, 3), receiveStream(far).then(assertStream(3))]);
await Promise.all([sendStream(far, 1, 4), receiveStream(near).then(assertStream(4))]);
near.close();
far.close();
listener.close();
await assert.rejects(connectSocket(listener.address), (error) => {
  assert.ok(error instanceof SystemError);
  assert.equal(error.code, "ECONNREFUSED");
  return true;
});

function assertStream(seed: number) {
  return (stream: unknown) => assert.deepEqual(stream, expectedStream(1, seed));
}

const said = `Deno ${Deno.version.deno} by ${pipesWork() ? "pipe" : "socket"}`;
await Deno.stdout.write(new TextEncoder().encode(said));
