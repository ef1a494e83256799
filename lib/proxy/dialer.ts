/**
 * From a target to a connection: asks the router, follows the rules for a backend that is not up yet,
 * dials, and tries the fallback once.
 *
 * @module
 */

import type { Backend } from "../backend/backend.ts";
import {
  AwsocksError,
  type Clock,
  type Conn,
  formatTarget,
  getLog,
  isAwsocksError,
  type Target,
  withDeadline,
} from "../core/mod.ts";
import {
  type Decision,
  effectiveRoute,
  fallbackRoute,
  type Mode,
  type Route,
} from "../routing/mod.ts";
import { OncePerKey } from "./rate_limit.ts";

const log = getLog("proxy");

/** Options of {@linkcode Dialer}. */
export interface DialerOptions {
  readonly router: { route(target: Target): Decision };
  /** Carries the route `proxy`. */
  readonly backend: Backend;
  /** Carries the route `direct`. */
  readonly direct: Backend;
  /** Carries the route `vm-direct`; without it that route is refused. */
  readonly vmDirect?: Backend | undefined;
  readonly mode: Mode;
  readonly lazy: boolean;
  readonly lazyUntilReady: "direct" | "wait";
  readonly fallback: boolean;
  /** Milliseconds a dial may take over a backend that is active. */
  readonly dialTimeout: number;
  /** Milliseconds more that it may take over a backend that has to come up first. */
  readonly connectTimeout: number;
  readonly clock: Clock;
}

/** A connection to a destination, and the way it went. */
export interface Dialed {
  readonly conn: Conn;
  readonly route: Route;
  /** Present when this is not the route of the rules. */
  readonly instead?: { readonly of: Route; readonly because: "not-ready" | "fallback" };
}

/** Dials destinations by the rules. */
export class Dialer {
  readonly #options: DialerOptions;
  #everActive = false;
  readonly #told = new OncePerKey(1024);

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  /**
   * Connects to a target, or says why not.
   * @throws AwsocksError `route-blocked`, `destination-…`, `backend-…`; the reason of the signal
   */
  async dial(target: Target, signal: AbortSignal): Promise<Dialed> {
    const decision = this.#options.router.route(target);
    const now = this.#effective(decision);
    if (now.route === "block") {
      throw new AwsocksError(
        "route-blocked",
        `${formatTarget(target)} is blocked by the rules: ${now.reason}`,
        { facts: { host: target.host } },
      );
    }
    const to = decision.target;
    if (now.detour) return await this.#detour(to, now.route, decision.route, signal);
    try {
      return { conn: await this.#via(now.route, to, signal), route: now.route };
    } catch (error) {
      const route = signal.aborted ? undefined : this.#fallback(now.route, error);
      if (route === undefined) throw error;
      this.#logOnce("fallback", "Host cannot be reached as the rules say, trying another way", {
        host: to.host,
        route,
        cause: error,
      });
      const conn = await this.#via(route, to, signal);
      return { conn, route, instead: { of: now.route, because: "fallback" } };
    }
  }

  #effective(decision: Decision) {
    const { backend, lazy, lazyUntilReady, mode } = this.#options;
    const backendState = backend.state;
    if (backendState === "active" || backendState === "transitioning") this.#everActive = true;
    const everActive = this.#everActive;
    return effectiveRoute({ decision, backendState, everActive, lazy, lazyUntilReady, mode });
  }

  /**
   * This host need not wait for the backend, so that a login which the backend waits for can pass. Its
   * route by the rules stays open to it: where the detour leads nowhere, or the backend is up first,
   * it goes that way after all. A private name often exists only there.
   */
  async #detour(
    target: Target,
    route: Route,
    ruled: Route,
    signal: AbortSignal,
  ): Promise<Dialed> {
    this.#logOnce("detour", "Backend is not up yet, host goes another way meanwhile", {
      host: target.host,
      route,
    });
    const up = new AbortController();
    const done = new AbortController();
    this.#options.backend.start({ signal: AbortSignal.any([signal, done.signal]) }).then(
      () => up.abort(new AwsocksError("aborted", "The backend is up")),
      (error) => log.debug("Backend did not come up", { cause: error }),
    );
    try {
      const conn = await this.#via(route, target, AbortSignal.any([signal, up.signal]));
      return { conn, route, instead: { of: ruled, because: "not-ready" } };
    } catch (error) {
      if (signal.aborted) throw error;
      log.debug("Detour of {host} leads nowhere, waiting for the backend", {
        host: target.host,
        cause: error,
      });
      return { conn: await this.#via(ruled, target, signal), route: ruled };
    } finally {
      done.abort();
    }
  }

  #fallback(route: Route, error: unknown): Route | undefined {
    if (!isAwsocksError(error)) return undefined;
    const { mode, fallback: enabled } = this.#options;
    return fallbackRoute({ route, errorCode: error.code, mode, enabled });
  }

  #via(route: Route, target: Target, signal: AbortSignal): Promise<Conn> {
    switch (route) {
      case "direct":
        // Has its own deadline.
        return this.#options.direct.dial(target, { signal });
      case "proxy":
        return this.#bounded(this.#options.backend, target, signal);
      case "vm-direct":
        return this.#bounded(this.#options.vmDirect ?? missing(target), target, signal);
      case "block":
        throw new AwsocksError("internal", "A blocked destination was dialled");
    }
  }

  /** A backend bounds its own waits; this bounds those that it forgets. */
  #bounded(backend: Backend, target: Target, signal: AbortSignal): Promise<Conn> {
    const { clock, dialTimeout, connectTimeout } = this.#options;
    const isUp = backend.state === "active";
    const limit = isUp ? dialTimeout : dialTimeout + connectTimeout;
    const onTimeout = () =>
      isUp
        ? new AwsocksError(
          "destination-timeout",
          `Cannot connect to ${formatTarget(target)}: no answer within ${limit / 1000} s`,
        )
        : new AwsocksError(
          "backend-unavailable",
          `Backend ${backend.name} did not come up within ${limit / 1000} s`,
          { cause: backend.lastError },
        );
    const dialled = async (limited: AbortSignal) => {
      const conn = await backend.dial(target, { signal: limited });
      if (!limited.aborted) return conn;
      conn.close();
      throw limited.reason;
    };
    return withDeadline(clock, limit, onTimeout, dialled, signal);
  }

  #logOnce(kind: string, message: string, facts: { host: string } & Record<string, unknown>) {
    if (this.#told.first(`${kind} ${facts.host}`)) log.info(message, facts);
  }
}

function missing(target: Target): never {
  throw new AwsocksError(
    "backend-unavailable",
    `${formatTarget(target)} is routed vm-direct, and there is no VM`,
    { hint: 'set `mode = "vm"`, or give it another route' },
  );
}
