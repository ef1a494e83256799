/**
 * Which way a connection goes: patterns, the router, what happens while the backend is not up, and the
 * fallback. Pure functions without I/O.
 *
 * @module
 */

export * from "./fallback.ts";
export { type Host, parseHost } from "./host.ts";
export { formatPattern, type HostPattern, parsePattern, type Pattern } from "./pattern.ts";
export { createRouter, explainRoute, type Explanation, type Router, type Rule } from "./router.ts";
export * from "./types.ts";
