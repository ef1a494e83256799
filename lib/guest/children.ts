/**
 * Child processes: those of the agent's own, and those that process 1 inherits.
 *
 * Every process of the system whose parent has died becomes a child of process 1, which must take its
 * exit status away, or it stays as a zombie. But a child of the runtime's is the runtime's to wait for:
 * whoever takes its status leaves `Deno.ChildProcess.status` without an end. So the agent's children are
 * known here, and everything else is an orphan.
 *
 * @module
 */

import { type Clock, describeError, getLog } from "../core/mod.ts";
import type { Kernel } from "./kernel.ts";

const log = getLog("guest");

/** Milliseconds between two looks, should a signal be missed. */
const LOOK_MS = 10_000;

/** The agent's own children. */
export class Children {
  readonly #pids = new Set<number>();

  /** Starts a program. It is known before anything else can run. */
  spawn(program: string, options: Deno.CommandOptions): Deno.ChildProcess {
    const child = new Deno.Command(program, options).spawn();
    this.#pids.add(child.pid);
    void child.status.then(() => this.#pids.delete(child.pid));
    return child;
  }

  /** True for a child that the runtime waits for. */
  has(pid: number): boolean {
    return this.#pids.has(pid);
  }
}

/** Options of {@linkcode startReaper}. */
export interface ReaperOptions {
  readonly kernel: Pick<Kernel, "reapOrphans">;
  readonly children: Children;
  readonly clock: Clock;
}

/** Takes orphans away as they end, until disposed. */
export function startReaper({ kernel, children, clock }: ReaperOptions): Disposable {
  const reap = () => {
    try {
      for (const { pid, ...end } of kernel.reapOrphans((pid) => children.has(pid))) {
        log.debug("Orphan {pid} has ended", { pid, ...end });
      }
    } catch (error) {
      log.warn("Orphans cannot be taken away: {reason}", { reason: describeError(error) });
    }
  };
  Deno.addSignalListener("SIGCHLD", reap);
  const timer = clock.every(LOOK_MS, reap);
  reap();
  return {
    [Symbol.dispose]: () => {
      Deno.removeSignalListener("SIGCHLD", reap);
      timer.cancel();
    },
  };
}
