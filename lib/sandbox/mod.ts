/**
 * An AWS to try things on, in one process: EC2, SSM and STS over HTTP, the message gateway, instances
 * with agent and SSH server, and a private network behind them. Listens on loopback only.
 *
 * @module
 */

export { MFA_ROLE_ARN, MFA_SERIAL, ROLE_ARN } from "./api/sts.ts";
export type { SandboxEvent, SandboxEventBody, UpgradeSignature } from "./events.ts";
export { parseSandboxFlags, SANDBOX_FLAGS, type SandboxFlag } from "./flags.ts";
export type { Instance, InstanceState } from "./fleet.ts";
export type { SessionCounters, SessionStatus } from "./gateway/session_types.ts";
export { ACCOUNT_ID } from "./identities.ts";
export {
  type CutEvery,
  type CutMode,
  DEFAULT_INSTANCES,
  DEFAULT_SWITCHES,
  type InstanceSpec,
  type SandboxOptions,
  type Switches,
} from "./options.ts";
export type { Sandbox } from "./interface.ts";
export { PRIVATE_URL, startSandbox } from "./sandbox.ts";
export type { SessionReport } from "./sessions.ts";
export { sha256Of } from "./vpc/bytes.ts";
export { PAGE_TEXT } from "./vpc/page.ts";
