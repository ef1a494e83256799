/**
 * The machine as a whole: file systems, modules, host name, clock, entropy, power.
 *
 * @module
 */

import { Errno } from "./errors.ts";
import { attempt, cString, files, invoke, once, openLibc, withFile } from "./libc.ts";
import { SystemError } from "./errors.ts";

const symbols = once(() =>
  openLibc("Bringing a system up", {
    mount: {
      parameters: [
        "buffer", /* source */
        "buffer", /* target */
        "buffer", /* filesystemtype */
        "usize", /* mountflags */
        "buffer", /* data */
      ],
      result: "i32",
    },
    umount2: { parameters: ["buffer", /* target */ "i32" /* flags */], result: "i32" },
    sethostname: { parameters: ["buffer", /* name */ "usize" /* len */], result: "i32" },
    clock_settime: { parameters: ["i32", /* clockid */ "buffer" /* tp */], result: "i32" },
    sync: { parameters: [], result: "void" },
    reboot: { parameters: ["i32" /* cmd */], result: "i32" },
    // The C library has no finit_module. `syscall` is variadic, which the ABIs of Linux pass alike.
    finit_module: {
      name: "syscall",
      parameters: ["i64", /* number */ "i32", /* fd */ "buffer", /* params */ "i32" /* flags */],
      result: "i64",
    },
  })
);

/** Flags of {@linkcode mount}, linux/mount.h. */
export const MountFlag = {
  ReadOnly: 1,
  NoSuid: 2,
  NoDev: 4,
  NoExec: 8,
  Remount: 32,
  Bind: 4096,
  Private: 1 << 18,
} as const;

/** Options of {@linkcode mount}. */
export interface MountOptions {
  /** A device, or any word for file systems without one. */
  readonly source: string;
  /** Folder to mount on. */
  readonly target: string;
  /** Kind of file system, such as `tmpfs`; not needed to bind or remount. */
  readonly type?: string;
  /** Sum of {@linkcode MountFlag}. */
  readonly flags?: number;
  /** Options of the file system, such as `size=16m`. */
  readonly data?: string;
}

/**
 * Mounts a file system; mount(2).
 * @throws SystemError
 */
export function mount({ source, target, type, flags = 0, data }: MountOptions): void {
  const names = [source, target, type, data].map((name) =>
    name === undefined ? null : cString(name)
  );
  const [from, on, kind, options] = names;
  attempt("mount", target, () => symbols().mount(from!, on!, kind!, BigInt(flags), options!));
}

/**
 * Takes a file system off, at once or as soon as nobody uses it any more.
 * @throws SystemError
 */
export function unmount(target: string, options: { readonly lazy?: boolean } = {}): void {
  const MNT_DETACH = 2;
  const on = cString(target);
  attempt("umount2", target, () => symbols().umount2(on, options.lazy ? MNT_DETACH : 0));
}

/** `__NR_finit_module` of each architecture. */
const NR_FINIT_MODULE = Deno.build.arch === "x86_64" ? 313n : 273n;

/**
 * Loads a kernel module; finit_module(2). Modules that it needs must be there already.
 * @param path an uncompressed `.ko` file
 * @returns false when it was loaded before
 * @throws SystemError
 */
export function loadModule(path: string, parameters = ""): boolean {
  const O_RDONLY = 0;
  return withFile(path, (fd) => {
    const text = cString(parameters);
    const result = invoke(() => symbols().finit_module(NR_FINIT_MODULE, fd, text, 0));
    if (result >= 0) return true;
    if (result === -Errno.EEXIST) return false;
    throw new SystemError({ syscall: "finit_module", address: path, errno: -result });
  }, O_RDONLY);
}

/**
 * Names this machine.
 * @throws SystemError
 */
export function setHostName(name: string): void {
  const bytes = cString(name);
  const length = BigInt(bytes.byteLength - 1);
  attempt("sethostname", name, () => symbols().sethostname(bytes, length));
}

/**
 * Sets the clock of the machine; clock_settime(2).
 * @param time milliseconds since the Unix epoch
 * @throws SystemError
 */
export function setTime(time: number): void {
  const CLOCK_REALTIME = 0;
  const seconds = Math.floor(time / 1000);
  // struct timespec: seconds, nanoseconds
  const spec = BigInt64Array.of(
    BigInt(seconds),
    BigInt(Math.floor((time - seconds * 1000) * 1e6)),
  );
  attempt(
    "clock_settime",
    new Date(time).toISOString(),
    () => symbols().clock_settime(CLOCK_REALTIME, spec),
  );
}

/**
 * Gives the kernel random bytes that it may count on; random(4).
 * @throws SystemError
 */
export function addEntropy(random: Uint8Array): void {
  const RNDADDENTROPY = 0x40085203n;
  // struct rand_pool_info: bits of entropy, bytes, the bytes
  const info = new Uint8Array(8 + random.byteLength);
  const view = new DataView(info.buffer);
  view.setInt32(0, random.byteLength * 8, true);
  view.setInt32(4, random.byteLength, true);
  info.set(random, 8);
  withFile("/dev/random", (fd) => {
    attempt("ioctl", "/dev/random", () => files().ioctl(fd, RNDADDENTROPY, info));
  });
}

/** Commands of reboot(2). */
const REBOOT = { off: 0x4321fedc, restart: 0x01234567 } as const;

/**
 * Writes everything to its disk and switches the machine off, or starts it again. Does not return
 * when it succeeds.
 * @throws SystemError, `EPERM` without the right to
 */
export function powerOff(options: { readonly restart?: boolean } = {}): void {
  symbols().sync();
  attempt(
    "reboot",
    undefined,
    () => symbols().reboot(options.restart ? REBOOT.restart : REBOOT.off),
  );
}
