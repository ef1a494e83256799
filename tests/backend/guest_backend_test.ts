/** The host's half of VM mode against guests that a test plays, in fake time. */

import assert from "node:assert/strict";
import { GuestBackend, type GuestBackendParts } from "../../lib/backend/guest_backend.ts";
import {
  AwsocksError,
  type Conn,
  connPair,
  type Credentials,
  isAwsocksError,
  readAll,
  writeAll,
} from "../../lib/core/mod.ts";
import {
  createGuestTunnel,
  type GuestConfig,
  type GuestTunnel,
  type GuestTunnelOptions,
  type StreamHeader,
} from "../../lib/protocol/mod.ts";
import { captureLog } from "../support/log_capture.ts";
import { CONFIG, CREDENTIALS, guestOptions, services } from "../protocol/pair.ts";
import { ToldDisruptions } from "../../lib/ssm/disruptions.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const TARGET = { host: "db.internal", port: 5432 };

/** A backend, and the connections that guests make to it. */
class Fixture implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly backend: GuestBackend;
  /** What a guest has been told, in order. */
  readonly told: (GuestConfig | Credentials)[] = [];
  readonly headers: StreamHeader[] = [];
  readonly guests: GuestTunnel[] = [];
  /** The host's ends of the connections. */
  readonly conns: Conn[] = [];
  /** Failures of the next accepts. */
  readonly failures: Error[] = [];
  readonly #waiting: PromiseWithResolvers<Conn>[] = [];
  readonly #backlog: Conn[] = [];

  constructor(parts: Partial<GuestBackendParts> = {}) {
    this.backend = new GuestBackend({
      accept: ({ signal }) => this.#accept(signal),
      config: () => Promise.resolve(CONFIG),
      services: services(),
      connectTimeout: 120_000,
      clock: this.clock,
      ...parts,
    });
  }

  /** Somebody connects. */
  connectRaw(): Conn {
    const [near, far] = connPair();
    this.conns.push(near);
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve(near);
    else this.#backlog.push(near);
    return far;
  }

  /** A guest connects. */
  async connect(options: Partial<GuestTunnelOptions> = {}): Promise<GuestTunnel> {
    const far = this.connectRaw();
    const guest = await createGuestTunnel(
      far,
      guestOptions({
        clock: this.clock,
        onConfigure: (config) => Promise.resolve(void this.told.push(config)),
        onCredentials: (credentials) => Promise.resolve(void this.told.push(credentials)),
        dial: (header) => {
          this.headers.push(header);
          const [a, b] = connPair();
          void readAll(b).then((bytes) => writeAll(b, bytes)).then(() => b.closeWrite());
          return Promise.resolve(a);
        },
        ...options,
      }),
    );
    this.guests.push(guest);
    return guest;
  }

  async #accept(signal: AbortSignal): Promise<Conn> {
    await Promise.resolve();
    const failure = this.failures.shift();
    if (failure) throw failure;
    const conn = this.#backlog.shift();
    if (conn) return conn;
    const waiter = Promise.withResolvers<Conn>();
    this.#waiting.push(waiter);
    signal.addEventListener("abort", () => waiter.reject(signal.reason), { once: true });
    return await waiter.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend.close();
    for (const guest of this.guests) guest.close();
    assert.equal(this.clock.pending, 0);
  }
}

Deno.test("a dial waits for the guest, which is configured first, and goes by its route", async () => {
  await using fixture = new Fixture();
  const { backend } = fixture;
  assert.deepEqual([backend.state, backend.vmDirect.state], ["idle", "idle"]);
  const dialling = backend.dial(TARGET);
  await settle();
  assert.deepEqual([backend.state, backend.vmDirect.state], ["initializing", "initializing"]);
  await fixture.connect();
  const conn = await dialling;
  assert.deepEqual(fixture.told, [CONFIG]);
  const bytes = Uint8Array.of(1, 2, 3);
  await writeAll(conn, bytes);
  await conn.closeWrite();
  assert.deepEqual(await readAll(conn), bytes);
  conn.close();
  (await backend.vmDirect.dial(TARGET)).close();
  assert.deepEqual(fixture.headers.map(({ route }) => route), ["proxy", "vm-direct"]);
});

