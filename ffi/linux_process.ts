/**
 * Processes: signals to groups of them, and children that nobody else waits for.
 *
 * @module
 */

import { Errno, SystemError } from "./errors.ts";
import { attempt, invoke, once, openLibc } from "./libc.ts";

const symbols = once(() =>
  openLibc("Looking after processes", {
    getpid: { parameters: [], result: "i32" },
    kill: { parameters: ["i32", /* pid */ "i32" /* sig */], result: "i32" },
    prctl: {
      parameters: [
        "i32", /* option */
        "usize", /* arg2 */
        "usize", /* arg3 */
        "usize", /* arg4 */
        "usize", /* arg5 */
      ],
      result: "i32",
    },
    waitid: {
      parameters: ["u32", /* idtype */ "u32", /* id */ "buffer", /* infop */ "i32" /* options */],
      result: "i32",
    },
  })
);

/** Number of this process. In a namespace `Deno.pid` says the same. */
export function getPid(): number {
  return symbols().getpid();
}

/**
 * Sends a signal to all processes of a group; kill(2).
 * @param group number of the group, above 1
 * @param signal number of the signal; 0 only asks whether the group exists
 * @returns false when there is no such group
 * @throws SystemError; RangeError for a number that would mean other processes
 */
export function killGroup(group: number, signal: number): boolean {
  if (!Number.isInteger(group) || group <= 1) throw new RangeError(`${group} is no process group`);
  const ESRCH = 3;
  const result = invoke(() => symbols().kill(-group, signal));
  if (result === -ESRCH) return false;
  if (result < 0) throw new SystemError({ syscall: "kill", address: `-${group}`, errno: -result });
  return true;
}

/**
 * Makes orphans among the descendants children of this process, as they are of process 1; prctl(2).
 * @throws SystemError
 */
export function adoptOrphans(): void {
  const PR_SET_CHILD_SUBREAPER = 36;
  attempt("prctl", undefined, () => symbols().prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n));
}

/** How a child ended. */
export interface ChildExit {
  readonly pid: number;
  /** What it gave to exit(3); undefined when a signal ended it. */
  readonly code?: number;
  /** The signal that ended it. */
  readonly signal?: number;
}

// sys/wait.h
const P_ALL = 0;
const P_PID = 1;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x0100_0000;

/** `si_code` of a child that called exit(3). */
const CLD_EXITED = 1;

/** Looks for a child that has ended, without waiting; waitid(2). */
function waitFor(idtype: number, id: number, options: number): ChildExit | undefined {
  // siginfo_t: si_signo, si_errno, si_code, padding, si_pid, si_uid, si_status
  const info = new DataView(new ArrayBuffer(128));
  const bytes = new Uint8Array(info.buffer);
  const result = invoke(() => symbols().waitid(idtype, id, bytes, WEXITED | WNOHANG | options));
  if (result === -Errno.ECHILD) return undefined;
  if (result < 0) throw new SystemError({ syscall: "waitid", errno: -result });
  const pid = info.getInt32(16, true);
  if (pid === 0) return undefined;
  const status = info.getInt32(24, true);
  return info.getInt32(8, true) === CLD_EXITED ? { pid, code: status } : { pid, signal: status };
}

/**
 * Takes away children that have ended and that nobody waits for: process 1 inherits every orphan of
 * the system.
 *
 * Children that the runtime has started are the runtime's to wait for. Taking one of them away would
 * leave its `Deno.ChildProcess` without an end, so the look comes first and the taking after.
 *
 * @param isOurs true for children of `Deno.Command`
 * @returns those that were taken away
 * @throws SystemError
 */
export function reapOrphans(isOurs: (pid: number) => boolean): ChildExit[] {
  const reaped: ChildExit[] = [];
  for (;;) {
    const ended = waitFor(P_ALL, 0, WNOWAIT);
    // One of the runtime's stands in the way until the runtime has taken it, which it does at once.
    if (!ended || isOurs(ended.pid)) return reaped;
    const taken = waitFor(P_PID, ended.pid, 0);
    if (taken) reaped.push(taken);
  }
}
