/** What the agent does with a host that a test plays, in fake time and over a network in memory. */

import assert from "node:assert/strict";
import type { Backend, BackendState } from "../../lib/backend/mod.ts";
import {
  AwsocksError,
  type Conn,
  connPair,
  type Credentials,
  isAwsocksError,
  readAll,
  type Target,
  writeAll,
} from "../../lib/core/mod.ts";
import type { AwsSideOptions } from "../../lib/guest/aws_side.ts";
import { GuestAgent, type GuestAgentOptions } from "../../lib/guest/mod.ts";
import {
  createHostTunnel,
  type GuestState,
  type HostTunnel,
  type HostTunnelOptions,
} from "../../lib/protocol/mod.ts";
import { createMemoryVsock, type VsockAddress } from "../../lib/vsock/mod.ts";
import { CONFIG, CREDENTIALS, services } from "../protocol/pair.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const TARGET = { route: "proxy", host: "db.internal", port: 5432 } as const;
const HOST: VsockAddress = { kind: "vsock", cid: 2, port: 5000 };

/** A backend that does what a test says. */
class ToyBackend implements Backend {
  readonly name = "toy";
  state: BackendState = "idle";
  lastError: Error | undefined;
  closes = 0;
  failure: Error | undefined;
  readonly dialled: Target[] = [];
  readonly updates: Credentials[] = [];
  readonly options: AwsSideOptions;

  constructor(options: AwsSideOptions) {
    this.options = options;
    options.credentials.onUpdate((updated) => this.updates.push(updated));
  }

  start(): Promise<void> {
    if (this.failure) return Promise.reject(this.failure);
    this.move("active");
    return Promise.resolve();
  }

  dial(target: Target): Promise<Conn> {
    if (this.failure) return Promise.reject(this.failure);
    this.dialled.push(target);
    const [near, far] = connPair();
    void readAll(far).then((bytes) => writeAll(far, bytes)).then(() => far.closeWrite());
    return Promise.resolve(near);
  }

  move(state: BackendState, error?: Error): void {
    this.state = state;
    this.lastError = error;
    this.options.onChange();
  }

  onCredentialUpdate(): void {}

  close(): Promise<void> {
    this.closes++;
    this.move("closed");
    return Promise.resolve();
  }
}

/** An agent and the place where its host waits. */
async function fixture(own: Partial<GuestAgentOptions> = {}) {
  const clock = new FakeClock();
  const network = createMemoryVsock();
  const listener = await network.listenVsock(HOST);
  const backends: ToyBackend[] = [];
  const controller = new AbortController();
  const agent = new GuestAgent({
    connect: ({ signal }) => network.connectVsock(HOST, { signal, clock }),
    stateDir: "/nowhere",
    createBackend: (options) => {
      const backend = new ToyBackend(options);
      backends.push(backend);
      return backend;
    },
    clock,
    ...own,
  });
  const running = agent.run({ signal: controller.signal });
  const tunnels: HostTunnel[] = [];
  return {
    clock,
    backends,
    running,
    network,
    listener,
    stop: () => controller.abort(new AwsocksError("aborted", "Enough")),
    /** The host takes the agent's connection. */
    async accept(
      options: Partial<HostTunnelOptions> = {},
      wrap = (conn: Conn): Conn => conn,
    ): Promise<HostTunnel> {
      const tunnel = await createHostTunnel(wrap(await listener.accept()), {
        services: services(),
        clock,
        ...options,
      });
      tunnels.push(tunnel);
      return tunnel;
    },
    async [Symbol.asyncDispose]() {
      controller.abort(new AwsocksError("aborted", "Enough"));
      for (const tunnel of tunnels) tunnel.close();
      await running;
      listener.close();
      assert.equal(clock.pending, 0);
    },
  };
}

Deno.test("the agent runs the backend as configured, and dials through it", async () => {
  await using f = await fixture();
  const host = await f.accept();
  await assert.rejects(host.dial(TARGET), { code: "backend-unavailable" });
  await host.configure(CONFIG);
  assert.deepEqual(f.backends.map(({ options }) => options.config), [CONFIG]);
  const conn = await host.dial(TARGET);
  await writeAll(conn, Uint8Array.of(7));
  await conn.closeWrite();
  assert.deepEqual(await readAll(conn), Uint8Array.of(7));
  conn.close();
  assert.deepEqual(f.backends[0]!.dialled, [{ host: "db.internal", port: 5432 }]);
});

