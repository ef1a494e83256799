import assert from "node:assert/strict";
import { chooseAlgorithms, hostKeyAlgorithms } from "../../lib/ssh/algorithms.ts";
import { loadSsh2 } from "../../lib/ssh/mod.ts";

const CTR = ["aes128-ctr", "aes192-ctr", "aes256-ctr"];

Deno.test("chooseAlgorithms() offers only counter mode where the runtime can do no other", () => {
  for (const denoVersion of ["1.46.3", "2.0.0", "2.6.10", "2.7.14"]) {
    assert.deepEqual(chooseAlgorithms({ compression: true, denoVersion }).cipher, CTR);
  }
  for (const denoVersion of ["2.8.0", "2.8.3", "2.9.6", "2.10.0", "3.0.0", "2.9.0-rc.1"]) {
    const { cipher } = chooseAlgorithms({ compression: true, denoVersion });
    assert.ok(Array.isArray(cipher));
    assert.equal(cipher[0], "aes128-gcm@openssh.com", denoVersion);
    for (const name of CTR) assert.ok(cipher.includes(name as "aes128-ctr"));
  }
});

Deno.test("chooseAlgorithms() offers compression only when asked to, and never insists on it", () => {
  assert.deepEqual(chooseAlgorithms({ compression: true }).compress, ["zlib@openssh.com", "none"]);
  assert.deepEqual(chooseAlgorithms({ compression: false }).compress, ["none"]);
});

Deno.test("chooseAlgorithms() offers nothing weak, and nothing that ssh2 does not know", async () => {
  const offer = chooseAlgorithms({ compression: true });
  const names = Object.values(offer).flat() as string[];
  assert.deepEqual(names.filter((name) => /sha1|cbc|md5|dss|arcfour|^ssh-rsa$/.test(name)), []);
  const { ssh2 } = await loadSsh2();
  const client = new ssh2.Client();
  // Throws for an unknown name, before it touches the socket that is not one.
  assert.throws(
    () => client.connect({ username: "u", sock: {} as never, algorithms: offer }),
    (error: Error) => !/Unsupported algorithm/.test(error.message),
  );
});

Deno.test("hostKeyAlgorithms() puts the types of known keys first", () => {
  assert.equal(hostKeyAlgorithms([])[0], "ssh-ed25519");
  assert.deepEqual(hostKeyAlgorithms(["ssh-rsa", "ecdsa-sha2-nistp384"]).slice(0, 4), [
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ecdsa-sha2-nistp384",
    "ssh-ed25519",
  ]);
  assert.deepEqual(
    hostKeyAlgorithms(["sk-ssh-ed25519@openssh.com"]),
    hostKeyAlgorithms([]),
  );
  assert.equal(new Set(hostKeyAlgorithms(["ssh-rsa"])).size, 6);
});
