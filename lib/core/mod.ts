/**
 * What every room uses: connections, time, errors, back-off, logging. Imports nothing of `lib/`.
 *
 * `node_stream.ts` is left out on purpose: only rooms that speak to Node streams load it.
 *
 * @module
 */

export * from "./backoff.ts";
export * from "./bag.ts";
export * from "./buffer_pool.ts";
export * from "./clock.ts";
export * from "./conn.ts";
export * from "./credentials.ts";
export * from "./errors.ts";
export * from "./log.ts";
export * from "./pipe.ts";
export * from "./shared_timer.ts";
export * from "./target.ts";
