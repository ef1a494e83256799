import assert from "node:assert/strict";
import {
  AwsocksError,
  type Conn,
  connPair,
  type Credentials,
  describeError,
  isAwsocksError,
  readAll,
  writeAll,
} from "../../lib/core/mod.ts";
import {
  createGuestTunnel,
  createHostTunnel,
  type GuestConfig,
  type GuestLogLine,
  type GuestState,
  PROTOCOL_VERSION,
  type StreamHeader,
} from "../../lib/protocol/mod.ts";
import { createSmuxSession, type SmuxSession } from "../../lib/smux/mod.ts";
import { encodeMessage } from "../../lib/protocol/message.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { CONFIG, CREDENTIALS, guestOptions, services, tunnelPair } from "./pair.ts";

const TARGET: StreamHeader = { route: "proxy", host: "db.internal", port: 5432 };

const utf8 = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A guest's dial to an end that the test holds. */
function destination() {
  const [near, far] = connPair();
  return { far, dial: () => Promise.resolve(near) };
}

Deno.test("the ends greet each other and know what the other can", async () => {
  using pair = await tunnelPair();
  assert.deepEqual(pair.host.hello.protocol, PROTOCOL_VERSION);
  assert.match(pair.host.hello.program, /^awsocks-agent \d/);
  assert.deepEqual(pair.host.hello.capabilities, ["proxy", "vm-direct"]);
  assert.match(pair.guest.hello.program, /^awsocks \d/);
});

Deno.test("the host configures, gives credentials, starts, pings and shuts down", async () => {
  const seen: unknown[] = [];
  using pair = await tunnelPair({
    guest: {
      onConfigure: (config: GuestConfig) => Promise.resolve(void seen.push(config)),
      onCredentials: (credentials: Credentials) => Promise.resolve(void seen.push(credentials)),
      onStart: () => Promise.resolve(void seen.push("start")),
      onShutdown: () => Promise.resolve(void seen.push("shutdown")),
    },
  });
  await pair.host.configure(CONFIG);
  await pair.host.updateCredentials(CREDENTIALS);
  await pair.host.start();
  assert.equal(await pair.host.ping(), 0);
  await pair.host.shutdown();
  assert.deepEqual(seen, [CONFIG, CREDENTIALS, "start", "shutdown"]);
  assert.equal(await pair.host.closed, undefined);
  assert.ok(isAwsocksError(await pair.guest.closed, "tunnel-closed"));
});

Deno.test("a connection goes to the guest's dial and carries bytes and half-closes both ways", async () => {
  const { far, dial } = destination();
  const headers: StreamHeader[] = [];
  using pair = await tunnelPair({
    guest: { dial: (header) => (headers.push(header), dial()) },
  });
  const conn = await pair.host.dial(TARGET);
  assert.deepEqual(headers, [TARGET]);
  assert.equal(pair.guest.connections, 1);
  await writeAll(conn, utf8("question"));
  await conn.closeWrite();
  assert.equal(text(await readAll(far)), "question");
  await writeAll(far, utf8("answer after the other end has closed"));
  await far.closeWrite();
  assert.equal(text(await readAll(conn)), "answer after the other end has closed");
  conn.close();
  await settle();
  assert.equal(pair.guest.connections, 0);
});

Deno.test("what the destination sent before it closed arrives whole", async () => {
  const { far, dial } = destination();
  using pair = await tunnelPair({ guest: { dial } });
  const conn = await pair.host.dial(TARGET);
  const bytes = new Uint8Array(1_000_000).fill(7);
  const sending = writeAll(far, bytes).then(() => far.close());
  await settle(50);
  assert.deepEqual(await readAll(conn), bytes);
  await sending;
  conn.close();
});

Deno.test("a failed dial is told with code, hint and causes, as if it had failed here", async () => {
  const failure = new AwsocksError("backend-unavailable", "No way into the private network", {
    cause: new AwsocksError("credentials-expired", "The SSO session has expired", {
      cause: new Error("TokenExpired"),
    }),
    hint: "aws sso login --profile dev",
  });
  using pair = await tunnelPair({ guest: { dial: () => Promise.reject(failure) } });
  const error: unknown = await pair.host.dial(TARGET).catch((error) => error);
  assert.ok(isAwsocksError(error, "backend-unavailable"));
  assert.equal(error.hint, "aws sso login --profile dev");
  assert.equal(error.outcome.http, failure.outcome.http);
  assert.ok(isAwsocksError(error.cause, "credentials-expired"));
  assert.equal(describeError(error), describeError(failure));
  await settle();
  assert.equal(pair.guest.connections, 0);
});

