import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { Client } from "ssh2";
import type { Conn } from "../../lib/core/mod.ts";
import { connectSsh } from "../../lib/ssh/mod.ts";
import { releaseCiphers } from "../../lib/ssh/ssh2_internals.ts";
import { anyIdentity, serveSsh, trustAll } from "./server.ts";

// The leak sanitizer is what fails these tests.

Deno.test("a connection that ends within a packet frees its ciphers", async () => {
  const server = await serveSsh({});
  let cut = false;
  // After the cut only the first bytes of an answer get through: its length and a part of a block.
  const conn: Conn = {
    ...server.conn,
    async read(into) {
      const n = await server.conn.read(into);
      if (!cut || n === null) return n;
      server.close();
      return Math.min(n, 9);
    },
  };
  const ssh = await connectSsh(conn, {
    user: "tester",
    identities: [await anyIdentity()],
    hostKeys: trustAll,
    compression: false,
  });
  await server.ready;
  cut = true;
  await assert.rejects(ssh.dial({ host: "db.internal", port: 5432 }));
  await ssh.closed;
  server.close();
});

Deno.test("ciphers in every state are freed, and freeing twice does no harm", () => {
  const fresh = createCipheriv("aes-128-ctr", randomBytes(16), randomBytes(16));
  const half = createDecipheriv("aes-128-gcm", randomBytes(16), randomBytes(12));
  half.update(randomBytes(16));
  const connection = {
    _protocol: { _cipher: { _cipherInstance: fresh }, _decipher: { _decipherInstance: half } },
  };
  // Safe: the function looks at nothing else.
  const client = connection as unknown as Client;
  releaseCiphers(client);
  releaseCiphers(client);
  releaseCiphers({ _protocol: undefined } as unknown as Client);
});
