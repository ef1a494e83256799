/**
 * The guest's vsock device: the host kernel's where it has one, else a program.
 *
 * @module
 */

import { AwsocksError, type Clock, type Conn } from "../core/mod.ts";
import { CIDS, connectVsock, listenVsock, type VsockListener } from "../vsock/mod.ts";
import type { ConsoleBuffer } from "./console_log.ts";
import { canUse, findProgram, type RunningProgram, startProgram } from "./process.ts";
import type { VsockWiring } from "./qemu_args.ts";
import type { RunFolder } from "./run_folder.ts";

/** The program that is looked for: of the rust-vmm project. */
const PROGRAM = "vhost-device-vsock";

/** Milliseconds that it has to listen. */
const LISTEN_MS = 5000;
const POLL_MS = 10;

/** A device, for one machine; it is started with each start of the machine. */
export interface VsockDevice {
  /**
   * Starts it.
   * @returns how QEMU reaches it, and the program behind it if there is one
   * @throws AwsocksError `vm-unavailable`, `vm-failed`; the reason of the signal
   */
  start(options: {
    readonly signal?: AbortSignal | undefined;
  }): Promise<{ readonly wiring: VsockWiring; readonly program?: RunningProgram }>;
  listen(port: number): Promise<VsockListener>;
  connect(port: number, options: { readonly signal?: AbortSignal | undefined }): Promise<Conn>;
}

/** Options of {@linkcode chooseVsockDevice}. */
export interface VsockDeviceOptions {
  /** Program that the user names. */
  readonly program?: string | undefined;
  readonly folder: RunFolder;
  readonly console: ConsoleBuffer;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

/** Picks the device. @throws AwsocksError `vm-unavailable` when there is none */
export async function chooseVsockDevice(options: VsockDeviceOptions): Promise<VsockDevice> {
  if (options.program === undefined && await canUse("/dev/vhost-vsock")) return kernelDevice();
  const name = options.program ?? PROGRAM;
  const program = await findProgram(name, options.env);
  if (program) return programDevice({ ...options, program });
  throw new AwsocksError(
    "vm-unavailable",
    options.program === undefined
      ? `No vsock device for the machine: /dev/vhost-vsock cannot be used and ${name} is not installed`
      : `The vsock device ${name} is not there`,
    {
      hint:
        "load the kernel module vhost_vsock, or name a vhost-user vsock program with --vsock-device",
    },
  );
}

/** The host kernel's; context ids are the whole machine's. */
function kernelDevice(): VsockDevice {
  // 0 to 2 have a meaning. Two machines with one number: the second does not start, and takes another.
  let cid = 0;
  return {
    start() {
      cid = 3 + crypto.getRandomValues(new Uint32Array(1))[0]! % 0x7fff_0000;
      return Promise.resolve({ wiring: { kind: "vhost", cid } });
    },
    // Credentials go to whoever connects: that must be this machine, not another one of the host.
    listen: (port) =>
      listenVsock({ kind: "vsock", cid: CIDS.any!, port }, { admits: (peer) => peer === cid }),
    connect: (port, { signal }) => connectVsock({ kind: "vsock", cid, port }, { signal }),
  };
}

/** A program's: the ports of both sides are Unix sockets in the machine's folder. */
function programDevice(options: VsockDeviceOptions & { readonly program: string }): VsockDevice {
  const { folder, console, env, clock } = options;
  const socket = folder.file("vhost.sock");
  const path = folder.file("vm.vsock");
  return {
    async start({ signal }) {
      for (const stale of [socket, path]) await Deno.remove(stale).catch(() => {});
      const program = await startProgram({
        program: options.program,
        args: ["--vm", `guest-cid=3,socket=${socket},uds-path=${path}`],
        name: "The vsock device",
        console,
        sources: { stdout: "vsock-device", stderr: "vsock-device" },
        env,
        clock,
      });
      try {
        await folder.note("vsock-device", program.pid);
        await appears(socket, program, clock, signal);
      } catch (error) {
        await program.end();
        throw error;
      }
      return { wiring: { kind: "vhost-user", socket }, program };
    },
    listen: (port) => listenVsock({ kind: "unix", path, port }),
    connect: (port, { signal }) => connectVsock({ kind: "unix", path, port }, { signal }),
  };
}

/** Waits for a file that a program makes. */
async function appears(
  path: string,
  program: RunningProgram,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<void> {
  let end: string | undefined;
  void program.ended.then((words) => end = words);
  const since = clock.monotonic();
  while (!await exists(path)) {
    if (end !== undefined) throw new AwsocksError("vm-failed", `${end} before it was ready`);
    if (clock.monotonic() - since > LISTEN_MS) {
      throw new AwsocksError("vm-failed", `The vsock device did not open ${path}`);
    }
    await clock.sleep(POLL_MS, { signal });
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}
