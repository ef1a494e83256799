/**
 * The C library of Linux: opened on first use, error numbers read where nothing can have changed them.
 *
 * The structures and constants of this folder are those of the 64-bit ABIs of x86-64 and arm64, which
 * agree except where a file says otherwise.
 *
 * @module
 */

import { Errno, SystemError, UnsupportedPlatformError } from "./errors.ts";

/** File of the GNU C library; Deno itself needs it on Linux. */
const LIBC = "libc.so.6";

/** The system in use; replaced in tests. */
export interface Platform {
  readonly os: string;
  readonly arch: string;
}

/**
 * Refuses systems whose structures are not ours.
 * @throws UnsupportedPlatformError
 */
export function requireLinux(what: string, { os, arch }: Platform = Deno.build): void {
  if (os === "linux" && (arch === "x86_64" || arch === "aarch64")) return;
  throw new UnsupportedPlatformError(
    `${what} needs Linux on x86-64 or arm64, and this is ${os} on ${arch}`,
  );
}

/**
 * Opens the C library with a table of symbols. It stays open: a program uses it to its end.
 * @throws UnsupportedPlatformError on another system, or without the GNU C library
 */
export function openLibc<const S extends Deno.ForeignLibraryInterface>(
  what: string,
  symbols: S,
): Deno.DynamicLibrary<S>["symbols"] {
  requireLinux(what);
  try {
    return Deno.dlopen(LIBC, symbols).symbols;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new UnsupportedPlatformError(`${what} needs ${LIBC}, which cannot be opened`, { cause });
  }
}

/** Makes a function that calls `make` once and gives the same result ever after. */
export function once<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => made ??= make();
}

/**
 * The error number of this thread, as memory.
 *
 * errno is a variable per thread whose place never changes, and JavaScript of one isolate runs on one
 * thread. Reading it is a load and no call, so nothing comes between a failed call and the look at its
 * reason. For the same reason errno says nothing of a non-blocking FFI call, which runs on a thread of
 * the pool.
 */
const errnoCell = once((): Int32Array => {
  const { __errno_location } = openLibc("A system call", {
    __errno_location: { parameters: [], result: "pointer" },
  });
  const place = __errno_location();
  if (place === null) throw new UnsupportedPlatformError("The C library has no errno");
  // Lives as long as the thread, and so as long as this isolate.
  return new Int32Array(Deno.UnsafePointerView.getArrayBuffer(place, Int32Array.BYTES_PER_ELEMENT));
});

/**
 * Calls a function of the C library that says −1 and sets errno when it fails, again as long as a
 * signal interrupts it.
 *
 * @param call the (blocking) FFI call and nothing else
 * @returns its result, or the negative error number
 */
export function invoke(call: () => number | bigint): number {
  const errno = errnoCell();
  for (;;) {
    const result = call();
    if (result >= 0) return Number(result);
    const error = errno[0]!;
    if (error !== Errno.EINTR) return -error;
  }
}

/**
 * Like {@linkcode invoke}, for calls whose every failure is one of ours.
 * @throws SystemError
 */
export function attempt(
  syscall: string,
  address: string | undefined,
  call: () => number | bigint,
): number {
  const result = invoke(call);
  if (result < 0) throw new SystemError({ syscall, address, errno: -result });
  return result;
}

/**
 * Text as a C string.
 * @throws TypeError for text with a zero byte, which C would cut
 */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError("The text has a zero byte");
  return new TextEncoder().encode(`${text}\0`);
}

/** Calls on descriptors that every file here needs. */
export const files = once(() =>
  openLibc("A system call", {
    open: {
      parameters: ["buffer", /* path */ "i32", /* flags */ "u32" /* mode */],
      result: "i32",
    },
    close: { parameters: ["i32" /* fd */], result: "i32" },
    ioctl: {
      parameters: ["i32", /* fd */ "usize", /* request */ "buffer" /* argument */],
      result: "i32",
    },
  })
);

/** Closes a descriptor. Linux frees it whatever `close` says, so there is nothing to report. */
export function closeFd(fd: number): void {
  files().close(fd);
}

const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;

/**
 * Opens a file for the time of one piece of work.
 * @throws SystemError
 */
export function withFile<T>(path: string, work: (fd: number) => T, flags = O_RDWR): T {
  const name = cString(path);
  const fd = attempt("open", path, () => files().open(name, flags | O_CLOEXEC, 0));
  try {
    return work(fd);
  } finally {
    closeFd(fd);
  }
}
