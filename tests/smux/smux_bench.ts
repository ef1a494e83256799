/**
 * Throughput of a session over a Unix socket, beside the same bytes over the bare socket. Both ends
 * share this process and its one thread, so that the ratio is that of the work done.
 *
 * Run with `deno bench -A tests/smux/`.
 *
 * @module
 */

import { type Conn, COPY_BUFFER_BYTES, DenoConn, writeAll } from "../../lib/core/mod.ts";
import { createSmuxSession, type SmuxVersion } from "../../lib/smux/mod.ts";
import { acceptOne } from "./pair.ts";

const BYTES = 64 * 1024 * 1024;

async function socketPair(): Promise<[Conn, Conn]> {
  const dir = await Deno.makeTempDir();
  const listener = Deno.listen({ transport: "unix", path: `${dir}/s` });
  const [a, b] = await Promise.all([
    listener.accept(),
    Deno.connect({ transport: "unix", path: `${dir}/s` }),
  ]);
  listener.close();
  await Deno.remove(dir, { recursive: true });
  return [new DenoConn(a), new DenoConn(b)];
}

/** Moves bytes as a relay does: reads and writes with a buffer of its size. */
async function move(from: Conn, to: Conn, bytes: number): Promise<void> {
  const send = async () => {
    const buffer = new Uint8Array(COPY_BUFFER_BYTES);
    for (let left = bytes; left > 0; left -= buffer.byteLength) await writeAll(from, buffer);
  };
  const receive = async () => {
    const buffer = new Uint8Array(COPY_BUFFER_BYTES);
    for (let left = bytes; left > 0;) left -= (await to.read(buffer))!;
  };
  await Promise.all([send(), receive()]);
}

async function overSession(
  b: Deno.BenchContext,
  version: SmuxVersion,
  streams: number,
): Promise<void> {
  const [near, far] = await socketPair();
  using client = createSmuxSession(near, { role: "client", version, keepAlive: false });
  using server = createSmuxSession(far, { role: "server", version, keepAlive: false });
  const pairs: [Conn, Conn][] = [];
  for (let i = 0; i < streams; i++) pairs.push([await client.open(), await acceptOne(server)]);
  b.start();
  await Promise.all(pairs.map(([from, to]) => move(from, to, BYTES / streams)));
  b.end();
}

Deno.bench("bare socket, 64 MiB", { group: "64 MiB", baseline: true, n: 10 }, async (b) => {
  const [from, to] = await socketPair();
  b.start();
  await move(from, to, BYTES);
  b.end();
  from.close();
  to.close();
});

for (const [version, streams] of [[2, 1], [2, 16], [1, 1], [1, 16]] as const) {
  const name = `version ${version}, ${streams} stream${streams > 1 ? "s" : ""}, 64 MiB`;
  // Deno awaits only what is declared async.
  Deno.bench(name, { group: "64 MiB", n: 10 }, async (b) => {
    await overSession(b, version, streams);
  });
}
