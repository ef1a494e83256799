/**
 * Stand-ins for QEMU and the vsock device: shell scripts in a folder of their own.
 *
 * @module
 */

import { gzipSync } from "node:zlib";
import type { GuestImage } from "../../lib/vm/mod.ts";

/** Opens its socket, as far as anybody looks, and stays. */
export const DEVICE = 'path=${2#*socket=}; : > "${path%%,*}"; exec sleep 1000';

/** Writes a line to the serial console, and stays. */
export const QEMU = "echo guest is up; exec sleep 1000";

/** A folder with programs, a place for run folders, and an image. */
export class FakePrograms implements AsyncDisposable {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;

  constructor() {
    this.folder = Deno.makeTempDirSync({ prefix: "awsocks-fake-" });
    Deno.mkdirSync(`${this.folder}/run`);
    this.env = { PATH: Deno.env.get("PATH")!, TMPDIR: `${this.folder}/run` };
    Deno.writeFileSync(`${this.folder}/initrd.gz`, gzipSync("archive"));
  }

  /** An image, for whoever only passes it on. */
  get image(): GuestImage {
    const kernel = `${this.folder}/vmlinuz`;
    return { arch: Deno.build.arch, kernel, initrd: `${this.folder}/initrd.gz` };
  }

  /** Writes a program of `/bin/sh`. @returns its path */
  program(name: string, script: string): string {
    const path = `${this.folder}/${name}`;
    Deno.writeTextFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return path;
  }

  /** Names in the folder of run folders. */
  runFolders(): string[] {
    return [...Deno.readDirSync(`${this.folder}/run`)].map(({ name }) => name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}