Deno.test("its state is that of the guest's backend; vm-direct is up as soon as the guest is", async () => {
  await using fixture = new Fixture();
  const { backend } = fixture;
  const starting = backend.vmDirect.start();
  const guest = await fixture.connect();
  await starting;
  const states: string[] = [];
  const see = async () => {
    await settle();
    const code = isAwsocksError(backend.lastError) ? ` ${backend.lastError.code}` : "";
    states.push(`${backend.state}${code} ${backend.vmDirect.state}`);
  };
  await see();
  guest.report({ state: "initializing" });
  await see();
  guest.report({
    state: "initializing",
    error: new AwsocksError("agent-offline", "The agent is offline"),
  });
  await see();
  guest.report({ state: "active" });
  await see();
  guest.report({ state: "transitioning", error: new AwsocksError("ssh-closed", "It has ended") });
  await see();
  guest.report({ state: "idle" });
  await see();
  fixture.conns[0]!.close();
  await see();
  assert.deepEqual(states, [
    "idle active",
    "initializing active",
    "initializing agent-offline active",
    "active active",
    "transitioning ssh-closed active",
    "transitioning active",
    "transitioning transitioning",
  ]);
  await backend.close();
  assert.deepEqual([backend.state, backend.vmDirect.state], ["closed", "closed"]);
});

Deno.test("start() brings the guest's backend up, or fails as that does", async () => {
  await using fixture = new Fixture();
  let failure: Error | undefined = new AwsocksError(
    "instance-not-found",
    "There is no such instance",
  );
  const onStart = () => failure ? Promise.reject(failure) : Promise.resolve();
  const starting = fixture.backend.start().catch((error) => error);
  await fixture.connect({ onStart });
  assert.ok(isAwsocksError(await starting, "instance-not-found"));
  failure = undefined;
  await fixture.backend.start();
});

Deno.test("a guest that does not come fails the attempt with words, and dials wait for the next one", async () => {
  await using fixture = new Fixture({ readyLimit: 30_000 });
  const { backend, clock } = fixture;
  const dialling = backend.dial(TARGET);
  await clock.advance(30_000);
  assert.ok(isAwsocksError(backend.lastError, "vsock-connect-failed"));
  assert.match(backend.lastError.message, /The guest has not connected within 30 s/);
  await fixture.connect();
  await clock.advance(2000);
  (await dialling).close();
});

Deno.test("a machine that does not start is told at once, and started again later", async () => {
  await using fixture = new Fixture();
  const { backend, clock } = fixture;
  fixture.failures.push(new AwsocksError("unsupported-platform", "There is no QEMU"));
  const error: unknown = await backend.dial(TARGET).catch((error) => error);
  assert.ok(isAwsocksError(error, "backend-unavailable"));
  assert.ok(isAwsocksError(error.cause, "unsupported-platform"));
  await clock.advance(5000);
  const dialling = backend.dial(TARGET);
  await fixture.connect();
  (await dialling).close();
});

Deno.test("a guest that comes again takes the place of its former self, with configuration and credentials", async () => {
  await using fixture = new Fixture();
  const { backend, clock } = fixture;
  const dialling = backend.dial(TARGET);
  const first = await fixture.connect();
  const old = await dialling;
  backend.onCredentialUpdate({ ...CREDENTIALS, expiration: clock.now() + 60_000 });
  await settle();
  assert.equal(fixture.told.length, 2);
  await fixture.connect();
  await settle();
  assert.ok(isAwsocksError(await first.closed, "tunnel-closed"));
  await assert.rejects(old.read(new Uint8Array(1)));
  await clock.advance(2000);
  (await backend.dial(TARGET)).close();
  assert.deepEqual(fixture.told.slice(2), fixture.told.slice(0, 2));
  old.close();
});

Deno.test("credentials that have expired are not given to a new guest", async () => {
  await using fixture = new Fixture();
  const { backend, clock } = fixture;
  backend.onCredentialUpdate({ ...CREDENTIALS, expiration: clock.now() + 1000 });
  await clock.advance(2000);
  const starting = backend.vmDirect.start();
  await fixture.connect();
  await starting;
  assert.deepEqual(fixture.told, [CONFIG]);
});

Deno.test("new credentials go to the guest that is there; one that does not take them is worth a line", async () => {
  await captureLog(async (lines) => {
    await using fixture = new Fixture();
    const starting = fixture.backend.vmDirect.start();
    await fixture.connect({ onCredentials: () => Promise.reject(new Error("no room")) });
    await starting;
    fixture.backend.onCredentialUpdate(CREDENTIALS);
    await settle();
    assert.ok(
      lines.some(({ message }) => message.includes("did not take new credentials: no room")),
    );
  });
});

Deno.test("a dial that the tunnel dies under is tried once more on the next one", async () => {
  await using fixture = new Fixture();
  const { backend, clock } = fixture;
  const dialling = backend.dial(TARGET);
  await fixture.connect({ dial: () => new Promise(() => {}) });
  await settle();
  fixture.conns[0]!.close();
  await settle();
  await fixture.connect();
  await clock.advance(2000);
  (await dialling).close();
  assert.equal(fixture.headers.length, 1);
});

