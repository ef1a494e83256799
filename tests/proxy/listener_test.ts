import assert from "node:assert/strict";
import { AwsocksError, type Conn } from "../../lib/core/mod.ts";
import { type Client, Listener, type LiveConnection } from "../../lib/proxy/listener.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { captureLog } from "../support/log_capture.ts";
import { connect, eventually } from "./loopback.ts";

const anyPort = { host: "127.0.0.1", port: 0 };

/** A connection that a test ends by hand. */
class Held implements LiveConnection {
  readonly #done = Promise.withResolvers<void>();
  relaying = false;
  ended: AwsocksError | undefined;

  constructor(readonly client: Client) {}

  run(): Promise<void> {
    return this.#done.promise;
  }

  end(reason: AwsocksError): void {
    this.ended = reason;
    this.finish();
  }

  finish(): void {
    this.client.conn.close();
    this.#done.resolve();
  }
}

function listen(options: { maxConnections?: number; clock?: FakeClock } = {}) {
  const held: Held[] = [];
  const listener = new Listener({
    address: anyPort,
    maxConnections: 10,
    clock: new FakeClock(),
    serve: (client) => {
      const connection = new Held(client);
      held.push(connection);
      return connection;
    },
    ...options,
  });
  const clients: Conn[] = [];
  const connectMore = async (n: number) => {
    const before = listener.accepted;
    for (let i = 0; i < n; i++) clients.push(await connect(listener.address));
    await eventually(() => listener.accepted === before + n, "all accepted");
  };
  const closeClients = () => clients.forEach((conn) => conn.close());
  return { listener, held, connectMore, closeClients };
}

Deno.test("Listener takes a free port, IPv4, IPv6 and localhost", async () => {
  for (const host of ["127.0.0.1", "::1", "localhost"]) {
    await using listener = new Listener({
      address: { host, port: 0 },
      maxConnections: 1,
      clock: new FakeClock(),
      serve: (client) => new Held(client),
    });
    assert.ok(listener.address.port > 0);
    (await connect(listener.address)).close();
  }
});

Deno.test("Listener says which address it could not have, and why", async () => {
  await using first = listen().listener;
  const again = () =>
    new Listener({
      address: first.address,
      maxConnections: 1,
      clock: new FakeClock(),
      serve: (client) => new Held(client),
    });
  const message = `Could not listen on 127.0.0.1:${first.address.port}: the address is in use`;
  assert.throws(again, { code: "listen-failed", message });
});

Deno.test("Listener marks clients beyond its limit and drops those far beyond", async () => {
  const { listener, held, connectMore, closeClients } = listen({ maxConnections: 2 });
  await connectMore(3);
  const refusals = () => held.map(({ client }) => client.refusal?.code);
  assert.deepEqual(refusals(), [undefined, undefined, "proxy-too-many-connections"]);
  held[0]!.finish();
  held[2]!.finish();
  await settle();
  await connectMore(1);
  assert.equal(refusals()[3], undefined, "there is room again");
  await connectMore(70);
  assert.equal(listener.active, 2 + 64);
  assert.equal(listener.accepted, 74);
  closeClients();
  await listener.close();
});

Deno.test("Listener outlives failures of accept, telling of them once and backing off", async () => {
  await captureLog(async (lines) => {
    const clock = new FakeClock();
    const accepts: PromiseWithResolvers<Deno.TcpConn>[] = [];
    const socket = {
      addr: { transport: "tcp", hostname: "127.0.0.1", port: 1 },
      accept: () => {
        accepts.push(Promise.withResolvers());
        return accepts.at(-1)!.promise;
      },
      close: () => accepts.at(-1)!.reject(new Deno.errors.BadResource("closed")),
    };
    const listener = new Listener({
      address: anyPort,
      maxConnections: 1,
      clock,
      serve: (client) => new Held(client),
      // Only what the listener uses of it.
      listen: () => socket as unknown as Deno.TcpListener,
    });
    const emfile = Object.assign(new Error("Too many open files"), { code: "EMFILE" });
    for (let i = 0; i < 5; i++) {
      accepts.at(-1)!.reject(emfile);
      await settle();
      assert.equal(accepts.length, i + 1, "waits before it tries again");
      assert.ok(clock.nextIn! <= 1000);
      await clock.advance(1000);
      assert.equal(accepts.length, i + 2);
    }
    const warnings = lines.filter(({ level }) => level === "warn");
    assert.deepEqual(warnings.map(({ message }) => message), [
      "Could not accept a client, trying again",
    ]);
    await listener.close();
  });
});

Deno.test("Listener.close() ends handshakes at once and relays after the drain", async () => {
  const clock = new FakeClock();
  const { listener, held, connectMore, closeClients } = listen({ clock });
  await connectMore(3);
  held[1]!.relaying = held[2]!.relaying = true;
  let closed = false;
  const closing = listener.close({ drain: 1000 }).then(() => closed = true);
  await settle();
  assert.equal(held[0]!.ended?.code, "aborted");
  assert.equal(held[1]!.ended, undefined);
  held[1]!.finish();
  await clock.advance(999);
  assert.equal(closed, false);
  await clock.advance(1);
  assert.equal(held[2]!.ended?.code, "aborted");
  await closing;
  await listener.close();
  assert.equal(clock.pending, 0);
  await assert.rejects(connect(listener.address), Deno.errors.ConnectionRefused);
  closeClients();
});

Deno.test("Listener.close() does not wait when nobody is connected", async () => {
  const clock = new FakeClock();
  const { listener } = listen({ clock });
  await listener.close({ drain: 1000 });
  assert.equal(clock.pending, 0);
});
