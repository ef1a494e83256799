import assert from "node:assert/strict";
import { connPair } from "../../lib/core/mod.ts";
import { nextAdmitted } from "../../lib/vsock/socket.ts";

Deno.test("only the connections of an admitted context id are handed out; others are closed", async () => {
  const arrivals = [7, 2, 5].map((cid) => {
    const [near, far] = connPair();
    return { conn: Object.assign(near, { peer: { cid, port: 1024 } }), far };
  });
  const queue = [...arrivals];
  const conn = await nextAdmitted(
    () => Promise.resolve(queue.shift()!.conn),
    (cid) => cid === 5,
  );
  assert.equal(conn.peer.cid, 5);
  const byte = new Uint8Array(1);
  for (const { far } of arrivals.slice(0, 2)) assert.equal(await far.read(byte), null);
  await conn.write(byte);
  assert.equal(await arrivals[2]!.far.read(byte), 1);
  await assert.rejects(
    nextAdmitted(() => Promise.reject(new Error("closed")), () => true),
    /closed/,
  );
});