Deno.test("a dial that is given up ends the guest's, and a connection that comes too late is closed", async () => {
  const { far, dial } = destination();
  const dialled = Promise.withResolvers<Conn>();
  let given: AbortSignal | undefined;
  using pair = await tunnelPair({
    guest: { dial: (_, { signal }) => (given = signal, dialled.promise) },
  });
  const controller = new AbortController();
  const dialling = pair.host.dial(TARGET, { signal: controller.signal });
  await settle();
  assert.equal(given!.aborted, false);
  controller.abort(new Error("enough"));
  await assert.rejects(dialling, /enough/);
  await settle();
  assert.equal(given!.aborted, true);
  dialled.resolve(await dial());
  await settle();
  assert.equal(await far.read(new Uint8Array(1)), null);
  assert.equal(pair.guest.connections, 0);
});

Deno.test("a guest that does not come back from a dial is given up in time", async () => {
  const clock = new FakeClock();
  using pair = await tunnelPair({
    clock,
    host: { dialLimit: 5000 },
    guest: { dial: () => new Promise(() => {}) },
  });
  const dialling = pair.host.dial(TARGET).catch((error) => error);
  await clock.advance(5000);
  assert.ok(isAwsocksError(await dialling, "destination-timeout"));
});

Deno.test("a connection broken off at one end is an error at the other, not its end", async () => {
  const { far, dial } = destination();
  using pair = await tunnelPair({ guest: { dial } });
  const conn = await pair.host.dial(TARGET);
  await writeAll(conn, utf8("half an"));
  await settle();
  conn.close();
  assert.equal(text(await readAll(far)), "half an"); // the relay closes it, which in memory is an end
  await settle();
  assert.equal(pair.guest.connections, 0);
});

Deno.test("the guest asks for credentials, keys, signatures, host keys and a choice", async () => {
  const asked: unknown[] = [];
  using pair = await tunnelPair({
    host: {
      services: services({
        credentials: (params) => (asked.push(params), Promise.resolve(CREDENTIALS)),
        identities: () => Promise.resolve([{ source: "agent", label: "me", publicKey: "AAAA" }]),
        sign: (params) => (asked.push(params), Promise.resolve("c2ln")),
        hostKey: (params) => (asked.push(params), Promise.resolve()),
      }),
    },
  });
  const { host } = pair.guest;
  assert.deepEqual(await host.credentials({ refresh: true }, {}), CREDENTIALS);
  assert.deepEqual(await host.identities(undefined, {}), [
    { source: "agent", label: "me", publicKey: "AAAA" },
  ]);
  assert.equal(await host.sign({ publicKey: "AAAA", data: "ZGF0YQ==" }, {}), "c2ln");
  const server = { instanceId: "i-1", port: 22 };
  assert.deepEqual(await host.hostKeyTypes(server, {}), ["ssh-ed25519"]);
  await host.hostKey({ ...server, publicKey: "AAAA", remember: false }, {});
  assert.equal(await host.chooseInstance([{ id: "i-7", state: "running" }], {}), "i-7");
  assert.deepEqual(asked, [
    { refresh: true },
    { publicKey: "AAAA", data: "ZGF0YQ==" },
    { ...server, publicKey: "AAAA", remember: false },
  ]);
});

Deno.test("a service's failure reaches the guest with its code; giving up reaches the service", async () => {
  let given: AbortSignal | undefined;
  using pair = await tunnelPair({
    host: {
      services: services({
        credentials: () => Promise.reject(new AwsocksError("credentials-expired", "Log in again")),
        sign: (_, { signal }) => (given = signal, new Promise(() => {})),
      }),
    },
  });
  await assert.rejects(pair.guest.host.credentials({ refresh: false }, {}), {
    code: "credentials-expired",
    message: "Log in again",
  });
  const controller = new AbortController();
  const signing = pair.guest.host.sign({ publicKey: "AAAA", data: "" }, {
    signal: controller.signal,
  });
  await settle();
  controller.abort(new Error("enough"));
  await assert.rejects(signing, /enough/);
  await settle();
  assert.equal(given?.aborted, true);
});

