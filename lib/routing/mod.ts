/**
 * Which way a connection goes: patterns, the router, what happens while the backend is not up, and the
 * fallback. Pure functions without I/O.
 *
 * @module
 */

export * from "./fallback.ts";
export { type Host, parseHost } from "./host.ts";
export { parsePattern } from "./parse_pattern.ts";
export { formatPattern, type HostPattern, type Pattern } from "./pattern.ts";
export { createRouter, explainRoute, type Explanation, type Router } from "./router.ts";
export type { Rule } from "./rules.ts";
export * from "./types.ts";
