/**
 * What the first process of a Linux guest asks of the kernel and no runtime offers: mounts, modules,
 * the network, the clock, the children of others, and the way out.
 *
 * Nearly all of it needs root.
 *
 * @module
 */

export { SystemError, UnsupportedPlatformError } from "./errors.ts";
export * from "./linux_network.ts";
export * from "./linux_process.ts";
export * from "./linux_system.ts";
