/**
 * Words of the routing room.
 *
 * @module
 */

import type { Target } from "../core/target.ts";

/** How a connection leaves. */
export const ROUTES = ["proxy", "direct", "vm-direct", "block"] as const;

/** A route: through the instance, from this machine, from the VM's own network, or not at all. */
export type Route = typeof ROUTES[number];

/** Where the AWS side runs: in this process or in a VM. Only a VM has the route `vm-direct`. */
export type Mode = "direct" | "vm";

/** Pattern lists as the configuration has them, and the route of what no pattern matches. */
export interface RoutingRules {
  readonly default: Route;
  readonly proxy: readonly string[];
  readonly direct: readonly string[];
  readonly vmDirect: readonly string[];
  readonly block: readonly string[];
}

/** What the rules say of a destination. */
export interface Decision {
  readonly route: Route;
  /** The pattern that decided, as written; absent when none matched. */
  readonly pattern?: string;
  /** True when a pattern decided, false when the default did. */
  readonly explicit: boolean;
  /** Why, for people: a clause such as `matches the direct pattern "*.example.com"`. */
  readonly reason: string;
  /**
   * The destination to dial: the host in the spelling that the patterns were compared with, so that what
   * was checked is what is dialled.
   */
  readonly target: Target;
}
