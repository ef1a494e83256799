import assert from "node:assert/strict";
import { isAwsocksError } from "../../lib/core/mod.ts";
import {
  createHostKeyVerifier,
  type HostKey,
  type HostKeyVerifierOptions,
  ownKnownHostsFile,
} from "../../lib/ssh/mod.ts";
import { concat, fingerprint, string } from "../../lib/ssh/wire.ts";

function hostKey(fill: number, keyType = "ssh-ed25519"): HostKey {
  const publicKey = concat(string(keyType), string(new Uint8Array(32).fill(fill)));
  return { keyType, publicKey, fingerprint: fingerprint(publicKey) };
}

function line(hosts: string, key: HostKey): string {
  return `${hosts} ${key.keyType} ${key.publicKey.toBase64()}\n`;
}

const instanceId = "i-0123456789abcdef0";

/** Files in a directory of its own, and a verifier over them. */
async function setUp(
  files: { own?: string; user?: string } = {},
  more: Partial<HostKeyVerifierOptions> = {},
) {
  const dir = await Deno.makeTempDir();
  const ownFile = `${dir}/state/awsocks/known_hosts`;
  const knownHostsFile = `${dir}/known_hosts`;
  if (files.own !== undefined) {
    await Deno.mkdir(`${dir}/state/awsocks`, { recursive: true });
    await Deno.writeTextFile(ownFile, files.own);
  }
  if (files.user !== undefined) await Deno.writeTextFile(knownHostsFile, files.user);
  const make = () => createHostKeyVerifier({ instanceId, ownFile, knownHostsFile, ...more });
  return {
    dir,
    ownFile,
    knownHostsFile,
    make,
    verifier: make(),
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

Deno.test("an unknown instance is trusted on first use and held to its key from then on", async () => {
  await using it = await setUp();
  const key = hostKey(1);
  assert.deepEqual(await it.verifier.knownTypes(), []);
  await it.verifier.verify(key);
  await it.verifier.remember(key);
  assert.equal(await Deno.readTextFile(it.ownFile), line(instanceId, key));
  if (Deno.build.os !== "windows") {
    assert.equal((await Deno.stat(it.ownFile)).mode! & 0o777, 0o600);
    assert.equal((await Deno.stat(`${it.dir}/state/awsocks`)).mode! & 0o777, 0o700);
  }
  const later = it.make();
  assert.deepEqual(await later.knownTypes(), ["ssh-ed25519"]);
  await later.verify(key);
  await later.remember(key);
  assert.equal(await Deno.readTextFile(it.ownFile), line(instanceId, key));
  await assert.rejects(later.verify(hostKey(2)), (error) => {
    assert.ok(isAwsocksError(error, "ssh-host-key-changed"));
    assert.equal(
      error.message,
      `The host key of ${instanceId} has changed: ${it.ownFile} line 1 has ` +
        `${key.fingerprint} (ssh-ed25519), the server presents ` +
        `${hostKey(2).fingerprint} (ssh-ed25519)`,
    );
    assert.equal(error.facts.line, 1);
    assert.match(error.hint, /remove its line/);
    return true;
  });
});

Deno.test("nothing is recorded before the server has proved to own its key", async () => {
  await using it = await setUp();
  await it.verifier.verify(hostKey(1));
  await assert.rejects(Deno.stat(it.ownFile), Deno.errors.NotFound);
});

Deno.test("a known host of the user's OpenSSH is trusted, and nothing recorded", async () => {
  const key = hostKey(1);
  await using it = await setUp({ user: line(`other,${instanceId}`, key) });
  await it.verifier.verify(key);
  await it.verifier.remember(key);
  await assert.rejects(Deno.stat(it.ownFile), Deno.errors.NotFound);
  await assert.rejects(it.verifier.verify(hostKey(2)), (error) => {
    assert.ok(isAwsocksError(error, "ssh-host-key-changed"));
    assert.ok(error.message.includes(`${it.knownHostsFile} line 1 has`));
    return true;
  });
});

Deno.test("a key counts when either file has it", async () => {
  await using it = await setUp({
    own: `# ours\n${line(instanceId, hostKey(2))}`,
    user: line(instanceId, hostKey(1)) + line(instanceId, hostKey(3, "ecdsa-sha2-nistp256")),
  });
  for (const key of [hostKey(1), hostKey(2), hostKey(3, "ecdsa-sha2-nistp256")]) {
    await it.verifier.verify(key);
  }
  assert.deepEqual(await it.verifier.knownTypes(), ["ssh-ed25519", "ecdsa-sha2-nistp256"]);
});

Deno.test("a key of a type that is not recorded does not pass for a new one", async () => {
  await using it = await setUp({ own: line(instanceId, hostKey(1)) });
  await assert.rejects(
    it.verifier.verify(hostKey(1, "ecdsa-sha2-nistp256")),
    (error) => isAwsocksError(error, "ssh-host-key-changed"),
  );
});

Deno.test("a recorded key of a type that cannot be asked for contradicts nothing", async () => {
  await using it = await setUp({ user: line(instanceId, hostKey(1, "ssh-dss")) });
  await it.verifier.verify(hostKey(2));
});

Deno.test("other instances do not matter", async () => {
  await using it = await setUp({ own: line("i-0fedcba9876543210", hostKey(1)) });
  await it.verifier.verify(hostKey(2));
  await it.verifier.remember(hostKey(2));
  assert.equal(
    await Deno.readTextFile(it.ownFile),
    line("i-0fedcba9876543210", hostKey(1)) + line(instanceId, hostKey(2)),
  );
});

Deno.test("a private address confirms a key, but does not contradict one", async () => {
  const user = line("10.0.0.5", hostKey(1));
  await using it = await setUp({ user }, { host: ["ip-10-0-0-5.ec2.internal", "10.0.0.5"] });
  assert.deepEqual(await it.verifier.knownTypes(), ["ssh-ed25519"]);
  await it.verifier.verify(hostKey(1));
  await it.verifier.remember(hostKey(1));
  await assert.rejects(Deno.stat(it.ownFile), Deno.errors.NotFound);
  // Another VPC has a 10.0.0.5 as well.
  await it.verifier.verify(hostKey(2));
  await it.verifier.remember(hostKey(2));
  assert.equal(await Deno.readTextFile(it.ownFile), line(instanceId, hostKey(2)));
});

Deno.test("a port other than 22 is part of the name", async () => {
  await using it = await setUp({ own: line(instanceId, hostKey(1)) }, { port: 2222 });
  await it.verifier.verify(hostKey(2));
  await it.verifier.remember(hostKey(2));
  assert.ok(
    (await Deno.readTextFile(it.ownFile)).endsWith(line(`[${instanceId}]:2222`, hostKey(2))),
  );
  await assert.rejects(it.verifier.verify(hostKey(1)));
});

Deno.test("a revoked key is refused even where it is known", async () => {
  await using it = await setUp({
    own: line(instanceId, hostKey(1)),
    user: `@revoked ${line("*", hostKey(1))}`,
  });
  await assert.rejects(it.verifier.verify(hostKey(1)), (error) => {
    assert.ok(isAwsocksError(error, "ssh-host-key-changed"));
    assert.match(error.message, /is revoked: .* line 1 rules out SHA256:/);
    assert.doesNotMatch(error.hint, /remove/);
    return true;
  });
  await assert.rejects(it.verifier.verify(hostKey(2)));
});

Deno.test("the key of a certificate authority is no host key", async () => {
  await using it = await setUp({ user: `@cert-authority ${line("*", hostKey(1))}` });
  assert.deepEqual(await it.verifier.knownTypes(), []);
  await it.verifier.verify(hostKey(2));
});

Deno.test("strict refuses an unknown instance", async () => {
  await using it = await setUp({}, { strict: true });
  await assert.rejects(it.verifier.verify(hostKey(1)), (error) => {
    assert.ok(isAwsocksError(error, "ssh-host-key-unknown"));
    assert.equal(
      error.message,
      `The host key of ${instanceId} is not known: the server presents ` +
        `${hostKey(1).fingerprint} (ssh-ed25519)`,
    );
    return true;
  });
});

Deno.test("many writers at once record each instance once, in whole lines", async () => {
  await using it = await setUp({ own: line("kept", hostKey(9)).trimEnd() });
  const instances = Array.from({ length: 40 }, (_, i) => `i-${i % 10}`);
  await Promise.all(instances.map(async (id, index) => {
    const key = hostKey(index % 10);
    const verifier = createHostKeyVerifier({ instanceId: id, ownFile: it.ownFile });
    await verifier.verify(key);
    await verifier.remember(key);
  }));
  const lines = (await Deno.readTextFile(it.ownFile)).trimEnd().split("\n");
  assert.equal(lines.length, 11);
  assert.equal(new Set(lines).size, 11);
  assert.equal(`${lines[0]}\n`, line("kept", hostKey(9)));
});

Deno.test("two first uses with different keys: the second one is a changed key", async () => {
  await using it = await setUp();
  await it.verifier.verify(hostKey(1));
  const other = it.make();
  await other.verify(hostKey(2));
  await it.verifier.remember(hostKey(1));
  await assert.rejects(
    other.remember(hostKey(2)),
    (error) => isAwsocksError(error, "ssh-host-key-changed"),
  );
  assert.equal(await Deno.readTextFile(it.ownFile), line(instanceId, hostKey(1)));
});

Deno.test("a file that cannot be written does not stop the connection", async () => {
  await using it = await setUp();
  // A file where the directory should be.
  await Deno.writeTextFile(`${it.dir}/state`, "");
  await it.verifier.verify(hostKey(1));
  await it.verifier.remember(hostKey(1));
});

Deno.test("ownKnownHostsFile() follows the XDG directories", () => {
  const home = "/home/u";
  const standard = "/home/u/.local/state/awsocks/known_hosts";
  assert.equal(ownKnownHostsFile({ home }), standard);
  assert.equal(ownKnownHostsFile({ home, xdgStateHome: "" }), standard);
  assert.equal(ownKnownHostsFile({ home, xdgStateHome: "relative" }), standard);
  assert.equal(ownKnownHostsFile({ home, xdgStateHome: "/s" }), "/s/awsocks/known_hosts");
});
