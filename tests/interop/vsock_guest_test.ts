/**
 * AF_VSOCK through `ffi/vsock.ts`, in a QEMU guest: loopback, guest to host, host to guest.
 *
 * AWSOCKS_VSOCK_MEGABYTES is how much goes each way; default 64 on x86-64, which is a
 * minute, and 32 on arm64. Most of the time the emulated processor is hashing.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connectVsock, listenVsock } from "../../lib/vsock/mod.ts";
import { interopTest, note } from "../support/external.ts";
import { GUEST_CID, type GuestArch, guestNeed, startGuest } from "../support/qemu_guest.ts";
import { exchange, expectedStream } from "../support/streams.ts";

/** Checks of the program. */
const CHECKS = 15;

/** Ports that the program knows too. */
const [TO_HOST, FROM_HOST] = [7000, 7001];

const MEGABYTES: Readonly<Record<GuestArch, number>> = { x86_64: 64, aarch64: 32 };

/** Left to the program, which loads them through `ffi/linux.ts`. */
const VSOCK_MODULES = [
  "vsock",
  "vmw_vsock_virtio_transport_common",
  "vmw_vsock_virtio_transport",
  "vsock_loopback",
];

const program = new URL("./vsock_guest_program.ts", import.meta.url);

/** Seeds of the streams that the guest receives, and whether they are long. */
const STREAMS: readonly (readonly [seed: number, long: boolean])[] = [
  ...([[1, true], [2, true]] as const), // loopback
  ...([[3, false], [4, false], [5, false], [6, false]] as const), // loopback, by each way
  ...([[8, true], [10, true]] as const), // from the host
];

async function tryGuest(arch: GuestArch): Promise<void> {
  const megabytes = Number(Deno.env.get("AWSOCKS_VSOCK_MEGABYTES") ?? MEGABYTES[arch]);
  const start = performance.now();
  await using guest = await startGuest({
    arch,
    program,
    args: [`${megabytes}`, `${GUEST_CID}`],
    leaveOut: VSOCK_MODULES,
    limit: 600_000,
  });
  using listener = await listenVsock(guest.port(TO_HOST));
  const fromGuest = listener.accept().then((conn) => exchange(conn, megabytes, 8));
  assert.deepEqual(await guest.orEnd(fromGuest), expectedStream(megabytes, 7));
  await guest.seen(/^listening/m);
  const toGuest = exchange(await connectVsock(guest.port(FROM_HOST)), megabytes, 10);
  assert.deepEqual(await guest.orEnd(toGuest), expectedStream(megabytes, 9));
  await guest.seen(/^done/m);
  const { success } = await guest.ended;
  assert.ok(success, guest.tail());

  assert.deepEqual(guest.console.match(/^failed .*$/gm) ?? [], [], guest.tail(60));
  assert.equal(guest.console.match(/^ok /gm)?.length, CHECKS, guest.tail(60));
  for (const [seed, long] of STREAMS) {
    const count = long ? megabytes : Math.ceil(megabytes / 16);
    const { bytes, hash } = expectedStream(count, seed);
    const line = new RegExp(`^received ${seed} ${bytes} ${hash} (\\S+) (.*?)\\r?$`, "m");
    const [, seconds, name] = await guest.seen(line);
    await note(`${arch}: ${count} MB each way ${name} in ${seconds} s`);
  }
  await note(`${arch}: ${((performance.now() - start) / 1000).toFixed(0)} s in all`);
}

for (const arch of ["x86_64", "aarch64"] as const) {
  interopTest(
    `AF_VSOCK in a guest (${arch}) carries every byte, refuses and keeps its deadlines`,
    [guestNeed(arch)],
    () => tryGuest(arch),
  );
}