Deno.test("state, progress and log come to the host, fit for a terminal", async () => {
  const states: GuestState[] = [];
  const lines: GuestLogLine[] = [];
  const progress: string[] = [];
  using pair = await tunnelPair({
    host: {
      onState: (state) => states.push(state),
      onLog: (line) => lines.push(line),
      onProgress: (text) => progress.push(text),
    },
  });
  assert.deepEqual(pair.host.state, { state: "idle" });
  pair.guest.report({
    state: "initializing",
    error: new AwsocksError("agent-offline", "The agent is offline"),
  });
  pair.guest.progress("Starting i-1");
  pair.guest.log({
    time: 5,
    level: "warn",
    room: "ssm",
    message: "bad \x1b[31m news\nfor you",
    fields: { attempt: 2, why: "a\tb" },
  });
  pair.guest.report({ state: "active" });
  await settle();
  assert.deepEqual(states.map(({ state, error }) => [state, error?.code]), [
    ["initializing", "agent-offline"],
    ["active", undefined],
  ]);
  assert.equal(pair.host.state.state, "active");
  assert.deepEqual(progress, ["Starting i-1"]);
  assert.deepEqual(lines, [{
    time: 5,
    level: "warn",
    room: "ssm",
    message: "bad  [31m news for you",
    fields: { attempt: 2, why: "a b" },
  }]);
});

Deno.test("the guest is told the time: at once, each minute, and after a sleep", async () => {
  const clock = new FakeClock(1000);
  const told: number[] = [];
  using _pair = await tunnelPair({ clock, guest: { onTime: (now) => void told.push(now) } });
  await settle();
  assert.deepEqual(told, [1000]);
  await clock.advance(60_000);
  assert.deepEqual(told, [1000, 61_000]);
});

Deno.test("a guest that hangs while its connection lives is given up", async () => {
  const clock = new FakeClock();
  const [near, far] = connPair();
  const keepAlive = { interval: 10_000, timeout: false } as const;
  using session = createSmuxSession(far, { role: "server", version: 2, clock, keepAlive });
  const opening = createHostTunnel(near, { services: services(), clock });
  await greetAsGuest(session);
  const host = await opening;
  await clock.advance(15_000);
  await clock.advance(20_000);
  const reason = await host.closed;
  assert.ok(isAwsocksError(reason, "tunnel-closed"));
  assert.match(describeError(reason), /does not answer any more: .*ping/);
});

Deno.test("a guest is told of a disruption, after the time, and has to answer soon", async () => {
  const clock = new FakeClock(1000);
  const told: unknown[] = [];
  using pair = await tunnelPair({
    clock,
    guest: { onTime: (now) => told.push(now), onDisruption: (cause) => told.push(cause) },
  });
  await settle();
  await clock.advance(2000);
  pair.host.disrupted("This machine was asleep for 60 s");
  await clock.advance(9000);
  assert.deepEqual(told, [1000, 3000, "This machine was asleep for 60 s"]);
  assert.equal(await pair.host.ping(), 0, "and the tunnel stands");
});

Deno.test("a guest that is gone after a disruption is given up within seconds", async () => {
  const clock = new FakeClock();
  const [near, far] = connPair();
  const keepAlive = { interval: 10_000, timeout: false } as const;
  using session = createSmuxSession(far, { role: "server", version: 2, clock, keepAlive });
  const opening = createHostTunnel(near, { services: services(), clock });
  await greetAsGuest(session);
  const host = await opening;
  let over = false;
  void host.closed.then(() => over = true);
  host.disrupted("This machine was asleep for 60 s");
  await clock.advance(7500);
  assert.equal(over, false);
  await clock.advance(1000);
  assert.equal(over, true);
  host.disrupted("This machine was asleep for 60 s"); // nobody is there to be told
});

