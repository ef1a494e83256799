/**
 * Where the guest's image is: kernel and initramfs, as `deno task build:guest` makes them.
 *
 * @module
 */

import { dirname, join, resolve } from "node:path";
import { AwsocksError } from "../core/mod.ts";

/** Architectures of guests, in the words of `uname -m`. */
export type GuestArch = "x86_64" | "aarch64";

/** An image. */
export interface GuestImage {
  readonly arch: GuestArch;
  /** Path of the kernel. */
  readonly kernel: string;
  /** Path of the initramfs, gzip over cpio. */
  readonly initrd: string;
}

/** Options of {@linkcode findGuestImage}. */
export interface FindImageOptions {
  readonly arch: GuestArch;
  /**
   * Folder that the user names; then nothing else is looked at. An image that lies right in it is taken
   * whatever its architecture: QEMU runs it, if slowly.
   */
  readonly folder?: string | undefined;
  /** Folders to look at otherwise, the first with an image wins; see {@linkcode imageFolders}. */
  readonly folders: readonly string[];
}

const HINT = "`deno task build:guest` makes one; name its folder with --guest-dir";

/**
 * Finds the image of an architecture: `guest.json` in a folder, or in a folder of it with the name of
 * the architecture.
 * @throws AwsocksError `vm-unavailable`
 */
export async function findGuestImage(options: FindImageOptions): Promise<GuestImage> {
  const { arch, folder, folders } = options;
  for (const each of folder === undefined ? folders : [folder]) {
    const found = await imageIn(each, folder === undefined ? arch : undefined) ??
      await imageIn(join(each, arch), arch);
    if (found) return found;
  }
  const where = folder ?? folders.join(", ");
  throw new AwsocksError("vm-unavailable", `No guest image for ${arch} in ${where}`, {
    hint: HINT,
  });
}

/** Where images are by default: beside the program, in the user's data, and where they are built. */
export function imageFolders(options: {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string | undefined;
  /** Path of the running program. */
  readonly program: string;
}): string[] {
  const { env, home, program } = options;
  const data = env["XDG_DATA_HOME"] ||
    (home === undefined ? undefined : join(home, ".local/share"));
  const sources = new URL("../../dist/guest", import.meta.url);
  return [
    resolve(dirname(program), "../share/awsocks"),
    ...(data === undefined ? [] : [join(data, "awsocks")]),
    ...(sources.protocol === "file:" ? [sources.pathname] : []),
  ];
}

interface Facts {
  readonly arch?: unknown;
  readonly bytes?: Readonly<Record<string, unknown>>;
}

const ARCHITECTURES: readonly GuestArch[] = ["x86_64", "aarch64"];

/** The image in a folder, if there is one, of `wanted` or any architecture. */
async function imageIn(
  folder: string,
  wanted: GuestArch | undefined,
): Promise<GuestImage | undefined> {
  const path = join(folder, "guest.json");
  let facts: Facts;
  try {
    facts = JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw broken(`${path} cannot be read`, cause);
  }
  const arch = ARCHITECTURES.find((each) => each === facts?.arch);
  if (!arch) throw broken(`${path} names no architecture that is known`);
  if (wanted !== undefined && arch !== wanted) return undefined;
  const [kernel, initrd] = [join(folder, "vmlinuz"), join(folder, "initrd.gz")];
  for (const [name, file] of [["vmlinuz", kernel], ["initrd.gz", initrd]] as const) {
    await checkSize(file, facts.bytes?.[name]);
  }
  return { arch, kernel, initrd };
}

/** A file that was copied in part would only show as a guest that dies early. */
async function checkSize(path: string, bytes: unknown): Promise<void> {
  let size: number;
  try {
    size = (await Deno.stat(path)).size;
  } catch (cause) {
    throw broken(`${path} cannot be read`, cause);
  }
  if (size !== bytes) throw broken(`${path} has ${size} bytes in place of ${bytes}`);
}

function broken(why: string, cause?: unknown): AwsocksError {
  return new AwsocksError("vm-unavailable", `The guest image is damaged: ${why}`, {
    cause,
    hint: HINT,
  });
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory;
}
