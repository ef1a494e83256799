/**
 * Servers and clients on loopback for tests: real sockets, every one closed at the end.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Backend, BackendState } from "../../lib/backend/backend.ts";
import {
  AwsocksError,
  type Conn,
  DenoConn,
  readAll,
  type Target,
  writeAll,
} from "../../lib/core/mod.ts";
import { createManager, type Manager, type ManagerOptions } from "../../lib/proxy/mod.ts";
import { createRouter, type RoutingRules } from "../../lib/routing/mod.ts";
import { text } from "./bytes.ts";

/** A TCP server on loopback that hands each connection to a handler. */
export class TestServer implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #open = new Set<Conn>();
  readonly #running = new Set<Promise<void>>();
  readonly #loop: Promise<void>;
  /** Connections accepted so far. */
  accepted = 0;

  constructor(handler: (conn: Conn) => Promise<void>, hostname = "127.0.0.1") {
    this.#listener = Deno.listen({ hostname, port: 0 });
    this.#loop = this.#accept(handler);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  get target(): Target {
    return { host: this.#listener.addr.hostname, port: this.port };
  }

  async #accept(handler: (conn: Conn) => Promise<void>): Promise<void> {
    for await (const tcp of this.#listener) {
      const conn = new DenoConn(tcp);
      this.accepted++;
      this.#open.add(conn);
      const done = this.#serve(conn, handler);
      this.#running.add(done);
      void done.then(() => this.#running.delete(done));
    }
  }

  async #serve(conn: Conn, handler: (conn: Conn) => Promise<void>) {
    try {
      await handler(conn);
    } catch {
      // The tests look at what the proxy makes of it.
    } finally {
      conn.close();
      this.#open.delete(conn);
    }
  }

  /** Closes the listener and every connection, and waits for the handlers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of this.#open) conn.close();
    await this.#loop;
    await Promise.all(this.#running);
  }
}

/** Sends back what it gets; ends when its client ends. */
export function echoServer(hostname?: string): TestServer {
  return new TestServer(async (conn) => {
    const buffer = new Uint8Array(64 * 1024);
    for (let n; (n = await conn.read(buffer)) !== null;) {
      await writeAll(conn, buffer.subarray(0, n));
    }
    await conn.closeWrite();
  }, hostname);
}

/**
 * A server whose queue is full: the system drops what else would connect, as a firewall does.
 */
export async function silentServer(): Promise<Disposable & { readonly target: Target }> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { port } = listener.addr;
  const queued: Deno.Conn[] = [];
  try {
    for (let i = 0; i < 64; i++) {
      const signal = AbortSignal.timeout(200);
      queued.push(await Deno.connect({ port, signal, autoSelectFamily: false }));
    }
    throw new Error("The system queues more connections than the server lets it");
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "TimeoutError")) throw error;
  }
  return {
    target: { host: "127.0.0.1", port },
    [Symbol.dispose]: () => {
      for (const conn of queued) conn.close();
      listener.close();
    },
  };
}

/** Connects to a server of a test. */
export async function connect({ host, port }: Target): Promise<Conn> {
  return new DenoConn(await Deno.connect({ hostname: host, port }));
}

/** Writes all of `sent` and reads to the end. */
export async function converse(conn: Conn, sent: Uint8Array): Promise<string> {
  await writeAll(conn, sent);
  const answer = text(await readAll(conn));
  conn.close();
  return answer;
}

/** Rules that send everything one way, with exceptions. */
export function rules(overrides: Partial<RoutingRules> = {}): RoutingRules {
  return { default: "direct", proxy: [], direct: [], vmDirect: [], block: [], ...overrides };
}

/** A backend whose dials and states a test decides. */
export class FakeBackend implements Backend {
  readonly name = "fake";
  state: BackendState = "active";
  lastError: Error | undefined;
  starts = 0;
  closes = 0;
  readonly dials: Target[] = [];

  /** @param dialer called for every dial; default: fails as a bug would */
  constructor(
    readonly dialer: (target: Target, signal: AbortSignal) => Promise<Conn> = () =>
      Promise.reject(new AwsocksError("internal", "Not expected to be dialled")),
  ) {}

  /** Is up if its state says so; else it never comes up. */
  start(): Promise<void> {
    this.starts++;
    return this.state === "active" ? Promise.resolve() : new Promise(() => {});
  }

  dial(target: Target, options: { signal?: AbortSignal | undefined } = {}): Promise<Conn> {
    this.dials.push(target);
    return this.dialer(target, options.signal ?? new AbortController().signal);
  }

  onCredentialUpdate(): void {}

  close(): Promise<void> {
    this.closes++;
    this.state = "closed";
    return Promise.resolve();
  }
}

/** A dial that ends only with its signal. */
export function untilAborted(_target: Target, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** A running proxy on a free port of loopback; everything goes direct unless told otherwise. */
export async function startProxy(
  options: Partial<Omit<ManagerOptions, "router">> & { readonly rules?: Partial<RoutingRules> } =
    {},
): Promise<Manager & { readonly address: Target }> {
  const manager = createManager({
    listen: "127.0.0.1:0",
    router: createRouter(rules(options.rules)),
    backend: new FakeBackend(),
    mode: "direct",
    ...options,
  });
  await manager.start();
  assert.ok(manager.address);
  return manager as Manager & { readonly address: Target };
}

/** Looks again until `condition` holds: for what another process or the kernel has to do first. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  limit = 5000,
): Promise<void> {
  const end = performance.now() + limit;
  while (!await condition()) {
    assert.ok(performance.now() < end, `not within ${limit} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
