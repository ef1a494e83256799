import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { AuthContext } from "ssh2";
import {
  AwsocksError,
  type Conn,
  connPair,
  isAwsocksError,
  readAll,
  writeAll,
} from "../../lib/core/mod.ts";
import {
  connectSsh,
  type ConnectSshOptions,
  describeIdentity,
  type HostKey,
  type HostKeyVerifier,
  type Identity,
  identityFromText,
  loadSsh2,
} from "../../lib/ssh/mod.ts";
import { MAX_AUTH_ATTEMPTS, SIGN_TIMEOUT_MS } from "../../lib/ssh/handshake.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { anyIdentity, privateKeyText, serveSsh, trustAll } from "./server.ts";
import { newEd25519 } from "./new_key.ts";

async function options(more: Partial<ConnectSshOptions> = {}): Promise<ConnectSshOptions> {
  return {
    user: "ec2-user",
    identities: [await anyIdentity()],
    hostKeys: trustAll,
    compression: false,
    ...more,
  };
}

/** An error with this code and message. */
function failure(code: AwsocksError["code"], message: string | RegExp) {
  return (error: unknown) => {
    assert.ok(isAwsocksError(error, code), `${error}`);
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  };
}

/** A Conn whose other end plays this script and goes. */
function scripted(...script: (string | Uint8Array)[]): Conn {
  const [near, far] = connPair();
  void (async () => {
    for (const part of script) {
      await writeAll(far, typeof part === "string" ? new TextEncoder().encode(part) : part);
    }
    await far.closeWrite();
    await readAll(far);
    far.close();
  })();
  return near;
}

Deno.test("connectSsh() without a key says so before it says anything to the server", async () => {
  const [near, far] = connPair();
  await assert.rejects(
    connectSsh(near, await options({ identities: [] })),
    failure("ssh-key-missing", /^There is no SSH key/),
  );
  assert.equal((await readAll(far)).byteLength, 0);
});

Deno.test("connectSsh() tells the end of a connection from a server that is no SSH server", async (t) => {
  const cases: [string, (string | Uint8Array)[], string | RegExp][] = [
    ["nothing", [], "The connection ended before the server's SSH banner"],
    [
      "a text and the end",
      ["Exceeded MaxStartups\r\n"],
      `The connection ended before the server's SSH banner; it sent "Exceeded MaxStartups"`,
    ],
    [
      "an HTTP server",
      ["HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"],
      /^The connection ended before the server's SSH banner; it sent "HTTP\/1.1 400 Bad Request/,
    ],
    [
      "binary data",
      [new Uint8Array(20_000).fill(0x16)],
      /^The other side is not an SSH server: Header line too long/,
    ],
    [
      "version 1 of SSH",
      ["SSH-1.5-old\r\n"],
      /^The other side is not an SSH server: Invalid identification string/,
    ],
    [
      "the end after the banner",
      ["SSH-2.0-quitter\r\n"],
      "The connection ended during the key exchange",
    ],
    [
      "garbage after the banner",
      ["SSH-2.0-garbage\r\n", new Uint8Array(100).fill(255)],
      /^The SSH handshake failed during the key exchange: /,
    ],
  ];
  for (const [name, script, message] of cases) {
    await t.step(name, async () => {
      await assert.rejects(
        connectSsh(scripted(...script), await options()),
        failure("ssh-handshake-failed", message),
      );
    });
  }
});

Deno.test("connectSsh() fails when its time is over, and says how far it came", async () => {
  for (
    const [greeting, message] of [
      ["", "The SSH handshake took longer than 30 s, still before the server's SSH banner"],
      [
        "220 mail ready\r\n",
        `The SSH handshake took longer than 30 s, still before the server's SSH banner; it sent "220 mail ready"`,
      ],
      [
        "SSH-2.0-tarpit\r\n",
        "The SSH handshake took longer than 30 s, still during the key exchange",
      ],
    ] as const
  ) {
    const clock = new FakeClock();
    const [near, far] = connPair();
    await writeAll(far, new TextEncoder().encode(greeting));
    const connecting = assert.rejects(
      connectSsh(near, await options({ clock })),
      failure("ssh-handshake-failed", message),
    );
    await settle(200);
    await clock.advance(29_999);
    await clock.advance(1);
    await connecting;
    assert.equal(clock.pending, 0);
    await readAll(far);
  }
});

Deno.test("connectSsh() ends with its signal, and closes the Conn", async () => {
  const [near, far] = connPair();
  const controller = new AbortController();
  const connecting = assert.rejects(
    connectSsh(near, await options({ signal: controller.signal })),
    /enough/,
  );
  await settle(50);
  controller.abort(new Error("enough"));
  await connecting;
  await readAll(far);
  await assert.rejects(
    connectSsh(connPair()[0], await options({ signal: controller.signal })),
    /enough/,
  );
});

