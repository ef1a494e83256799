/**
 * Loads ssh2 behind the back of `loadSsh2()` and reports what that makes of it.
 *
 * @module
 */

/// <reference lib="deno.worker" />
import "ssh2";
import { loadSsh2 } from "../../lib/ssh/mod.ts";
import { connectSsh } from "../../lib/ssh/mod.ts";
import { anyIdentity, serveSsh, trustAll } from "./server.ts";

const { compression } = await loadSsh2();
const server = await serveSsh();
const ssh = await connectSsh(server.conn, {
  user: "tester",
  identities: [await anyIdentity()],
  hostKeys: trustAll,
  compression: true,
});
ssh.close();
const end = await ssh.closed;
server.close();
(self as unknown as { postMessage(message: unknown): void }).postMessage({
  compression,
  end: String(end),
});
