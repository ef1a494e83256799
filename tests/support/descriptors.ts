/**
 * Descriptors for tests of what is made of them.
 *
 * @module
 */

import { attempt, once, openLibc } from "../../ffi/libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;

const symbols = once(() =>
  openLibc("Tests of descriptors", {
    socketpair: {
      parameters: ["i32", /* domain */ "i32", /* type */ "i32", /* protocol */ "buffer" /* sv */],
      result: "i32",
    },
    dup3: { parameters: ["i32", /* oldfd */ "i32", /* newfd */ "i32" /* flags */], result: "i32" },
  })
);

/** What to do about tests that need Linux; empty where they run. */
export const LINUX_REMEDY = Deno.build.os === "linux" ? "" : "needs Linux";

/** A number that is no descriptor. One just closed may be another's at once: tests in parallel share a process. */
export const NO_DESCRIPTOR = 2 ** 30;

/** Two connected descriptors that nobody owns yet. Call it once outside of tests: it opens a library. */
export function socketPair(): [number, number] {
  const fds = new Int32Array(2);
  const { socketpair } = symbols();
  attempt("socketpair", undefined, () => socketpair(AF_UNIX, SOCK_STREAM_NONBLOCK_CLOEXEC, 0, fds));
  return [fds[0]!, fds[1]!];
}

/** Closes a descriptor and makes its number another one for `by`, with nobody able to come between. */
export function replaceFd(fd: number, by: number): void {
  const O_CLOEXEC = 0o2000000;
  attempt("dup3", `${by}`, () => symbols().dup3(by, fd, O_CLOEXEC));
}

/** Numbers and targets of this process's descriptors. Tests in parallel share a process. */
export function openFds(): string[] {
  const open: string[] = [];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      open.push(`${name} ${Deno.readLinkSync(`/proc/self/fd/${name}`)}`);
    } catch {
      // That of the listing itself.
    }
  }
  return open.sort();
}
