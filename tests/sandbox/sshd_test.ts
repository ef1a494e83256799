import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
// @ts-types="@types/ssh2"
import type { Client, ClientChannel, ConnectConfig } from "ssh2";
import { type Conn, connPair, COPY_BUFFER_BYTES, readAll, writeAll } from "../../lib/core/mod.ts";
import { connFromDuplex, duplexFromConn } from "../../lib/core/node_stream.ts";
import { EventHub, type SandboxEvent } from "../../lib/sandbox/events.ts";
import { fingerprintOfLine, generateKeyPair } from "../../lib/sandbox/instance/keys.ts";
import { SshServer } from "../../lib/sandbox/instance/sshd.ts";
import { PrivateNetwork, type TcpService } from "../../lib/sandbox/vpc/network.ts";
import { echo } from "../../lib/sandbox/vpc/services.ts";
import { loadSsh2 } from "../../lib/ssh/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const userKey = generateKeyPair("user");
const hostKey = generateKeyPair("host");

/** An SSH server in memory with services of the test's choice. */
class Bench {
  readonly clock = new FakeClock();
  readonly events: SandboxEvent[] = [];
  readonly #server: SshServer;
  readonly #clients: Client[] = [];

  constructor(services: Readonly<Record<number, TcpService>> = {}) {
    const events = new EventHub(this.clock);
    events.on((event) => this.events.push(event));
    this.#server = new SshServer({
      instanceId: "i-1",
      user: "ec2-user",
      hostKey: hostKey.privateKey,
      authorizedKeys: [userKey.publicKey],
      events,
      network: new PrivateNetwork({
        clock: this.clock,
        connectTimeout: 1000,
        services: new Map(Object.entries(services).map(([port, serve]) => [Number(port), serve])),
      }),
    });
  }

  async connect(config: Partial<ConnectConfig> = {}): Promise<Client> {
    const { ssh2 } = await loadSsh2();
    const [ours, theirs] = connPair();
    this.#server.serve(theirs);
    const client = new ssh2.Client();
    this.#clients.push(client);
    const ready = once(client, "ready");
    client.connect({
      // Cast: any duplex stream will do.
      sock: duplexFromConn(ours) as unknown as NonNullable<ConnectConfig["sock"]>,
      username: "ec2-user",
      privateKey: userKey.privateKey,
      // The library's own timer would outlive the test.
      readyTimeout: 0,
      ...config,
    });
    await ready;
    client.on("error", () => {});
    return client;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.end();
    await settle();
    this.#server.close();
    await settle();
  }
}

function open(client: Client, host: string, port: number): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.forwardOut("127.0.0.1", 1, host, port, (error, channel) => {
      if (error) reject(error);
      else resolve(channel);
    });
  });
}

async function text(channel: ClientChannel): Promise<string> {
  let all = "";
  for await (const chunk of channel) all += chunk;
  return all;
}

Deno.test("keys are what ssh-keygen makes, whatever their first byte", async () => {
  const { ssh2 } = await loadSsh2();
  for (let i = 0; i < 300; i++) {
    const pair = generateKeyPair("a comment");
    const secret = ssh2.utils.parseKey(pair.privateKey);
    const open = ssh2.utils.parseKey(pair.publicKey);
    assert.ok(!(secret instanceof Error) && !(open instanceof Error));
    assert.equal(secret.comment, "a comment");
    assert.ok(secret.getPublicSSH().equals(open.getPublicSSH()));
    const data = Buffer.from("data");
    assert.equal(open.verify(data, secret.sign(data) as Buffer), true);
  }
  assert.match(fingerprintOfLine(userKey.publicKey), /^SHA256:[A-Za-z0-9+/]{43}$/);
});

Deno.test("sshd lets the user's key in and forwards to names of the private zone", async () => {
  const bench = new Bench({ 7: echo });
  const client = await bench.connect();
  const channel = await open(client, "hello.sandbox.internal", 7);
  channel.end("ping");
  assert.equal(await text(channel), "ping");
  await bench.close();
  const told = bench.events.map((event) => event.type);
  assert.deepEqual(told, ["ssh-authenticated", "direct-tcpip", "channel-closed"]);
  const [login] = bench.events;
  assert.ok(login?.type === "ssh-authenticated");
  assert.equal(login.fingerprint, fingerprintOfLine(userKey.publicKey));
});

Deno.test("sshd works with compression too", async () => {
  const bench = new Bench({ 7: echo });
  const client = await bench.connect({ algorithms: { compress: ["zlib@openssh.com"] } });
  const channel = await open(client, "hello.sandbox.internal", 7);
  channel.end("x".repeat(100_000));
  assert.equal((await text(channel)).length, 100_000);
  await bench.close();
});

