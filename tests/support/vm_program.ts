/**
 * `awsocks start --mode vm` in a process of its own, its machine included.
 *
 * @module
 */

import assert from "node:assert/strict";
import { note } from "./external.ts";
import { type Program, startProgram } from "./program.ts";
import type { GuestArch } from "./qemu_guest.ts";

/** Milliseconds for a program with a machine, which may be started twice. */
const LIMIT_MS = 480_000;

/** Folder of the images. */
export function imageRoot(): string {
  return Deno.env.get("AWSOCKS_GUEST_DIR") ??
    new URL("../../dist/guest", import.meta.url).pathname;
}

/** A running program with a machine. */
export class VmProgram implements AsyncDisposable {
  readonly program: Program;
  readonly #folder: string;

  private constructor(program: Program, folder: string) {
    this.program = program;
    this.#folder = folder;
  }

  /** Starts it; the machine boots meanwhile. */
  static async start(
    args: readonly string[],
    options: {
      readonly env?: Readonly<Record<string, string>>;
      readonly home?: string;
      readonly arch?: GuestArch;
      /** A compiled program. */
      readonly binary?: string;
    } = {},
  ): Promise<VmProgram> {
    const { arch = "x86_64", env, home, binary } = options;
    // Folders of machines go here, so that what is left behind shows.
    const folder = await Deno.makeTempDir({ prefix: "awsocks-t-" });
    const program = startProgram(["start", "--mode", "vm", "-l", "127.0.0.1:0", ...args], {
      env: {
        AWSOCKS_GUEST_DIR: `${imageRoot()}/${arch}`,
        AWSOCKS_VSOCK_DEVICE: Deno.env.get("AWSOCKS_VSOCK_DEVICE") ?? "vhost-device-vsock",
        TMPDIR: folder,
        ...env,
      },
      limit: LIMIT_MS,
      ...(home === undefined ? {} : { home }),
      ...(binary === undefined ? {} : { binary }),
    });
    return new VmProgram(program, folder);
  }

  /** Where it listens, `127.0.0.1:PORT`. */
  async proxy(): Promise<string> {
    const [, port] = await this.program.saw(/listens on 127\.0\.0\.1:(\d+)/);
    return `127.0.0.1:${port}`;
  }

  /** Resolves when the guest has connected for the `times`th time. */
  async connected(times = 1): Promise<void> {
    const pattern = new RegExp(`(Connected: awsocks-agent[^]*){${times}}`);
    await this.program.saw(pattern, "stderr");
  }

  /** Process ids of the machine. */
  async pids(): Promise<{ readonly qemu: number; readonly device: number }> {
    const folder = await this.#machineFolder();
    const of = async (name: string) =>
      Number(await Deno.readTextFile(`${this.#folder}/${folder}/${name}.pid`));
    return { qemu: await of("qemu"), device: await of("vsock-device") };
  }

  /** Ends it as Ctrl-C does; nothing of it is left. */
  async endsWell(): Promise<void> {
    const { qemu, device } = await this.pids();
    const since = performance.now();
    const { code, stderr } = await this.program.stop();
    await note(`stopped in ${((performance.now() - since) / 1000).toFixed(1)} s`);
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /Uncaught|^error:|at file:|could be closed in time/m);
    assert.equal(await this.#machineFolder(), undefined, "the machine's folder is left");
    for (const pid of [qemu, device]) {
      await assert.rejects(Deno.stat(`/proc/${pid}`), Deno.errors.NotFound);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }

  async #machineFolder(): Promise<string | undefined> {
    for await (const { name } of Deno.readDir(this.#folder)) {
      if (name.startsWith("awsocks-vm-")) return name;
    }
    return undefined;
  }
}

/** Ports of this machine that a process has connections to. */
export async function peersOf(pid: number): Promise<number[]> {
  const sockets = new Set<string>();
  for await (const { name } of Deno.readDir(`/proc/${pid}/fd`)) {
    const target = await Deno.readLink(`/proc/${pid}/fd/${name}`).catch(() => "");
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) sockets.add(inode);
  }
  const table = await Deno.readTextFile("/proc/net/tcp"); // see proc_net_tcp in the kernel's documentation
  return table.split("\n").slice(1).map((line) => line.trim().split(/\s+/))
    .filter((fields) => sockets.has(fields[9] ?? "") && !fields[2]!.endsWith(":0000"))
    .map((fields) => parseInt(fields[2]!.split(":")[1]!, 16));
}
