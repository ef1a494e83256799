/**
 * What failing system calls look like to the rest of the program.
 *
 * @module
 */

import { getSystemErrorMap } from "node:util";

/** Facts of a failed system call. */
export interface SystemErrorFacts {
  /** What was called, such as `connect`. */
  readonly syscall: string;
  /** What it was called on, for people: an address, a path, an interface. */
  readonly address?: string | undefined;
  /** Error number of this system. */
  readonly errno: number;
  /** Replaces the system's words for the error number. */
  readonly reason?: string | undefined;
}

/** A system call that failed. The shape is that of Node's system errors. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  /** Name of the error number, such as `ECONNREFUSED`. */
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly address: string | undefined;

  constructor({ syscall, address, errno, reason }: SystemErrorFacts, options?: ErrorOptions) {
    const [code, words] = getSystemErrorMap().get(-errno) ?? [`E${errno}`, `error ${errno}`];
    const what = address === undefined ? syscall : `${syscall} ${address}`;
    super(`${what}: ${reason ?? words} (${code})`, options);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
    this.address = address;
  }
}

/** This system cannot do what was asked, whatever the circumstances. */
export class UnsupportedPlatformError extends Error {
  override readonly name = "UnsupportedPlatformError";
  readonly code = "unsupported-platform";
}

/** Error numbers that the code decides on; the same on every architecture of Linux we run on. */
export const Errno = {
  EINTR: 4,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  EEXIST: 17,
  ENOTCONN: 107,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EINPROGRESS: 115,
  ECANCELED: 125,
} as const;
