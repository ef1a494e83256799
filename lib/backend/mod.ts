/**
 * Ways to reach destinations: the interface, its state machine, SSH inside Session Manager, and straight
 * from this machine.
 *
 * @module
 */

export {
  type AwsBackendOptions,
  type AwsBackendSettings,
  type BackendPrompts,
  createAwsBackend,
  type SshServer,
} from "./aws_backend.ts";
export type { Backend, BackendState, DialOptions } from "./backend.ts";
export type { Carrier, OpenCarrier } from "./carrier.ts";
export { type BoundConn, DirectBackend, type DirectBackendOptions } from "./direct.ts";
export type { ChooseInstance } from "./instance.ts";
export { SupervisedBackend, type SupervisorOptions } from "./supervisor.ts";