Deno.test("connectSsh() names the keys it tried and the methods that the server offers", async () => {
  const tried = [await anyIdentity("first"), await other("second")];
  const server = await serveSsh({
    onAuth: (context) => context.reject(["publickey", "password"]),
  });
  await assert.rejects(
    connectSsh(server.conn, await options({ identities: tried })),
    (error: AwsocksError) => {
      failure(
        "ssh-auth-failed",
        `The SSH server refuses user "ec2-user"; tried ${describeIdentity(tried[0]!)}, ` +
          `${describeIdentity(tried[1]!)}; the server offers publickey, password`,
      )(error);
      assert.deepEqual(error.facts, {
        user: "ec2-user",
        tried: 2,
        methods: "publickey,password",
      });
      return true;
    },
  );
  server.close();
});

Deno.test("connectSsh() says that a server which wants a password cannot be used", async () => {
  const server = await serveSsh({
    onAuth: (context) => context.reject(["password", "keyboard-interactive"]),
  });
  await assert.rejects(connectSsh(server.conn, await options()), (error: AwsocksError) => {
    failure("ssh-auth-failed", /the server offers password, keyboard-interactive$/)(error);
    assert.match(error.hint, /only public keys are supported/);
    return true;
  });
  server.close();
});

Deno.test("connectSsh() offers at most as many keys as servers take", async () => {
  const identities = await Promise.all(Array.from({ length: 7 }, (_, i) => other(`key ${i}`)));
  const offered: Uint8Array[] = [];
  const server = await serveSsh({
    onAuth(context: AuthContext) {
      if (context.method === "publickey") offered.push(new Uint8Array(context.key.data));
      context.reject(["publickey"]);
    },
  });
  await assert.rejects(
    connectSsh(server.conn, await options({ identities })),
    failure("ssh-auth-failed", /; 2 more not tried; the server offers publickey$/),
  );
  assert.deepEqual(offered, identities.slice(0, MAX_AUTH_ATTEMPTS).map((each) => each.publicKey));
  server.close();
});

Deno.test("connectSsh() signs only with a key that the server takes", async () => {
  const signed: string[] = [];
  const watched = (identity: Identity): Identity => ({
    ...identity,
    sign(data, more) {
      signed.push(identity.label);
      return identity.sign(data, more);
    },
  });
  const [first, second] = [await other("first"), await other("second")];
  const server = await serveSsh({
    onAuth(context) {
      const taken = context.method === "publickey" &&
        Buffer.compare(context.key.data, Buffer.from(second.publicKey)) === 0;
      if (taken) context.accept();
      else context.reject(["publickey"]);
    },
  });
  const ssh = await connectSsh(
    server.conn,
    await options({ identities: [watched(first), watched(second)] }),
  );
  assert.deepEqual(signed, ["second"]);
  ssh.close();
  await ssh.closed;
  server.close();
});

Deno.test("connectSsh() lets the user take time for a signature, but not for ever", async (t) => {
  const identity = await anyIdentity();
  const start = async (clock: FakeClock) => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const server = await serveSsh();
    const connecting = connectSsh(
      server.conn,
      await options({
        clock,
        identities: [{
          ...identity,
          async sign(data, more) {
            asked.resolve();
            await answer.promise;
            return await identity.sign(data, more);
          },
        }],
      }),
    );
    connecting.catch(() => {});
    await asked.promise;
    return { server, connecting, answer };
  };
  await t.step("longer than the handshake may take", async () => {
    const clock = new FakeClock();
    const { server, connecting, answer } = await start(clock);
    await clock.advance(100_000);
    answer.resolve();
    const ssh = await connecting;
    ssh.close();
    await ssh.closed;
    server.close();
    assert.equal(clock.pending, 0);
  });
  await t.step("not for ever", async () => {
    const clock = new FakeClock();
    const { server, connecting, answer } = await start(clock);
    await clock.advance(SIGN_TIMEOUT_MS);
    await assert.rejects(
      connecting,
      failure(
        "ssh-handshake-failed",
        "The SSH handshake took longer than 120 s, still during authentication",
      ),
    );
    answer.resolve();
    await settle(50);
    server.close();
    assert.equal(clock.pending, 0);
  });
});