Deno.test("a guest of another version is a failure that lasts until another one comes", async () => {
  await using fixture = new Fixture({
    config: () => Promise.resolve({ ...CONFIG, version: 7 as 1 }),
  });
  const dialling = fixture.backend.dial(TARGET).catch((error) => error);
  await fixture.connect();
  const error: unknown = await dialling;
  assert.ok(isAwsocksError(error, "backend-unavailable"));
  assert.ok(isAwsocksError(error.cause, "tunnel-incompatible"));
});

Deno.test("whoever connects and talks nonsense disturbs nobody", async () => {
  await captureLog(async (lines) => {
    await using fixture = new Fixture();
    const dialling = fixture.backend.dial(TARGET);
    await fixture.connect();
    const conn = await dialling;
    const strangers = Array.from({ length: 10 }, () => fixture.connectRaw());
    for (const stranger of strangers) {
      await writeAll(stranger, Uint8Array.of(71, 69, 84)).catch(() => {});
      await stranger.closeWrite();
    }
    await settle();
    for (const stranger of strangers) await readAll(stranger);
    await writeAll(conn, Uint8Array.of(1));
    await conn.closeWrite();
    assert.deepEqual(await readAll(conn), Uint8Array.of(1));
    conn.close();
    const told = lines.filter(({ message }) => message.includes("No connection from the guest"));
    assert.ok(told.length > 0);
  });
});

Deno.test("the guest's log is in the host's, by room, and says what was lost", async () => {
  await captureLog(async (lines) => {
    await using fixture = new Fixture();
    const starting = fixture.backend.vmDirect.start();
    const guest = await fixture.connect();
    await starting;
    guest.log({ time: 1, level: "warn", room: "ssm", message: "{braces} stay", fields: { n: 1 } });
    for (let i = 0; i < 600; i++) {
      guest.log({ time: 1, level: "debug", room: "ssh", message: `${i}` });
    }
    await settle();
    const of = (room: string) => lines.filter((line) => line.room === room);
    assert.deepEqual(of("guest.ssm").map(({ level, message, n }) => [level, message, n]), []);
    assert.equal(of("guest.ssh").at(-1)?.message, "599");
    assert.match(of("guest")[0]!.message, /101 lines of the guest's log are lost/);
  });
});

Deno.test("close() has the guest go down, and everything waiting told", async () => {
  await using fixture = new Fixture();
  const { backend } = fixture;
  const dialling = backend.dial(TARGET);
  let down = false;
  const guest = await fixture.connect({ onShutdown: () => Promise.resolve(void (down = true)) });
  (await dialling).close();
  await backend.close();
  assert.equal(down, true);
  await guest.closed;
  await assert.rejects(backend.dial(TARGET), { code: "backend-closed" });
  await assert.rejects(backend.vmDirect.dial(TARGET), { code: "backend-closed" });

  await using other = new Fixture();
  const waiting = other.backend.dial(TARGET).catch((error) => error);
  await settle();
  await other.backend.close();
  assert.ok(isAwsocksError(await waiting, "backend-closed"));
});

Deno.test("the guest is told that this machine has slept, for as long as its tunnel lives", async () => {
  const disruptions = new ToldDisruptions();
  await using fixture = new Fixture({ disruptions });
  const causes: string[] = [];
  const starting = fixture.backend.vmDirect.start();
  const guest = await fixture.connect({ onDisruption: (cause) => void causes.push(cause) });
  await starting;
  disruptions.tell("This machine was asleep for 60 s");
  await settle();
  assert.deepEqual(causes, ["This machine was asleep for 60 s"]);
  const whileUp = disruptions.listeners;
  guest.close();
  await settle();
  assert.equal(disruptions.listeners, whileUp - 1);
  await fixture.backend.close();
  assert.equal(disruptions.listeners, 0);
});

Deno.test("after sleep a guest that was to be waited for is tried for at once", async () => {
  const disruptions = new ToldDisruptions();
  await using fixture = new Fixture({ disruptions });
  fixture.failures.push(
    ...Array.from({ length: 6 }, () => new AwsocksError("vm-failed", "It died")),
  );
  const dialling = fixture.backend.vmDirect.dial(TARGET);
  while (fixture.failures.length > 0) await fixture.clock.advance(1000);
  void fixture.connect();
  await fixture.clock.advance(1000);
  disruptions.tell("Something happened");
  await settle();
  assert.equal(fixture.backend.vmDirect.state, "active");
  (await dialling).close();
});