Deno.test("the same configuration leaves the backend as it is, another one replaces it", async () => {
  await using f = await fixture();
  const host = await f.accept();
  await host.configure(CONFIG);
  await host.configure({ ...CONFIG });
  assert.equal(f.backends.length, 1);
  await Promise.all([
    host.configure({ ...CONFIG, sshUser: "admin" }),
    host.configure({ ...CONFIG, sshUser: "ubuntu" }),
  ]);
  assert.deepEqual(f.backends.map(({ closes }) => closes), [1, 1, 0]);
});

Deno.test("the state and the latest failure of the backend are told, at once and when a host comes", async () => {
  await using f = await fixture();
  const states: GuestState[] = [];
  const onState = (state: GuestState) => void states.push(state);
  const host = await f.accept({ onState });
  await host.configure(CONFIG);
  const [backend] = f.backends;
  backend!.move("initializing", new AwsocksError("agent-offline", "It is offline"));
  backend!.move("active");
  await settle();
  const seen = () => states.map(({ state, error }) => [state, error?.code]);
  assert.deepEqual(seen(), [
    ["idle", undefined],
    ["initializing", "agent-offline"],
    ["active", undefined],
  ]);
  host.close();
  await f.clock.advance(500);
  const again = await f.accept({ onState });
  await settle();
  assert.equal(again.state.state, "active");
  // What a backend that was replaced still says is not news.
  await again.configure({ ...CONFIG, sshUser: "admin" });
  states.length = 0;
  backend!.move("transitioning");
  await settle();
  assert.deepEqual(seen(), []);
});

Deno.test("credentials that the host pushes are there for the backend; else it asks", async () => {
  await using f = await fixture();
  const asked: boolean[] = [];
  const host = await f.accept({
    services: services({
      credentials: ({ refresh }) => {
        asked.push(refresh);
        return Promise.resolve({ ...CREDENTIALS, accessKeyId: "AKIAASKED", expiration: 2 ** 45 });
      },
    }),
  });
  await host.configure(CONFIG);
  const { credentials } = f.backends[0]!.options;
  assert.equal((await credentials.source()).accessKeyId, "AKIAASKED");
  assert.equal((await credentials.source()).accessKeyId, "AKIAASKED");
  await credentials.refresh();
  assert.deepEqual(asked, [false, true]);
  await host.updateCredentials({ ...CREDENTIALS, expiration: f.clock.now() + 3_600_000 });
  assert.equal((await credentials.source()).accessKeyId, CREDENTIALS.accessKeyId);
  assert.deepEqual(f.backends[0]!.updates.map(({ accessKeyId }) => accessKeyId), [
    "AKIAASKED",
    CREDENTIALS.accessKeyId,
  ]);
  // Those that are about to expire are asked for anew.
  await f.clock.advance(3_600_000 - 30_000);
  await credentials.source();
  assert.deepEqual(asked, [false, true, false]);
});

Deno.test("credentials outlive a change of configuration", async () => {
  await using f = await fixture();
  const host = await f.accept();
  await host.updateCredentials({ ...CREDENTIALS, expiration: 2 ** 45 });
  await host.configure(CONFIG);
  await host.configure({ ...CONFIG, sshUser: "admin" });
  for (const { options } of f.backends) {
    if (options.config.sshUser !== "admin") continue;
    assert.equal((await options.credentials.source()).accessKeyId, CREDENTIALS.accessKeyId);
  }
});

Deno.test("a question to the host waits for it to come back, and not for ever", async () => {
  await using f = await fixture();
  const host = await f.accept();
  await host.configure(CONFIG);
  const { credentials } = f.backends[0]!.options;
  host.close();
  await settle();
  const asking = credentials.source();
  await f.clock.advance(500);
  await f.accept();
  assert.deepEqual(await asking, CREDENTIALS);

  await using lonely = await fixture();
  const only = await lonely.accept();
  await only.configure(CONFIG);
  lonely.listener.close();
  only.close();
  await settle();
  const failing = lonely.backends[0]!.options.credentials.refresh().catch((error) => error);
  await lonely.clock.advance(10_000);
  assert.ok(isAwsocksError(await failing, "tunnel-closed"));
});

