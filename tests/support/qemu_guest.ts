/**
 * A virtual machine that runs one of our programs under QEMU, with a real AF_VSOCK: the image of
 * `deno task build:guest` plus the program, and a user-space vsock device between guest and host.
 *
 * Without hardware virtualization, which hides no bug of ours and is not needed: a guest is ready
 * within some ten seconds.
 *
 * @module
 */

import { type Entry, writeCpio } from "../../scripts/guest/cpio.ts";
import { machineOf } from "../../scripts/guest/elf.ts";
import type { VsockAddress } from "../../lib/vsock/mod.ts";
import { need } from "./external.ts";

/** Architectures of guests. */
export type GuestArch = "x86_64" | "aarch64";

/** How QEMU is called for an architecture. */
const MACHINES: Readonly<Record<GuestArch, { machine: string; cpu: string; console: string }>> = {
  x86_64: { machine: "q35", cpu: "max", console: "ttyS0" },
  // The true pointer authentication costs more than all the rest.
  aarch64: { machine: "virt", cpu: "max,pauth-impdef=on", console: "ttyAMA0" },
};

/** Context id of the guest; inside it is what `localCid()` says. */
export const GUEST_CID = 4;

const decoder = new TextDecoder();

function imageFolder(arch: GuestArch): string {
  const root = Deno.env.get("AWSOCKS_GUEST_DIR") ??
    new URL("../../dist/guest", import.meta.url).pathname;
  return `${root}/${arch}`;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function deviceProgram(): string {
  return Deno.env.get("AWSOCKS_VSOCK_DEVICE") ?? "vhost-device-vsock";
}

/** What to do about a test that cannot run; empty when it can. */
export function guestNeed(arch: GuestArch = "x86_64"): string {
  if (Deno.build.os !== "linux") return "needs Linux";
  const folder = imageFolder(arch);
  const missing = [
    need(`qemu-system-${arch}`, arch === "x86_64" ? "qemu-system-x86" : "qemu-system-arm"),
    isFile(deviceProgram()) || need(deviceProgram()) === ""
      ? ""
      : "needs a vsock device: cargo install vhost-device-vsock, or name one in AWSOCKS_VSOCK_DEVICE",
    isFile(`${folder}/vmlinuz`)
      ? ""
      : `needs an image: deno task build:guest --runtime deno --arch ${arch}`,
  ];
  return missing.filter((each) => each !== "").join("; ");
}

/** Options of {@linkcode startGuest}. */
export interface GuestOptions {
  /** Program to run, with all that it imports. It may do as it likes: it is root. */
  readonly program: URL;
  readonly args?: readonly string[];
  readonly arch?: GuestArch;
  /** More files, for example programs. */
  readonly files?: readonly Entry[];
  /** Modules of the image that are left for the program to load, from `/lib/modules/NAME.ko`. */
  readonly leaveOut?: readonly string[];
  /** Megabytes; default 1024. */
  readonly memory?: number;
  /** Processors; default 2. */
  readonly cpus?: number;
  /** Gives it an interface and a way to this machine's loopback, 10.0.2.2; default false. */
  readonly network?: boolean;
  /** Milliseconds after which everything is ended; default 180,000. */
  readonly limit?: number;
}

/** Starts a guest. It has not booted when this resolves: wait for a line of its program. */
export async function startGuest(options: GuestOptions): Promise<QemuGuest> {
  const folder = await Deno.makeTempDir({ prefix: "awsocks-qemu-" });
  try {
    await writeInitrd(options, `${folder}/initrd`);
    const device = await startDevice(folder);
    return new QemuGuest(folder, device, startQemu(options, folder), options.limit ?? 180_000);
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
}

/** The image's archive with ours behind it; where both have a file, the kernel takes the later one. */
async function writeInitrd(options: GuestOptions, path: string): Promise<void> {
  const { arch = "x86_64", leaveOut = [], args = [], files = [] } = options;
  const image = await Deno.readFile(`${imageFolder(arch)}/initrd.gz`);
  const entries: Entry[] = [
    text("test/init", initScript(args, leaveOut), 0o755),
    { kind: "file", path: "test/program.js", data: await bundle(options.program) },
    ...files,
  ];
  const facts = JSON.parse(await Deno.readTextFile(`${imageFolder(arch)}/guest.json`));
  if (facts.agent !== "bundled") entries.push(await ownDeno(arch));
  const archive = writeCpio(entries);
  const start = Math.ceil(image.byteLength / 4) * 4; // archives begin at whole words
  const whole = new Uint8Array(start + archive.byteLength);
  whole.set(image);
  whole.set(archive, start);
  await Deno.writeFile(path, whole);
}

function text(path: string, content: string, mode = 0o644): Entry {
  return { kind: "file", path, mode, data: new TextEncoder().encode(content) };
}

/** Images with a compiled agent have no Deno of their own. */
async function ownDeno(arch: GuestArch): Promise<Entry> {
  const data = await Deno.readFile(Deno.execPath());
  if (machineOf(data) !== arch) {
    throw new Error(`The image has no Deno for ${arch}: build it with --runtime deno`);
  }
  return { kind: "file", path: "usr/bin/deno", mode: 0o755, data };
}

function initScript(args: readonly string[], leaveOut: readonly string[]): string {
  const quoted = args.map((each) => `'${each.replaceAll("'", `'\\''`)}'`).join(" ");
  return `#!/bin/sh
export PATH=/usr/bin:/bin HOME=/root DENO_DIR=/tmp/deno DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do
  case " ${leaveOut.join(" ")} " in *" $module "*) ;; *) insmod "/lib/modules/$module.ko" ;; esac
done </etc/awsocks/modules
exec </dev/console >/dev/console 2>&1
deno run -A --quiet --cached-only /test/program.js ${quoted}
echo "guest: the program ended with $?"
busybox poweroff -f
`;
}

async function bundle(program: URL): Promise<Uint8Array> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform=deno", program.pathname],
    env: { NO_COLOR: "1" },
  }).output();
  if (!success) throw new Error(`${program.pathname} cannot be bundled: ${decoder.decode(stderr)}`);
  return stdout;
}

async function startDevice(folder: string): Promise<Deno.ChildProcess> {
  const vm = `guest-cid=${GUEST_CID},socket=${folder}/vhost.sock,uds-path=${folder}/vm.vsock`;
  const device = new Deno.Command(deviceProgram(), {
    args: ["--vm", vm],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  for (const end = Date.now() + 10_000; Date.now() < end;) {
    const there = [`${folder}/vhost.sock`, `${folder}/vm.vsock`].every((path) => {
      try {
        return Deno.lstatSync(path).isSocket;
      } catch {
        return false;
      }
    });
    if (there) return device;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  device.kill("SIGKILL");
  await device.status;
  throw new Error(`${deviceProgram()} opened no socket within 10 s`);
}

function startQemu(options: GuestOptions, folder: string): Deno.ChildProcess {
  const { arch = "x86_64", memory = 1024, cpus = 2, network = false } = options;
  const { machine, cpu, console } = MACHINES[arch];
  return new Deno.Command(`qemu-system-${arch}`, {
    args: [
      ...["-accel", "tcg", "-cpu", cpu, "-smp", `${cpus}`, "-m", `${memory}`],
      // The device reads and writes the guest's memory itself.
      ...["-object", `memory-backend-memfd,id=mem,size=${memory}M,share=on`],
      ...["-machine", `${machine},memory-backend=mem`],
      ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
      ...["-kernel", `${imageFolder(arch)}/vmlinuz`, "-initrd", `${folder}/initrd`],
      ...["-append", `console=${console} quiet panic=-1 rdinit=/test/init`],
      ...["-chardev", `socket,id=vsock,path=${folder}/vhost.sock`],
      ...["-device", "vhost-user-vsock-pci,chardev=vsock"],
      ...network ? ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net"] : [],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** A running guest. */
export class QemuGuest implements AsyncDisposable {
  readonly #folder: string;
  readonly #device: Deno.ChildProcess;
  readonly #qemu: Deno.ChildProcess;
  readonly #limit: ReturnType<typeof setTimeout>;
  readonly #output: Promise<unknown>;
  readonly #waiting = new Set<() => void>();
  #console = "";
  #ended = false;
  /** Resolves when the machine is off. */
  readonly ended: Promise<Deno.CommandStatus>;

  constructor(
    folder: string,
    device: Deno.ChildProcess,
    qemu: Deno.ChildProcess,
    limit: number,
  ) {
    this.#folder = folder;
    this.#device = device;
    this.#qemu = qemu;
    this.#limit = setTimeout(() => this.#kill(), limit);
    this.#output = Promise.all([this.#collect(qemu.stdout), this.#collect(qemu.stderr)]);
    this.ended = this.#end();
  }

  /** What the guest and QEMU have written so far. */
  get console(): string {
    return this.#console;
  }

  /**
   * A port between guest and host. Connecting there reaches what listens in the guest; listening there
   * takes the guest's connections to that port of CID 2.
   */
  port(port: number): VsockAddress {
    return { kind: "unix", path: `${this.#folder}/vm.vsock`, port };
  }

  /**
   * Waits for text on the console.
   * @throws Error with the end of the console when the machine ends without it
   */
  async seen(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#console);
      if (match) return match;
      if (this.#ended) throw new Error(`The guest ended without ${pattern}:\n${this.tail()}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /**
   * Waits for something else, for no longer than the machine runs.
   * @throws Error with the end of the console when the machine ends first
   */
  orEnd<T>(work: Promise<T>): Promise<T> {
    const end = this.ended.then(() => {
      throw new Error(`The guest ended too early:\n${this.tail()}`);
    });
    return Promise.race([work, end]);
  }

  /** The last lines of the console. */
  tail(lines = 20): string {
    return this.#console.trimEnd().split(/\r?\n/).slice(-lines).join("\n");
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.#console += text;
      this.#wake();
    }
  }

  async #end(): Promise<Deno.CommandStatus> {
    const status = await this.#qemu.status;
    await this.#output;
    clearTimeout(this.#limit);
    this.#ended = true;
    this.#wake();
    return status;
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #kill(): void {
    if (!this.#ended) this.#qemu.kill("SIGKILL");
  }

  /** Ends the machine, as by pulling the plug, and its device. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.ended;
    this.#device.kill("SIGTERM");
    await this.#device.status;
    await Deno.remove(this.#folder, { recursive: true });
  }
}
