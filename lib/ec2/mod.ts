/**
 * EC2: finding the instance that the user means, starting and stopping it.
 *
 * @module
 */

export * from "./client.ts";
export * from "./resolve.ts";
export * from "./running.ts";
