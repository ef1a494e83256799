/**
 * A virtual machine, whatever runs it.
 *
 * @module
 */

import type { Conn } from "../core/mod.ts";
import type { VsockListener } from "../vsock/mod.ts";
import type { ConsoleLog } from "./console_log.ts";

/**
 * Where a machine is.
 *
 * - `stopped`: it does not run, and nobody wants it to
 * - `starting`: on the way to the first sign of life of its guest
 * - `running`: the guest's kernel is up
 * - `crashed`: it has ended without being asked to
 */
export type MachineState = "stopped" | "starting" | "running" | "crashed";

/** How a machine ended. */
export interface MachineExit {
  /** True when it was asked to from here. */
  readonly orderly: boolean;
  /** In words, such as `QEMU was ended by SIGKILL`. */
  readonly reason: string;
}

/** What happened to a machine. */
export interface MachineEvent {
  readonly state: MachineState;
  /** Of a machine that has ended. */
  readonly exit?: MachineExit;
}

/** Options of what waits. */
export interface MachineOptions {
  readonly signal?: AbortSignal | undefined;
}

/** A virtual machine. It may be started again when it has ended. */
export interface Machine {
  readonly state: MachineState;
  /** How it runs, for the log: `QEMU with KVM`. */
  readonly engine: string;
  /** What its consoles say, over all its starts. */
  readonly console: ConsoleLog;
  /** Resolves when the latest start has ended; never rejects. */
  readonly exited: Promise<MachineExit>;
  /**
   * Starts it; resolves when the guest's kernel is up. Only when it does not run.
   * @throws AwsocksError `vm-unavailable` when the machine lacks what it takes, `vm-failed` when it did
   * not come up; the reason of the signal
   */
  start(options?: MachineOptions): Promise<void>;
  /**
   * Ends it; nothing in it is worth saving. Bounded in time, idempotent, never rejects.
   * @param options.grace milliseconds in which it may switch itself off; default none
   */
  stop(options?: { readonly grace?: number }): Promise<void>;
  /** Listens for the guest's connections to a port of the host; across starts. */
  listen(port: number): Promise<VsockListener>;
  /** Connects to a port of the guest. @throws AwsocksError `vsock-connect-failed`, `timeout` */
  connect(port: number, options?: MachineOptions): Promise<Conn>;
  /**
   * Calls back for every change of state.
   * @returns stops it
   */
  onEvent(listener: (event: MachineEvent) => void): () => void;
  /** Stops it for good and removes its files. Idempotent, never rejects. */
  close(): Promise<void>;
}