Deno.test("a lost host is looked for; the backend waits a minute for it, and no longer", async () => {
  await using f = await fixture();
  const host = await f.accept();
  await host.configure(CONFIG);
  host.close();
  await f.clock.advance(1000);
  const again = await f.accept();
  await f.clock.advance(120_000);
  assert.equal(f.backends[0]!.closes, 0);
  f.listener.close();
  again.close();
  await f.clock.advance(59_000);
  assert.equal(f.backends[0]!.closes, 0);
  await f.clock.advance(2000);
  assert.equal(f.backends[0]!.closes, 1);
  // And it still looks.
  const listener = await f.network.listenVsock(HOST);
  const accepting = listener.accept();
  await f.clock.advance(6000);
  (await accepting).close();
  listener.close();
});

Deno.test("a host that is not there yet is tried again and again, more slowly", async () => {
  let tries = 0;
  await using f = await fixture({
    connect: () => {
      tries++;
      return Promise.reject(new AwsocksError("vsock-connect-failed", "Refused"));
    },
  });
  await f.clock.advance(1000);
  assert.ok(tries >= 3, `${tries}`);
  const before = tries;
  await f.clock.advance(60_000);
  assert.ok(tries - before >= 11 && tries - before < 30, `${tries - before}`);
});

Deno.test("shutdown ends the backend before it is answered, then the agent", async () => {
  await using f = await fixture();
  const host = await f.accept();
  await host.configure(CONFIG);
  await host.shutdown();
  assert.equal(f.backends[0]!.closes, 1);
  await f.running;
});

Deno.test("a host that asks for the end and then says nothing is not waited for", async () => {
  await using f = await fixture();
  const kept: Conn[] = [];
  const host = await f.accept({}, (conn) => {
    kept.push(conn);
    return { ...conn, close: () => {} };
  });
  await host.shutdown();
  let over = false;
  void f.running.then(() => over = true);
  await f.clock.advance(900);
  assert.equal(over, false);
  await f.clock.advance(200);
  assert.equal(over, true);
  kept[0]!.close();
});

Deno.test("stop ends the backend as well", async () => {
  await using f = await fixture();
  const host = await f.accept();
  await host.configure(CONFIG);
  f.stop();
  await f.running;
  assert.equal(f.backends[0]!.closes, 1);
  assert.ok(isAwsocksError(await host.closed, "tunnel-closed"));
});

Deno.test("the clock is set when it is off by more than a second", async () => {
  const set: number[] = [];
  const hostClock = new FakeClock(1_700_000_000_000);
  await using f = await fixture({ setTime: (now) => void set.push(now) });
  await f.accept({ clock: hostClock });
  await settle();
  assert.deepEqual(set, [1_700_000_000_000]);
  await using other = await fixture({ setTime: (now) => void set.push(now) });
  await other.accept({ clock: new FakeClock(other.clock.now() + 900) });
  await settle();
  assert.equal(set.length, 1);
  await using stubborn = await fixture({
    setTime: () => {
      throw new Error("not permitted");
    },
  });
  const host = await stubborn.accept({ clock: hostClock });
  await settle();
  assert.equal(await host.ping(), 0);
});

Deno.test("a backend is told when the host has slept, after the clock was set", async () => {
  const told: unknown[] = [];
  await using f = await fixture({ setTime: (now) => void told.push(now) });
  const hostClock = new FakeClock(f.clock.now());
  let asleep = 0;
  hostClock.now = () => f.clock.now() + asleep;
  const host = await f.accept({ clock: hostClock });
  host.disrupted("There is no backend yet");
  await host.configure(CONFIG);
  const { disruptions } = f.backends[0]!.options;
  const listener = disruptions.on((cause) => told.push(cause));
  asleep = 60_000;
  host.disrupted("This machine was asleep for 60 s");
  await settle();
  assert.deepEqual(told, [hostClock.now(), "This machine was asleep for 60 s"]);
  listener[Symbol.dispose]();
  asleep = 0;
  host.disrupted("Nobody listens any more");
  await settle();
  assert.equal(told.length, 2);
});

Deno.test("start() and its failure go through", async () => {
  await using f = await fixture();
  const host = await f.accept();
  await host.configure(CONFIG);
  await host.start();
  assert.equal(f.backends[0]!.state, "active");
  f.backends[0]!.failure = new AwsocksError("instance-not-found", "There is none");
  await assert.rejects(host.start(), { code: "instance-not-found" });
  await assert.rejects(host.dial(TARGET), { code: "instance-not-found" });
});

Deno.test("what takes long is told", async () => {
  await using f = await fixture();
  const progress: string[] = [];
  const host = await f.accept({ onProgress: (text) => progress.push(text) });
  await host.configure(CONFIG);
  f.backends[0]!.options.onProgress("Starting i-1");
  await settle();
  assert.deepEqual(progress, ["Starting i-1"]);
});
