/**
 * The SSH client against OpenSSH's sshd.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import {
  type AwsocksError,
  type Conn,
  DenoConn,
  isAwsocksError,
  readAll,
  writeAll,
} from "../../lib/core/mod.ts";
import {
  connectSsh,
  type ConnectSshOptions,
  createHostKeyVerifier,
  findIdentities,
  type HostKeyVerifier,
  type Identity,
  loadIdentity,
  type SshConnection,
} from "../../lib/ssh/mod.ts";
import {
  findSshd,
  type Sshd,
  SSHD_REMEDY,
  type SshdOptions,
  sshKeygen,
  startSshd,
} from "../support/sshd.ts";

const ignore = findSshd() === undefined;
if (ignore) Deno.test.ignore(`SSH interop: ${SSHD_REMEDY}`, () => {});

const trustAll: HostKeyVerifier = {
  knownTypes: () => Promise.resolve([]),
  verify: () => Promise.resolve(),
  remember: () => Promise.resolve(),
};

/** A directory for keys, removed at the end. */
async function tempDir() {
  const path = await Deno.makeTempDir({ prefix: "awsocks-ssh-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** A server that takes one new Ed25519 key, and that key. */
async function serverAndKey(options: Partial<SshdOptions> = {}) {
  const dir = await tempDir();
  const path = `${dir.path}/id_ed25519`;
  await sshKeygen("-q", "-t", "ed25519", "-N", "", "-f", path);
  const authorizedKeys = [await Deno.readTextFile(`${path}.pub`)];
  const sshd = await startSshd({ authorizedKeys, ...options });
  return {
    sshd,
    dir: dir.path,
    identity: await loadIdentity(path),
    async [Symbol.asyncDispose]() {
      await sshd.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

async function connect(
  sshd: Sshd,
  identities: Identity[],
  options: Partial<ConnectSshOptions> = {},
): Promise<SshConnection & AsyncDisposable> {
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port: sshd.port });
  // Else the second of two small packets waits for the acknowledgement of the first.
  tcp.setNoDelay(true);
  const ssh = await connectSsh(new DenoConn(tcp), {
    user: sshd.user,
    identities,
    hostKeys: trustAll,
    compression: false,
    ...options,
  });
  return Object.assign(ssh, {
    async [Symbol.asyncDispose]() {
      ssh.close();
      await ssh.closed;
    },
  });
}

/** A TCP server for destinations, closed at the end. */
function serveTcp(handle: (conn: Conn) => Promise<void>) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns = new Set<Conn>();
  const serving = (async () => {
    for await (const tcp of listener) {
      const conn = new DenoConn(tcp);
      conns.add(conn);
      handle(conn).catch(() => {}).finally(() => {
        conn.close();
        conns.delete(conn);
      });
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const conn of conns) conn.close();
      await serving;
    },
  };
}

const serveEcho = () =>
  serveTcp(async (conn) => {
    const buffer = new Uint8Array(64 * 1024);
    for (;;) {
      const n = await conn.read(buffer);
      if (n === null) break;
      await writeAll(conn, buffer.subarray(0, n));
    }
    await conn.closeWrite();
  });

async function echoes(ssh: SshConnection, port: number, text = "hello"): Promise<void> {
  const conn = await ssh.dial({ host: "127.0.0.1", port });
  await writeAll(conn, new TextEncoder().encode(text));
  await conn.closeWrite();
  assert.equal(new TextDecoder().decode(await readAll(conn)), text);
}

/** Bytes that are the same on each run, compressible or not. */
function payload(size: number, compressible: boolean): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = 1;
  for (let i = 0; i < size; i++) {
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    bytes[i] = compressible ? 97 + (i & state & 7) : state >> 16;
  }
  return bytes;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function runOpenssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args, stderr: "piped" }).output();
  if (!success) throw new Error(`openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
}

for (const compression of [false, true]) {
  for (const rekey of [false, true]) {
    const how = `${compression ? "with" : "without"} compression${rekey ? ", re-keying" : ""}`;
    Deno.test(`20 MB go both ways ${how}`, { ignore }, async () => {
      // Each way and at once; the server asks for new keys after each MB.
      await using it = await serverAndKey({ config: rekey ? ["RekeyLimit 1M"] : [] });
      await using echo = serveEcho();
      await using ssh = await connect(it.sshd, [it.identity], { compression });
      for (const compressible of [true, false]) {
        const data = payload(10_000_000, compressible);
        const conn = await ssh.dial({ host: "localhost", port: echo.port });
        const [back] = await Promise.all([
          readAll(conn),
          writeAll(conn, data).then(() => conn.closeWrite()),
        ]);
        assert.equal(back.byteLength, data.byteLength);
        assert.equal(sha256(back), sha256(data));
      }
      assert.equal(ssh.channels, 0);
    });
  }
}

Deno.test(
  "many channels at once keep their bytes apart, across re-keying",
  { ignore },
  async () => {
    await using it = await serverAndKey({ config: ["RekeyLimit 1M"] });
    await using echo = serveEcho();
    await using ssh = await connect(it.sshd, [it.identity], { compression: true });
    await Promise.all(Array.from({ length: 30 }, async (_, index) => {
      // Some of it can be compressed, the rest is stored, in one stream.
      const data = index % 2 === 0
        ? new Uint8Array(200_000).map((_, i) => (i * (index + 1)) >> 3)
        : new Uint8Array(randomBytes(200_000));
      const conn = await ssh.dial({ host: "127.0.0.1", port: echo.port });
      const [back] = await Promise.all([
        readAll(conn),
        writeAll(conn, data).then(() => conn.closeWrite()),
      ]);
      assert.equal(sha256(back), sha256(data));
    }));
    assert.equal(ssh.channels, 0);
  },
);

Deno.test("hundreds of channels one after the other leave nothing behind", { ignore }, async () => {
  await using it = await serverAndKey();
  await using echo = serveEcho();
  await using ssh = await connect(it.sshd, [it.identity]);
  for (let i = 0; i < 500; i++) {
    if (i % 5 === 0) (await ssh.dial({ host: "127.0.0.1", port: echo.port })).close();
    else await echoes(ssh, echo.port, `${i}`);
  }
  assert.equal(ssh.channels, 0);
  assert.deepEqual(it.sshd.log.filter((line) => /unknown|nonexistent|non-open/i.test(line)), []);
});

Deno.test(
  "a destination can end its output first, and the other way round",
  { ignore },
  async () => {
    await using it = await serverAndKey();
    await using ssh = await connect(it.sshd, [it.identity]);
    const heard = Promise.withResolvers<string>();
    await using first = serveTcp(async (conn) => {
      await writeAll(conn, new TextEncoder().encode("bye"));
      await conn.closeWrite();
      heard.resolve(new TextDecoder().decode(await readAll(conn)));
    });
    const conn = await ssh.dial({ host: "127.0.0.1", port: first.port });
    assert.equal(new TextDecoder().decode(await readAll(conn)), "bye");
    await writeAll(conn, new TextEncoder().encode("still here"));
    assert.equal(ssh.channels, 1);
    await conn.closeWrite();
    assert.equal(await heard.promise, "still here");
    assert.equal(ssh.channels, 0);

    await using last = serveTcp(async (conn) => {
      const all = await readAll(conn);
      await writeAll(conn, new TextEncoder().encode(`${all.byteLength} bytes`));
    });
    const other = await ssh.dial({ host: "127.0.0.1", port: last.port });
    await writeAll(other, new Uint8Array(1000));
    await other.closeWrite();
    assert.equal(new TextDecoder().decode(await readAll(other)), "1000 bytes");
    assert.equal(ssh.channels, 0);
  },
);

Deno.test("a destination that does not read holds its writer back", { ignore }, async () => {
  await using it = await serverAndKey();
  await using ssh = await connect(it.sshd, [it.identity]);
  const reading = Promise.withResolvers<void>();
  await using sink = serveTcp(async (conn) => {
    await reading.promise;
    await readAll(conn, Infinity);
  });
  await using echo = serveEcho();
  const conn = await ssh.dial({ host: "127.0.0.1", port: sink.port });
  let taken = 0;
  const chunk = new Uint8Array(64 * 1024);
  const writing = (async () => {
    while (taken < 64 * 1024 * 1024) taken += await conn.write(chunk);
    await conn.closeWrite();
  })();
  // When the other channel has gone this often to and fro, the first one is stuck.
  for (let last = -1; last !== taken;) {
    last = taken;
    for (let i = 0; i < 20; i++) await echoes(ssh, echo.port);
  }
  // The server's window of 2 MiB, and what the kernel holds.
  assert.ok(taken < 32 * 1024 * 1024, `${taken} bytes taken`);
  reading.resolve();
  await writing;
  assert.equal(await conn.read(chunk), null);
});

Deno.test("failures of destinations are told apart", { ignore }, async (t) => {
  await using it = await serverAndKey();
  await using ssh = await connect(it.sshd, [it.identity]);
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const refusedPort = closed.addr.port;
  closed.close();
  const cases: [string, number, AwsocksError["code"]][] = [
    ["127.0.0.1", refusedPort, "destination-refused"],
    ["localhost", refusedPort, "destination-refused"],
    ["name.invalid", 80, "destination-name-unknown"],
  ];
  for (const [host, port, code] of cases) {
    await t.step(`${host} ${code}`, async () => {
      await assert.rejects(ssh.dial({ host, port }), (error) => {
        assert.ok(isAwsocksError(error, code), `${error}`);
        assert.ok(error.message.startsWith(`Cannot connect to ${host}:${port}: `));
        return true;
      });
    });
  }
  assert.equal(ssh.channels, 0);
});

Deno.test("restrictions of the server are told from failures", { ignore }, async (t) => {
  await using echo = serveEcho();
  await t.step("PermitOpen", async () => {
    await using it = await serverAndKey({ config: [`PermitOpen 127.0.0.1:${echo.port}`] });
    await using ssh = await connect(it.sshd, [it.identity]);
    await echoes(ssh, echo.port);
    await assert.rejects(ssh.dial({ host: "127.0.0.1", port: 1 }), (error) => {
      assert.ok(isAwsocksError(error, "destination-prohibited"), `${error}`);
      assert.equal(
        error.message,
        "Cannot connect to 127.0.0.1:1: the SSH server refuses to forward there",
      );
      return true;
    });
    await echoes(ssh, echo.port);
  });
  await t.step("AllowTcpForwarding no", async () => {
    await using it = await serverAndKey({ config: ["AllowTcpForwarding no"] });
    await using ssh = await connect(it.sshd, [it.identity]);
    await assert.rejects(
      ssh.dial({ host: "127.0.0.1", port: echo.port }),
      (error) => isAwsocksError(error, "destination-prohibited"),
    );
  });
  await t.step("restrict in authorized_keys", async () => {
    await using dir = await tempDir();
    const path = `${dir.path}/key`;
    await sshKeygen("-q", "-t", "ed25519", "-N", "", "-f", path);
    const line = await Deno.readTextFile(`${path}.pub`);
    await using sshd = await startSshd({ authorizedKeys: [`restrict ${line}`] });
    await using ssh = await connect(sshd, [await loadIdentity(path)]);
    await assert.rejects(
      ssh.dial({ host: "127.0.0.1", port: echo.port }),
      (error) => isAwsocksError(error, "destination-prohibited"),
    );
  });
  await t.step("MaxSessions, which counts no forwarded connections", async () => {
    await using it = await serverAndKey({ config: ["MaxSessions 1"] });
    await using ssh = await connect(it.sshd, [it.identity]);
    const conns = await Promise.all(
      Array.from({ length: 5 }, () => ssh.dial({ host: "127.0.0.1", port: echo.port })),
    );
    assert.equal(ssh.channels, 5);
    for (const conn of conns) conn.close();
    assert.equal(ssh.channels, 0);
  });
});

Deno.test(
  "a server that has enough of wrong keys is an authentication failure",
  { ignore },
  async () => {
    await using it = await serverAndKey({ config: ["MaxAuthTries 2"] });
    const wrong: Identity[] = [];
    for (let i = 0; i < 3; i++) {
      const path = `${it.dir}/wrong${i}`;
      await sshKeygen("-q", "-t", "ed25519", "-N", "", "-f", path);
      wrong.push(await loadIdentity(path));
    }
    await assert.rejects(connect(it.sshd, wrong), (error) => {
      assert.ok(isAwsocksError(error, "ssh-auth-failed"), `${error}`);
      assert.match(error.message, /Too many authentication failures/);
      assert.ok(error.message.includes(wrong[0]!.fingerprint));
      assert.ok(error.message.includes(`${it.dir}/wrong1`));
      assert.match(error.message, /the server offers publickey/);
      return true;
    });
    await assert.rejects(
      connect(it.sshd, [wrong[0]!]),
      (error) =>
        isAwsocksError(error, "ssh-auth-failed") &&
        /refuses user .*; tried SHA256:\S+ \(.*\/wrong0\); the server offers publickey$/
          .test(error.message),
    );
    await assert.rejects(
      connect(it.sshd, [it.identity], { user: "no-such-user" }),
      (error) => isAwsocksError(error, "ssh-auth-failed") && error.message.includes("no-such-user"),
    );
  },
);

Deno.test("every kind of key authenticates", { ignore }, async (t) => {
  const passphrase = "correct horse";
  const types: Record<string, string[]> = {
    rsa: ["-t", "rsa", "-b", "2048"],
    p256: ["-t", "ecdsa", "-b", "256"],
    p384: ["-t", "ecdsa", "-b", "384"],
    p521: ["-t", "ecdsa", "-b", "521"],
    ed25519: ["-t", "ed25519"],
  };
  await using dir = await tempDir();
  const files: { name: string; path: string; encrypted: boolean }[] = [];
  const authorizedKeys: string[] = [];
  const add = (name: string, path: string, encrypted: boolean) => {
    files.push({ name, path, encrypted });
  };
  for (const [type, args] of Object.entries(types)) {
    for (const format of type === "ed25519" ? ["OpenSSH"] : ["OpenSSH", "PEM", "PKCS8"]) {
      const path = `${dir.path}/${format}-${type}`;
      const formatArgs = format === "OpenSSH" ? [] : ["-m", format];
      await sshKeygen("-q", ...args, ...formatArgs, "-N", "", "-f", path);
      authorizedKeys.push(await Deno.readTextFile(`${path}.pub`));
      add(`${format} ${type}`, path, false);
      const locked = `${path}-locked`;
      await Deno.copyFile(path, locked);
      await Deno.chmod(locked, 0o600);
      await sshKeygen("-q", "-p", ...formatArgs, "-P", "", "-N", passphrase, "-f", locked);
      add(`${format} ${type}, encrypted`, locked, true);
    }
  }
  // What only openssl writes.
  const rsa = `${dir.path}/PEM-rsa`;
  for (const cipher of ["aes128", "aes256", "des3"]) {
    const path = `${dir.path}/rsa-${cipher}`;
    const pass = ["-passout", `pass:${passphrase}`];
    await runOpenssl("rsa", "-in", rsa, "-traditional", `-${cipher}`, ...pass, "-out", path);
    add(`PEM rsa, ${cipher}`, path, true);
  }
  for (
    const [name, args] of Object.entries({
      "PBKDF2 with SHA-1": ["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"],
      "PBKDF2 with SHA-512": ["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"],
      "3DES": ["-v2", "des3"],
      "scrypt": ["-scrypt"],
    })
  ) {
    for (const type of ["rsa", "p256", "p521"]) {
      const path = `${dir.path}/${type}-${args.at(-1)}`;
      const pass = ["-passout", `pass:${passphrase}`];
      await runOpenssl(
        "pkcs8",
        "-topk8",
        "-in",
        `${dir.path}/PEM-${type}`,
        ...args,
        ...pass,
        "-out",
        path,
      );
      add(`PKCS8 ${type}, ${name}`, path, true);
    }
  }
  const ed25519 = `${dir.path}/openssl-ed25519`;
  await runOpenssl("genpkey", "-algorithm", "ed25519", "-out", ed25519);
  const pass = ["-passout", `pass:${passphrase}`];
  await runOpenssl("pkcs8", "-topk8", "-in", ed25519, ...pass, "-out", `${ed25519}-locked`);
  add("PKCS8 ed25519", ed25519, false);
  add("PKCS8 ed25519, encrypted", `${ed25519}-locked`, true);
  const { keyType, publicKey } = await loadIdentity(ed25519);
  authorizedKeys.push(`${keyType} ${publicKey.toBase64()}`);

  await using sshd = await startSshd({ authorizedKeys });
  for (const { name, path, encrypted } of files) {
    await Deno.chmod(path, 0o600);
    await t.step(name, async () => {
      const identity = await loadIdentity(path, encrypted ? { passphrase } : {});
      await using _ssh = await connect(sshd, [identity]);
      if (name.startsWith("OpenSSH") || name.startsWith("PEM")) {
        const line = await sshKeygen("-y", "-P", encrypted ? passphrase : "", "-f", path);
        assert.equal(identity.publicKey.toBase64(), line.split(" ")[1]!.trim());
      }
      if (!encrypted) return;
      await assert.rejects(
        loadIdentity(path, { passphrase: "wrong" }),
        (error) => isAwsocksError(error, "ssh-key-passphrase"),
      );
    });
  }
});

/** A real ssh-agent. */
async function startAgent(socket: string) {
  const child = new Deno.Command("ssh-agent", {
    args: ["-D", "-a", socket],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const env = { SSH_AUTH_SOCK: socket };
  const add = async (...args: string[]) => {
    const command = new Deno.Command("ssh-add", { args, env, stderr: "piped" });
    const { success, stderr } = await command.output();
    return success ? "" : new TextDecoder().decode(stderr);
  };
  // It is there when it answers.
  for (let attempt = 0; /open a connection|connect/.test(await add("-l")); attempt++) {
    if (attempt === 200) throw new Error("ssh-agent does not start");
  }
  return {
    add,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

Deno.test("ssh-agent authenticates with every kind of key it can hold", { ignore }, async (t) => {
  await using dir = await tempDir();
  const agentSocket = `${dir.path}/agent`;
  await using agent = await startAgent(agentSocket);
  for (const [type, ...args] of [["ed25519"], ["ecdsa", "-b", "521"], ["rsa", "-b", "2048"]]) {
    await t.step(type!, async () => {
      const path = `${dir.path}/${type}`;
      await sshKeygen("-q", "-t", type!, ...args, "-N", "", "-C", `${type} key`, "-f", path);
      assert.equal(await agent.add(path), "");
      await using sshd = await startSshd({
        authorizedKeys: [await Deno.readTextFile(`${path}.pub`)],
      });
      const identities = await findIdentities({ agentSocket });
      assert.deepEqual(identities.map(({ label }) => label), [`${type} key`]);
      await using _ssh = await connect(sshd, identities);
      await agent.add("-D");
    });
  }
  await t.step("a locked agent", async () => {
    await agent.add(`${dir.path}/rsa`);
    const identities = await findIdentities({ agentSocket });
    await agent.add("-D");
    const authorizedKeys = [await Deno.readTextFile(`${dir.path}/rsa.pub`)];
    await using sshd = await startSshd({ authorizedKeys });
    await assert.rejects(connect(sshd, identities), (error) => {
      assert.ok(isAwsocksError(error, "ssh-auth-failed"));
      assert.match(error.message, /The ssh-agent does not sign with rsa key: it refuses$/);
      return true;
    });
  });
});

Deno.test(
  "every kind of host key is verified, recorded, and missed when it changes",
  { ignore },
  async (t) => {
    for (
      const [type, ...args] of [
        ["ed25519"],
        ["ecdsa", "-b", "256"],
        ["ecdsa", "-b", "384"],
        ["ecdsa", "-b", "521"],
        ["rsa", "-b", "2048"],
      ]
    ) {
      await t.step([type, ...args].join(" "), async () => {
        await using dir = await tempDir();
        const ownFile = `${dir.path}/state/known_hosts`;
        const hostKeys = createHostKeyVerifier({ instanceId: "i-0123", ownFile });
        for (const name of ["before", "after"]) {
          await sshKeygen("-q", "-t", type!, ...args, "-N", "", "-f", `${dir.path}/${name}`);
        }
        {
          await using it = await serverAndKey({ hostKey: `${dir.path}/before` });
          for (let i = 0; i < 3; i++) {
            await using _ssh = await connect(it.sshd, [it.identity], { hostKeys });
          }
          const recorded = await Deno.readTextFile(ownFile);
          const publicKey = (await Deno.readTextFile(`${dir.path}/before.pub`)).split(" ");
          assert.equal(recorded, `i-0123 ${publicKey[0]} ${publicKey[1]}\n`);
          // OpenSSH understands what was written.
          assert.match(await sshKeygen("-F", "i-0123", "-f", ownFile), /found: line 1/);
        }
        await using it = await serverAndKey({ hostKey: `${dir.path}/after` });
        await assert.rejects(connect(it.sshd, [it.identity], { hostKeys }), (error) => {
          assert.ok(isAwsocksError(error, "ssh-host-key-changed"), `${error}`);
          assert.ok(error.message.includes(`${ownFile} line 1`));
          return true;
        });
        assert.deepEqual(it.sshd.log.filter((line) => line.startsWith("Accepted")), []);
      });
    }
  },
);

Deno.test(
  "a server with several host keys presents the one that is known",
  { ignore },
  async () => {
    await using dir = await tempDir();
    const rsa = `${dir.path}/rsa`;
    await sshKeygen("-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", rsa);
    await using it = await serverAndKey({ config: [`HostKey ${rsa}`] });
    const knownHostsFile = `${dir.path}/known_hosts`;
    await Deno.writeTextFile(knownHostsFile, `i-0123 ${await Deno.readTextFile(`${rsa}.pub`)}`);
    await sshKeygen("-q", "-H", "-f", knownHostsFile);
    assert.match(await Deno.readTextFile(knownHostsFile), /^\|1\|/);
    const hostKeys = createHostKeyVerifier({
      instanceId: "i-0123",
      ownFile: `${dir.path}/own`,
      knownHostsFile,
      strict: true,
    });
    await using _ssh = await connect(it.sshd, [it.identity], { hostKeys });
  },
);

for (
  const line of [
    "Compression no",
    "Ciphers aes256-ctr",
    "Ciphers aes256-gcm@openssh.com",
    "MACs hmac-sha2-512",
    "KexAlgorithms ecdh-sha2-nistp384",
    "KexAlgorithms diffie-hellman-group14-sha256",
    "KexAlgorithms diffie-hellman-group-exchange-sha256",
    "KexAlgorithms curve25519-sha256",
  ]
) {
  Deno.test(`a server with ${line} will do`, { ignore }, async () => {
    await using it = await serverAndKey({ config: [line, "RekeyLimit 64K"] });
    await using echo = serveEcho();
    await using ssh = await connect(it.sshd, [it.identity], { compression: true });
    await echoes(ssh, echo.port, "text ".repeat(50_000));
  });
}

Deno.test("a server without a common algorithm is a handshake failure", { ignore }, async () => {
  await using it = await serverAndKey({
    config: ["KexAlgorithms sntrup761x25519-sha512@openssh.com"],
  });
  await assert.rejects(connect(it.sshd, [it.identity]), (error) => {
    assert.ok(isAwsocksError(error, "ssh-handshake-failed"), `${error}`);
    assert.match(error.message, /no matching key exchange algorithm$/);
    return true;
  });
});