Deno.test("connectSsh() goes on with the next key when one cannot sign", async () => {
  const broken: Identity = {
    ...await other("broken"),
    sign: () => Promise.reject(new AwsocksError("ssh-key-invalid", "The agent is locked")),
  };
  const server = await serveSsh();
  const ssh = await connectSsh(
    server.conn,
    await options({ identities: [broken, await anyIdentity()] }),
  );
  ssh.close();
  await ssh.closed;
  server.close();

  const refusing = await serveSsh({
    onAuth(context) {
      const known = context.method === "publickey" && !context.signature &&
        Buffer.compare(context.key.data, Buffer.from(broken.publicKey)) === 0;
      if (known) context.accept();
      else context.reject(["publickey"]);
    },
  });
  await assert.rejects(
    connectSsh(refusing.conn, await options({ identities: [broken, await anyIdentity()] })),
    failure("ssh-auth-failed", /; the server offers publickey; The agent is locked$/),
  );
  refusing.close();
});

Deno.test("connectSsh() blames the passphrase when the key that the server takes stays locked", async () => {
  const locked: Identity = {
    ...await anyIdentity(),
    sign: () => Promise.reject(new AwsocksError("ssh-key-passphrase", "SSH key k is encrypted")),
  };
  const server = await serveSsh();
  await assert.rejects(
    connectSsh(server.conn, await options({ identities: [locked] })),
    failure("ssh-key-passphrase", "SSH key k is encrypted"),
  );
  server.close();
});

Deno.test("connectSsh() asks for the known type of host key first, and records after the proof", async () => {
  for (const [known, expected] of [["ssh-rsa", "ssh-rsa"], ["ssh-dss", "ssh-ed25519"]] as const) {
    const calls: string[] = [];
    const hostKeys: HostKeyVerifier = {
      knownTypes: () => Promise.resolve([known]),
      verify: (key: HostKey) => {
        calls.push(`verify ${key.keyType}`);
        return Promise.resolve();
      },
      remember: (key: HostKey) => {
        calls.push(`remember ${key.keyType}`);
        return Promise.resolve();
      },
    };
    const server = await serveSsh({ hostKeys: ["ed25519", "rsa", "ecdsa"] });
    const ssh = await connectSsh(server.conn, await options({ hostKeys }));
    assert.deepEqual(calls, [`verify ${expected}`, `remember ${expected}`]);
    ssh.close();
    await ssh.closed;
    server.close();
  }
});

Deno.test("connectSsh() shows no key to a server whose host key is refused", async () => {
  let auths = 0;
  const changed = new AwsocksError("ssh-host-key-changed", "The host key has changed");
  const server = await serveSsh({ onAuth: () => auths++ });
  let remembered = 0;
  await assert.rejects(
    connectSsh(
      server.conn,
      await options({
        hostKeys: {
          ...trustAll,
          verify: () => Promise.reject(changed),
          remember: () => Promise.resolve(void remembered++),
        },
      }),
    ),
    (error) => error === changed,
  );
  await settle(50);
  assert.equal(auths, 0);
  assert.equal(remembered, 0);
  server.close();
});

Deno.test("connectSsh() fails when the host key turns out to be another's while it is recorded", async () => {
  const changed = new AwsocksError("ssh-host-key-changed", "Somebody else recorded a key");
  const server = await serveSsh();
  await assert.rejects(
    connectSsh(
      server.conn,
      await options({ hostKeys: { ...trustAll, remember: () => Promise.reject(changed) } }),
    ),
    (error) => error === changed,
  );
  server.close();
});

Deno.test("connectSsh() passes on why the transport failed", async () => {
  const cause = new AwsocksError("session-closed", "The session was terminated");
  const [near] = connPair();
  await assert.rejects(
    connectSsh({ ...near, read: () => Promise.reject(cause) }, await options()),
    (error) => error === cause,
  );
});

/** An identity with a key pair of its own. */
async function other(label: string): Promise<Identity> {
  const { ssh2 } = await loadSsh2();
  return await identityFromText(newEd25519(ssh2).private, label);
}

Deno.test("connectSsh() authenticates with every type of key", async () => {
  for (const type of ["ed25519", "ecdsa", "rsa"]) {
    const identity = await identityFromText(await privateKeyText(type), type);
    const algorithms: string[] = [];
    const server = await serveSsh({
      onAuth(context) {
        if (context.method === "publickey" && context.signature && context.blob) {
          algorithms.push(`${context.key.algo} ${context.hashAlgo ?? ""}`.trim());
        }
        context.accept();
      },
    });
    const ssh = await connectSsh(server.conn, await options({ identities: [identity] }));
    assert.deepEqual(algorithms, [type === "rsa" ? "ssh-rsa sha256" : identity.keyType]);
    ssh.close();
    await ssh.closed;
    server.close();
  }
});
