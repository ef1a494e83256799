/**
 * Unix domain sockets, plain and as the host's end of a user-space vsock device.
 *
 * Such a device (Firecracker, Cloud Hypervisor, vhost-device-vsock) listens at one path for
 * connections to the guest, each of which begins with a line `CONNECT port` that the device answers
 * with `OK port`; and it brings the guest's connections to port P of CID 2 to the socket `PATH_P`.
 * See "Firecracker vsock" in the documentation of Firecracker.
 *
 * @module
 */

import { type Conn, DenoConn, writeAll } from "../core/mod.ts";
import type { VsockAddress } from "./address.ts";
import { errnoOf, handshakeError } from "./failures.ts";
import type { ListenerSource } from "./listener.ts";

type UnixAddress = VsockAddress & { kind: "unix" };

/** Longest answer to `CONNECT`; the port is a host's and any number of 32 bits. */
const MAX_ANSWER_BYTES = "OK 4294967295\n".length;

/** Connects, through the handshake of the device if the address has a port. */
export async function connectUnix(address: UnixAddress, signal: AbortSignal): Promise<Conn> {
  const conn = new DenoConn(await Deno.connect({ transport: "unix", path: address.path }));
  const onAbort = () => conn.close();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    if (address.port !== undefined) await askForPort(conn, address, address.port);
    signal.throwIfAborted();
    return conn;
  } catch (error) {
    conn.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function askForPort(conn: Conn, address: UnixAddress, port: number): Promise<void> {
  await writeAll(conn, new TextEncoder().encode(`CONNECT ${port}\n`));
  const answer = await readLine(conn);
  if (answer === undefined) {
    // The device's way to say so; vhost-device-vsock does the same when the guest is not up yet.
    throw handshakeError(address, `nothing in the guest listens on port ${port}`);
  }
  if (!/^OK \d{1,10}$/.test(answer)) {
    throw handshakeError(address, `${JSON.stringify(answer)} is no answer of a vsock device`);
  }
}

/**
 * Reads a line byte by byte, since what follows it is not ours to take.
 * @returns undefined at end of input
 */
async function readLine(conn: Conn): Promise<string | undefined> {
  const byte = new Uint8Array(1);
  let line = "";
  while (line.length < MAX_ANSWER_BYTES) {
    if (await conn.read(byte) === null) return undefined;
    if (byte[0] === 0x0a) return line;
    line += String.fromCharCode(byte[0]!);
  }
  return line;
}

/** Listens, in place of a dead program's socket if there is one; only this user may connect. */
export async function listenUnix(address: UnixAddress): Promise<ListenerSource> {
  const path = address.port === undefined ? address.path : `${address.path}_${address.port}`;
  const socket = await listenAt(path);
  // Nobody else's business, whatever the umask says. A folder that is private closes the gap before.
  await Deno.chmod(path, 0o600);
  return {
    address,
    next: async () => new DenoConn(await socket.accept()),
    stop: () => socket.close(), // removes the file too
  };
}

async function listenAt(path: string): Promise<Deno.UnixListener> {
  try {
    return Deno.listen({ transport: "unix", path });
  } catch (error) {
    if (errnoOf(error) !== "EADDRINUSE" || !await isDead(path)) throw error;
    await Deno.remove(path);
    return Deno.listen({ transport: "unix", path });
  }
}

/** True for a socket that nothing listens on any more. */
async function isDead(path: string): Promise<boolean> {
  if (!(await Deno.lstat(path)).isSocket) return false;
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return false;
  } catch (error) {
    return errnoOf(error) === "ECONNREFUSED";
  }
}
