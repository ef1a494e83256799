/**
 * What an image is made of, pinned: `guest/packages.lock.json`.
 *
 * @module
 */

import type { Arch } from "./elf.ts";

/** A Debian package of one version. */
export interface PinnedPackage {
  readonly name: string;
  readonly version: string;
  /** Of the `.deb` file. */
  readonly sha256: string;
}

/** The lock file. */
export interface Lock {
  readonly packages: Readonly<Record<Arch, readonly PinnedPackage[]>>;
  readonly deno: {
    readonly version: string;
    /** Of the program in the npm package, by architecture. */
    readonly sha256: Readonly<Record<Arch, string>>;
  };
}

/** Packages of an image. Of the kernel the metapackage is named; the lock has what it stands for. */
export const PACKAGES: Readonly<Record<Arch, readonly string[]>> = {
  x86_64: ["linux-image-cloud-amd64", "busybox-static", "libc6", "libgcc-s1", "ca-certificates"],
  aarch64: ["linux-image-cloud-arm64", "busybox-static", "libc6", "libgcc-s1", "ca-certificates"],
};

/** Where the lock file is. */
export const LOCK_FILE = new URL("../../guest/packages.lock.json", import.meta.url);

/** Reads a lock file. */
export async function readLock(path: string | URL = LOCK_FILE): Promise<Lock> {
  return JSON.parse(await Deno.readTextFile(path));
}

/** Writes a lock file. */
export async function writeLock(lock: Lock, path: string | URL = LOCK_FILE): Promise<void> {
  await Deno.writeTextFile(path, `${JSON.stringify(lock, undefined, 2)}\n`);
}
