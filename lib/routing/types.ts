/**
 * Words of the routing room.
 *
 * @module
 */

/** How a connection leaves. */
export const ROUTES = ["proxy", "direct", "vm-direct", "block"] as const;

/** A route: through the instance, from this machine, from the VM's own network, or not at all. */
export type Route = typeof ROUTES[number];

/** Pattern lists as the configuration has them, and the route of what no pattern matches. */
export interface RoutingRules {
  readonly default: Route;
  readonly proxy: readonly string[];
  readonly direct: readonly string[];
  readonly vmDirect: readonly string[];
  readonly block: readonly string[];
}
