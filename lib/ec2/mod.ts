/**
 * EC2: finding the instance that the user means, getting it to run, and stopping it again.
 *
 * @module
 */

export * from "./client.ts";
export * from "./instance_connect.ts";
export { INSTANCE_STATES, label } from "./instance.ts";
export type { Instance, InstanceState } from "./instance.ts";
export * from "./resolve.ts";
export * from "./running.ts";
