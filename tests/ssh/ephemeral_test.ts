import assert from "node:assert/strict";
import { createEphemeralIdentity, loadSsh2 } from "../../lib/ssh/mod.ts";
import { Buffer } from "node:buffer";

Deno.test("an ephemeral identity is a fresh key, whose signatures another implementation takes", async () => {
  const { ssh2 } = await loadSsh2();
  const seen = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const identity = createEphemeralIdentity("test");
    seen.add(identity.fingerprint);
    const key = ssh2.utils.parseKey(identity.authorizedKey);
    assert.ok(!(key instanceof Error));
    assert.deepEqual(new Uint8Array(key.getPublicSSH()), new Uint8Array(identity.publicKey));
    const data = Buffer.from("data");
    const signature = await identity.sign(data);
    assert.equal(key.verify(data, Buffer.from(signature)), true);
    assert.equal(key.verify(Buffer.from("other"), Buffer.from(signature)), false);
  }
  assert.equal(seen.size, 20);
});
