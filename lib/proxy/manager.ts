/**
 * The proxy as a whole: listener, dialer and backends, started and stopped together.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import { DIAL_TIMEOUT_MS, DirectBackend } from "../backend/direct.ts";
import {
  AwsocksError,
  type Clock,
  getLog,
  systemClock,
  type Target,
  withDeadline,
  withSharedTimer,
} from "../core/mod.ts";
import type { Mode, Router } from "../routing/mod.ts";
import { createVerifier, type ProxyAuth } from "./auth.ts";
import { ClientSession } from "./client_session.ts";
import { Dialer } from "./dialer.ts";
import { FailureLog } from "./failure_log.ts";
import { checkListenAddress, parseListenAddress } from "./listen_address.ts";
import { Listener } from "./listener.ts";
import { Counters, type ProxyStats } from "./stats.ts";

const log = getLog("proxy");

/** Options of {@linkcode createManager}. */
export interface ManagerOptions {
  /** `HOST:PORT`; port 0 takes a free one. */
  readonly listen: string;
  /** User and password that clients must give; absent: none. */
  readonly auth?: ProxyAuth | undefined;
  /** Allows an address beyond loopback without user and password; default false. */
  readonly allowOpen?: boolean;
  /** Clients at a time; default 4096. */
  readonly maxConnections?: number;
  readonly router: Pick<Router, "route">;
  /** Carries the route `proxy`. Owned: closed with the proxy. */
  readonly backend: Backend;
  /** Carries the route `vm-direct`. Owned. */
  readonly vmDirect?: Backend | undefined;
  /** Carries the route `direct`; default {@linkcode DirectBackend}. Owned. */
  readonly direct?: Backend;
  readonly mode: Mode;
  /** True: the backend is started by the first request that wants it; default true. */
  readonly lazy?: boolean;
  /** What requests by default rule do until then; default `direct`. */
  readonly lazyUntilReady?: "direct" | "wait";
  /** Tries another route where the destination cannot be reached; default true. */
  readonly fallback?: boolean;
  /** Milliseconds a destination has to answer; default 30 s. */
  readonly dialTimeout?: number;
  /** Milliseconds that a request waits for a backend that is not up; default 120 s. */
  readonly connectTimeout?: number;
  /** Milliseconds a client has to make its request; default 10 s. */
  readonly handshakeTimeout?: number;
  readonly clock?: Clock;
}

/** The running proxy. */
export interface Manager extends AsyncDisposable {
  /**
   * Starts to listen; with `lazy` off, after the backend has come up. To be called once.
   * @throws AwsocksError `usage`, `listen-open`, `listen-failed`, what the backend says, or the reason
   *   of the signal; then everything is closed again
   */
  start(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Where it listens, with the real port; undefined before the start. */
  readonly address: Target | undefined;
  /** Counters and what is going on. */
  stats(): ProxyStats;
  /** Ends connections, listener and backends, within five seconds. Idempotent. */
  close(): Promise<void>;
}

/** Bound of {@linkcode Manager.close} and the part of it that connections get to finish, in milliseconds. */
const CLOSE_MS = 5000;
const DRAIN_MS = 1000;

/** Puts the proxy together; nothing runs before `start`. */
export function createManager(options: ManagerOptions): Manager {
  return new ProxyManager(options);
}

class ProxyManager implements Manager {
  readonly #options: ManagerOptions;
  readonly #clock: Clock;
  readonly #counters = new Counters();
  readonly #direct: Backend;
  #listener: Listener | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ManagerOptions) {
    const clock = withSharedTimer(options.clock ?? systemClock);
    this.#options = options;
    this.#clock = clock;
    this.#direct = options.direct ?? new DirectBackend({ clock, timeout: options.dialTimeout });
  }

  get address(): Target | undefined {
    return this.#listener?.address;
  }

  async start({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    try {
      const { auth, allowOpen = false, backend, lazy = true } = this.#options;
      const address = parseListenAddress(this.#options.listen);
      checkListenAddress(address, { authenticated: auth !== undefined, allowOpen });
      signal?.throwIfAborted();
      if (!lazy) await backend.start({ signal });
      signal?.throwIfAborted();
      if (this.#closing) throw new AwsocksError("aborted", "The proxy was closed while it started");
      this.#listener = this.#listen(address);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  #listen(address: Target): Listener {
    const { router, backend, vmDirect, mode, auth } = this.#options;
    const clock = this.#clock;
    const context = {
      clock,
      counters: this.#counters,
      failures: new FailureLog(clock),
      verify: auth && createVerifier(auth),
      handshakeTimeout: this.#options.handshakeTimeout ?? 10_000,
      dialer: new Dialer({
        router,
        backend,
        vmDirect,
        direct: this.#direct,
        mode,
        lazy: this.#options.lazy ?? true,
        lazyUntilReady: this.#options.lazyUntilReady ?? "direct",
        fallback: this.#options.fallback ?? true,
        dialTimeout: this.#options.dialTimeout ?? DIAL_TIMEOUT_MS,
        connectTimeout: this.#options.connectTimeout ?? 120_000,
        clock,
      }),
    };
    return new Listener({
      address,
      clock,
      maxConnections: this.#options.maxConnections ?? 4096,
      serve: (client) => new ClientSession(client, context),
    });
  }

  stats(): ProxyStats {
    const { active = 0, accepted = 0 } = this.#listener ?? {};
    return this.#counters.snapshot({ active, accepted });
  }

  close(): Promise<void> {
    return this.#closing ??= withDeadline(
      this.#clock,
      CLOSE_MS,
      () => new AwsocksError("timeout", `The proxy did not stop within ${CLOSE_MS / 1000} s`),
      () => this.#close(),
    ).catch((cause) => log.warn("Stopped without waiting for everything", { cause }));
  }

  async #close(): Promise<void> {
    const { backend, vmDirect } = this.#options;
    await this.#listener?.close({ drain: DRAIN_MS });
    await Promise.all([this.#direct, backend, vmDirect].map((each) => each?.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
