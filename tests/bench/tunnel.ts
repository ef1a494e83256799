/**
 * Throughput of a connection through the tunnel between host and guest, beside the same bytes over a
 * plain relay. Both ends share this process and its one thread, so that the ratio is that of the work.
 *
 * @module
 */

import {
  type Conn,
  COPY_BUFFER_BYTES,
  DenoConn,
  relay,
  systemClock,
  writeAll,
} from "../../lib/core/mod.ts";
import { tunnelPair } from "../protocol/pair.ts";
import type { Bench } from "./harness.ts";

const BYTES = 64 * 1024 * 1024;

async function socketPair(): Promise<[Conn, Conn]> {
  const path = `${await Deno.makeTempDir()}/s`;
  const listener = Deno.listen({ transport: "unix", path });
  const [a, b] = await Promise.all([listener.accept(), Deno.connect({ transport: "unix", path })]);
  listener.close();
  await Deno.remove(path.slice(0, -2), { recursive: true });
  return [new DenoConn(a), new DenoConn(b)];
}

/** Moves bytes from one conn to another. */
async function move(from: Conn, to: Conn, bytes: number): Promise<void> {
  const sending = (async () => {
    const buffer = new Uint8Array(COPY_BUFFER_BYTES);
    for (let left = bytes; left > 0; left -= buffer.byteLength) await writeAll(from, buffer);
    await from.closeWrite();
  })();
  const buffer = new Uint8Array(COPY_BUFFER_BYTES);
  let received = 0;
  for (let n; (n = await to.read(buffer)) !== null;) received += n;
  await sending;
  if (received !== bytes) throw new Error(`${received} of ${bytes} bytes arrived`);
}

/** A sender, a relay and a receiver, with a socket on either side of the relay. */
async function overRelay(bytes: number): Promise<void> {
  const [from, left] = await socketPair();
  const [right, to] = await socketPair();
  const relaying = relay(left, right);
  await move(from, to, bytes);
  to.close();
  from.close();
  await relaying;
}

/** The same, but what is on the first socket is the tunnel, and the relay is the guest's. */
async function overTunnel(bytes: number): Promise<void> {
  const [right, to] = await socketPair();
  using pair = await tunnelPair({
    clock: systemClock,
    conns: await socketPair(),
    guest: { dial: () => Promise.resolve(right) },
  });
  const conn = await pair.host.dial({ route: "proxy", host: "peer", port: 1 });
  await move(conn, to, bytes);
  to.close();
  conn.close();
}

/** Megabytes per second of one way of moving 64 MiB. */
async function rateOf(move: (bytes: number) => Promise<void>): Promise<number> {
  const start = performance.now();
  await move(BYTES);
  return BYTES / 1000 / (performance.now() - start);
}

/** The tunnel between host and guest. */
export const TUNNEL: Bench = {
  name: "tunnel to the guest",
  unit: "MB/s",
  baseline: "a plain relay",
  goal: { atLeast: 0.5 },
  rounds: 7,
  open: () =>
    Promise.resolve({
      figure: () => rateOf(overTunnel),
      baseline: () => rateOf(overRelay),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
};
