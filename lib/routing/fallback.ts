/**
 * What a connection does when its route is not there: not yet (lazy start), or not for this destination
 * (fallback). Both answer with a second route, so both err on the side of no connection at all: a name of
 * a private network may also exist on the public one.
 *
 * @module
 */

import type { ErrorCode } from "../core/errors.ts";
import type { Decision, Mode, Route, RoutingRules } from "./types.ts";

/** The route that stands in for `proxy`. */
function detourOf(mode: Mode): Route {
  return mode === "vm" ? "vm-direct" : "direct";
}

/**
 * Failures after which another network may still reach the destination. Refusal, time-out and unknown
 * name are answers from the right network; a backend fault says nothing about the destination.
 */
const NO_WAY_THERE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "destination-unreachable",
  "destination-network-unreachable",
]);

/** What {@linkcode fallbackRoute} looks at. */
export interface FallbackQuestion {
  /** The route whose dial failed. */
  readonly route: Route;
  /** Code of the failure. */
  readonly errorCode: ErrorCode;
  readonly mode: Mode;
  /** The setting `fallback`. */
  readonly enabled: boolean;
}

/** The route to try after a failed dial, once; undefined when the failure stands. */
export function fallbackRoute(question: FallbackQuestion): Route | undefined {
  const { route, errorCode, mode, enabled } = question;
  return enabled && route === "proxy" && NO_WAY_THERE.has(errorCode) ? detourOf(mode) : undefined;
}

/** What {@linkcode effectiveRoute} looks at. */
export interface RouteQuestion {
  readonly decision: Decision;
  /** State of the backend now. */
  readonly backendState: "idle" | "initializing" | "active" | "transitioning" | "closed";
  /** True once the backend has been active in this run. */
  readonly everActive: boolean;
  /** The setting `lazy`. */
  readonly lazy: boolean;
  /** The setting `lazy-until-ready`. */
  readonly lazyUntilReady: "direct" | "wait";
  readonly mode: Mode;
}

/** What a connection does now. */
export interface EffectiveRoute {
  /** `wait`: until the backend is active, for a bounded time, then `route`. `route`: at once. */
  readonly action: "wait" | "route";
  readonly route: Route;
  /**
   * True when the connection leaves another way than the rules say because the backend is not up yet.
   * The caller starts the backend meanwhile, and logs it once per host.
   */
  readonly detour: boolean;
  /** Why, for people. */
  readonly reason: string;
}

/**
 * Turns a decision into what happens now, with the backend as it is.
 *
 * Until a lazily started backend is active for the first time, hosts that are `proxy` only by default
 * take a detour, so that the browser login that the backend waits for can pass; hosts that a pattern
 * names wait. From then on `proxy` never leaves another way.
 */
export function effectiveRoute(question: RouteQuestion): EffectiveRoute {
  const { decision, backendState, everActive, lazy, lazyUntilReady, mode } = question;
  const { route, reason } = decision;
  if (route === "vm-direct" && mode !== "vm") {
    const refusal = `${reason}, and vm-direct needs \`mode = "vm"\``;
    return { action: "route", route: "block", detour: false, reason: refusal };
  }
  // A closed backend refuses at once: there is nothing to wait for, and no reason to go around it.
  if (route !== "proxy" || backendState === "active" || backendState === "closed") {
    return { action: "route", route, detour: false, reason };
  }
  if (decision.explicit || everActive || !lazy || lazyUntilReady === "wait") {
    return { action: "wait", route, detour: false, reason };
  }
  const detour = detourOf(mode);
  const why = `${reason}, but the backend is not up yet, so it goes ${detour}`;
  return { action: "route", route: detour, detour: true, reason: why };
}

/** What is odd about the rules in this mode, one line each, for the log at start-up. */
export function routingNotices(rules: RoutingRules, mode: Mode): string[] {
  if (mode === "vm" || (rules.default !== "vm-direct" && rules.vmDirect.length === 0)) return [];
  return ['Destinations routed vm-direct are refused: that route needs `mode = "vm"`'];
}