Deno.test("sshd shows its own host key", async () => {
  const bench = new Bench();
  let seen = "";
  await bench.connect({
    hostVerifier: (key: Buffer) => {
      seen = fingerprintOfLine(`ssh-ed25519 ${key.toString("base64")}`);
      return true;
    },
  });
  assert.equal(seen, fingerprintOfLine(hostKey.publicKey));
  await bench.close();
});

Deno.test("sshd turns away other keys, other users and passwords", async () => {
  const bench = new Bench();
  const wrong: Partial<ConnectConfig>[] = [
    { privateKey: generateKeyPair("stranger").privateKey },
    { username: "root" },
    { password: "secret", authHandler: ["password"] },
  ];
  for (const config of wrong) {
    await assert.rejects(bench.connect(config), /authentication methods failed/);
  }
  assert.deepEqual(bench.events.map(({ type }) => type), ["ssh-refused", "ssh-refused"]);
  await bench.close();
});

Deno.test("sshd refuses channels in OpenSSH's words", async () => {
  const bench = new Bench({ 80: echo });
  const client = await bench.connect();
  const cases: readonly [host: string, reason: number, text: string][] = [
    ["nowhere.example.org", 2, "Name or service not known"],
    ["refused.sandbox.internal", 2, "Connection refused"],
    ["unreachable.sandbox.internal", 2, "No route to host"],
    ["192.0.2.1", 2, "Network is unreachable"],
    ["prohibited.sandbox.internal", 1, "open failed"],
  ];
  for (const [host, reason, words] of cases) {
    const error = await open(client, host, 80).then(() => assert.fail(host), (error) => error);
    assert.equal(error.message, `(SSH) Channel open failure: ${words}`);
    assert.equal(error.reason, reason);
  }
  const silent = assert.rejects(open(client, "blackhole.sandbox.internal", 80), /timed out/);
  await settle();
  await bench.clock.advance(1000);
  await silent;
  const channel = await open(client, "hello.sandbox.internal", 80);
  channel.end("still here");
  assert.equal(await text(channel), "still here");
  assert.deepEqual(
    bench.events.flatMap((event) => event.type === "direct-tcpip" ? [event.result] : []),
    [...cases.map(([, , words]) => words), "Connection timed out", "open"],
  );
  await bench.close();
});

Deno.test("sshd offers no shell", async () => {
  const bench = new Bench();
  const client = await bench.connect();
  await assert.rejects(
    new Promise((resolve, reject) => {
      client.exec("id", (error, channel) => error ? reject(error) : resolve(channel));
    }),
    /open failure/,
  );
  await bench.close();
});

Deno.test("sshd passes on half-close both ways", async () => {
  const heard = Promise.withResolvers<string>();
  const talksFirst = async (conn: Conn) => {
    await writeAll(conn, new TextEncoder().encode("mine first"));
    await conn.closeWrite();
    heard.resolve(new TextDecoder().decode(await readAll(conn)));
    conn.close();
  };
  const bench = new Bench({ 80: (conn) => void talksFirst(conn) });
  const client = await bench.connect();
  const channel = connFromDuplex(await open(client, "hello.sandbox.internal", 80));
  assert.equal(new TextDecoder().decode(await readAll(channel)), "mine first");
  // The server has ended its output, and must still take ours.
  await writeAll(channel, new TextEncoder().encode("then yours"));
  await channel.closeWrite();
  assert.equal(await heard.promise, "then yours");
  await bench.close();
});

Deno.test("sshd stops reading a destination whose client does not read", async () => {
  let sent = 0;
  const endless = async (conn: Conn) => {
    const block = new Uint8Array(COPY_BUFFER_BYTES);
    for (;;) sent += await conn.write(block);
  };
  const bench = new Bench({ 80: (conn) => void endless(conn).catch(() => {}), 7: echo });
  const client = await bench.connect();
  const channel = await open(client, "hello.sandbox.internal", 80);
  let before = -1;
  while (sent !== before) {
    before = sent;
    await settle(50);
  }
  assert.ok(sent < 8 * 1024 * 1024, `${sent} bytes were taken`);
  const other = await open(client, "hello.sandbox.internal", 7);
  other.end("others go on");
  assert.equal(await text(other), "others go on");
  channel.destroy();
  await bench.close();
});

Deno.test("sshd survives nonsense and closes what it serves", async () => {
  const bench = new Bench();
  const client = await bench.connect();
  const ended = once(client, "close");
  await bench.close();
  await ended;
});
