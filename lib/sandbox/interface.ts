/**
 * A running sandbox as its users see it.
 *
 * @module
 */

import type { Credentials } from "../core/mod.ts";
import type { SandboxEvent } from "./events.ts";
import type { Instance } from "./fleet.ts";
import type { CutMode, InstanceSpec, Switches } from "./options.ts";
import type { SessionReport } from "./sessions.ts";

/** A running sandbox. */
export interface Sandbox {
  /** `http://127.0.0.1:PORT` of the API. */
  readonly endpoint: string;
  /** `ws://127.0.0.1:PORT` of the gateway, where data channels connect to. */
  readonly gateway: string;
  readonly region: string;
  /** The environment with which any AWS client finds the sandbox. Holds a secret. */
  readonly env: Readonly<Record<string, string>>;
  /** Credentials that the API accepts now. */
  readonly credentials: Credentials;
  /** The default target: the first instance. */
  readonly instanceId: string;
  /** Its Name tag. */
  readonly name: string;
  readonly sshUser: string;
  /** Private key file of the user, mode 0600; gone after {@linkcode close}. */
  readonly sshKeyPath: string;
  /** `SHA256:…` of the default target's host key; empty with a real sshd. */
  readonly hostKeyFingerprint: string;
  /** Address of the web site as the default target reaches it. */
  readonly siteUrl: string;
  /** Every instance and its state. */
  instances(): readonly Instance[];
  /** Every session, live and ended, oldest first. */
  sessions(): readonly SessionReport[];
  /** Calls `listener` with everything that happens. */
  on(listener: (event: SandboxEvent) => void): Disposable;
  /** Changes how the parts behave from now on; a running agent keeps its own switches. */
  setFaults(switches: Partial<Switches>): void;
  /** Cuts the WebSocket of one session's client, or of all. @returns how many were cut */
  cut(options?: { readonly sessionId?: string; readonly mode?: CutMode }): number;
  /** Cuts the agent's WebSocket of one session, or of all; agents come back by themselves. */
  cutAgent(options?: { readonly sessionId?: string }): void;
  /** Sends `pause_publication` (false) or `start_publication` (true) to both ends of all sessions. */
  setPublication(running: boolean): void;
  /** Ends a session as an administrator does. */
  terminate(sessionId: string, output?: string): void;
  /** Starts an instance, as StartInstances does. */
  startInstance(instanceId: string): void;
  /** Stops an instance, as StopInstances does; its sessions fall silent. */
  stopInstance(instanceId: string): void;
  /**
   * Launches another instance, as an Auto Scaling group does: it is `pending` at first, and its agent
   * comes online a while after it runs.
   * @returns its id
   */
  launchInstance(spec: Omit<InstanceSpec, "state">): string;
  /** Terminates an instance, as TerminateInstances does; its sessions fall silent. */
  terminateInstance(instanceId: string): void;
  /**
   * Freezes an instance, or thaws it: the API goes on saying that it runs and that its agent is online,
   * and no session on it hears anything.
   */
  freezeInstance(instanceId: string, frozen?: boolean): void;
  /** Connects or disconnects an instance's agent. */
  setAgentOnline(instanceId: string, online: boolean): void;
  /** Gives an instance's SSH server a new host key. @returns its fingerprint */
  replaceHostKey(instanceId: string): string;
  /** Replaces the user's credentials; without argument by a new long-lived key. */
  setCredentials(credentials?: Credentials): Credentials;
  /** Makes temporary credentials for {@linkcode setCredentials}. @param lifetime in milliseconds */
  temporaryCredentials(lifetime: number): Credentials;
  /** Frees everything. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
