/**
 * File systems that a Linux program takes for granted.
 *
 * @module
 */

import { describeError, getLog } from "../core/mod.ts";
import { errnoOf, type Kernel } from "./kernel.ts";

const log = getLog("guest");

/** A file system to mount. */
interface Mount {
  readonly type: string;
  readonly target: string;
  readonly flags: number;
  readonly data?: string;
}

// linux/mount.h
const NOSUID = 2;
const NODEV = 4;
const NOEXEC = 8;

/** In this order: `/proc` tells what is mounted already. */
export const MOUNTS: readonly Mount[] = [
  { type: "proc", target: "/proc", flags: NOSUID | NODEV | NOEXEC },
  { type: "sysfs", target: "/sys", flags: NOSUID | NODEV | NOEXEC },
  { type: "devtmpfs", target: "/dev", flags: NOSUID },
  { type: "devpts", target: "/dev/pts", flags: NOSUID | NOEXEC, data: "mode=0620" },
  { type: "tmpfs", target: "/run", flags: NOSUID | NODEV, data: "mode=0755,size=16m" },
  { type: "tmpfs", target: "/tmp", flags: NOSUID | NODEV, data: "mode=1777,size=25%" },
];

/**
 * Mounts what is not mounted yet. A folder that is in use already is left as it is: what covers it would
 * hide the files. Failures are logged.
 */
export async function mountAll(kernel: Kernel, mounts: readonly Mount[] = MOUNTS): Promise<void> {
  for (const mount of mounts) {
    try {
      if (mount.type === "tmpfs" && await isInUse(mount.target)) continue;
      if ((await mountPoints()).has(mount.target)) continue;
      await Deno.mkdir(mount.target, { recursive: true });
      kernel.mount({ source: mount.type, ...mount });
    } catch (error) {
      if (errnoOf(error) === "EBUSY") continue;
      log.error("{target} cannot be mounted: {reason}", {
        target: mount.target,
        reason: describeError(error),
      });
    }
  }
}

async function isInUse(folder: string): Promise<boolean> {
  try {
    for await (const _ of Deno.readDir(folder)) return true;
    return false;
  } catch {
    return false; // there is no such folder yet
  }
}

async function mountPoints(): Promise<ReadonlySet<string>> {
  try {
    return parseMounts(await Deno.readTextFile("/proc/self/mounts"));
  } catch {
    return new Set(); // `/proc` is the first to be mounted
  }
}

/** Mount points of a file like `/proc/self/mounts`; fstab(5) has its escapes. */
export function parseMounts(text: string): Set<string> {
  const points = text.split("\n").flatMap((line) => {
    const point = line.split(" ")[1];
    return point === undefined
      ? []
      : [point.replaceAll(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)))];
  });
  return new Set(points);
}