/** The part of a guest that knows nothing but to greet. */
async function greetAsGuest(session: SmuxSession, major = 1): Promise<Conn> {
  const { value: control } = await session.accept()[Symbol.asyncIterator]().next();
  const hello = {
    type: "hello",
    protocol: { major, minor: 3 },
    program: `awsocks-agent ${major}.0.0`,
    capabilities: ["proxy"],
    more: { of: "it" },
  };
  await writeAll(control!, encodeMessage(hello, 1000));
  return control!;
}

Deno.test("when the connection is lost both ends say so, and so does everything that waits", async () => {
  const [near, far] = connPair();
  const { dial } = destination();
  using pair = await tunnelPair({
    conns: [near, far],
    host: { services: services({ sign: () => new Promise(() => {}) }) },
    guest: { onStart: () => new Promise(() => {}), dial },
  });
  const conn = await pair.host.dial(TARGET);
  const waits = [
    pair.host.start(),
    pair.guest.host.sign({ publicKey: "", data: "" }, {}),
    conn.read(new Uint8Array(1)),
  ].map((each) => each.catch((error) => error));
  near.close();
  assert.ok(isAwsocksError(await pair.host.closed, "tunnel-closed"));
  assert.ok(isAwsocksError(await pair.guest.closed, "tunnel-closed"));
  const [start, sign, read] = await Promise.all(waits);
  assert.ok(isAwsocksError(start, "tunnel-closed"));
  assert.ok(isAwsocksError(sign, "tunnel-closed"));
  assert.ok(read instanceof Error);
  await assert.rejects(pair.host.dial(TARGET), { code: "tunnel-closed" });
  await assert.rejects(pair.host.ping(), { code: "tunnel-closed" });
});

Deno.test("ends of different major versions part with a clear error at both ends", async () => {
  const [near, far] = connPair();
  const hosting = createHostTunnel(near, { services: services(), clock: new FakeClock() })
    .catch((error) => error);
  using session = createSmuxSession(far, { role: "server", version: 2, keepAlive: false });
  const control = await greetAsGuest(session, 9);
  const error: unknown = await hosting;
  assert.ok(isAwsocksError(error, "tunnel-incompatible"));
  assert.match(
    error.message,
    /guest \(awsocks-agent 9\.0\.0\) speaks version 9\.3 .* version 1\.0/,
  );
  assert.match(error.hint, /guest image/);
  // Our greeting has come, so that the guest can say the same.
  assert.match(text(await readAll(control)), /"protocol":\{"major":1,"minor":0\}/);
});

Deno.test("an end that is silent, closes or talks nonsense before its greeting is told apart", async () => {
  const nonsense: [RegExp, (peer: Conn, clock: FakeClock) => Promise<void>][] = [
    [/no greeting within 10 s/, (_, clock) => clock.advance(10_000)],
    [/has ended/, (peer) => Promise.resolve(peer.close())],
    [/does not keep to the protocol/, (peer) => writeAll(peer, utf8("GET / HTTP/1.1\r\n\r\n"))],
  ];
  for (const [pattern, act] of nonsense) {
    for (const side of ["host", "guest"] as const) {
      const [near, far] = connPair();
      const clock = new FakeClock();
      const opening = side === "host"
        ? createHostTunnel(near, { services: services(), clock })
        : createGuestTunnel(near, guestOptions({ clock }));
      const failed = opening.then(() => undefined, (error) => error);
      await settle();
      await act(far, clock);
      const error: unknown = await failed;
      assert.ok(isAwsocksError(error, "tunnel-closed", "tunnel-protocol-error"), String(error));
      assert.match(describeError(error), pattern);
      assert.equal(clock.pending, 0);
      far.close();
    }
  }
});

Deno.test("a greeting can be given up", async () => {
  const [near, far] = connPair();
  const controller = new AbortController();
  const opening = createHostTunnel(near, { services: services(), signal: controller.signal });
  controller.abort(new Error("enough"));
  await assert.rejects(opening, /enough/);
  far.close();
});

Deno.test("a route that the guest does not offer is refused on the host", async () => {
  using pair = await tunnelPair();
  Object.assign(pair.host.hello, { capabilities: ["proxy"] });
  await assert.rejects(pair.host.dial({ ...TARGET, route: "vm-direct" }), {
    code: "backend-unavailable",
  });
});
