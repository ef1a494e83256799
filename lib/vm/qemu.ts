/**
 * Machines of QEMU, on Linux.
 *
 * @module
 */

import {
  AwsocksError,
  type Clock,
  type Conn,
  getLog,
  settledWithin,
  systemClock,
  withDeadline,
} from "../core/mod.ts";
import type { VsockListener } from "../vsock/mod.ts";
import { ConsoleBuffer, type ConsoleLog, consoleWords } from "./console_log.ts";
import type { GuestImage } from "./image.ts";
import type {
  Machine,
  MachineEvent,
  MachineExit,
  MachineOptions,
  MachineState,
} from "./machine.ts";
import { canUse, findProgram, type RunningProgram, startProgram } from "./process.ts";
import { type Accelerator, qemuArgs, qemuProgram } from "./qemu_args.ts";
import { createRunFolder, type RunFolder } from "./run_folder.ts";
import { chooseVsockDevice, type VsockDevice } from "./vsock_device.ts";

const log = getLog("vm");

/** Milliseconds until the guest's kernel must have said something, when translated. */
const BOOT_MS = 90_000;

/** The same on the processor itself, where it takes a second; then the other way is tried. */
const KVM_BOOT_MS = 10_000;

/** Names of the consoles; QEMU's own messages have one too. */
const SERIAL = "serial";
const VIRTIO = "hvc0";
const QEMU = "qemu";

/** Options of {@linkcode createQemuMachine}. */
export interface QemuMachineOptions {
  readonly image: GuestImage;
  /** Mebibytes of memory. */
  readonly memory: number;
  readonly cpus: number;
  /** Program that the user names; default that of the architecture, on PATH. */
  readonly qemu?: string | undefined;
  /** vhost-user program that the user names; default the kernel's device, else one on PATH. */
  readonly vsockDevice?: string | undefined;
  /** Ways to run it, the best first; default KVM where it can be used, then translation. */
  readonly accelerators?: readonly Accelerator[] | undefined;
  /** Arguments of the guest's agent, without spaces. */
  readonly agentArgs?: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/**
 * Makes a machine; nothing runs yet.
 * @throws AwsocksError `unsupported-platform`, `vm-unavailable`
 */
export async function createQemuMachine(options: QemuMachineOptions): Promise<Machine> {
  if (Deno.build.os !== "linux") {
    throw new AwsocksError("unsupported-platform", "Machines of QEMU run on Linux only");
  }
  const { env, image, clock = systemClock } = options;
  const name = options.qemu ?? qemuProgram(image);
  const program = await findProgram(name, env);
  if (!program) {
    throw new AwsocksError("vm-unavailable", `${name} is not installed`, {
      hint: "install QEMU (Debian: qemu-system-x86 or qemu-system-arm), or name it with --qemu",
    });
  }
  const folder = await createRunFolder(env);
  try {
    const console = new ConsoleBuffer();
    const device = await chooseVsockDevice({
      program: options.vsockDevice,
      folder,
      console,
      env,
      clock,
    });
    const accelerators = options.accelerators ?? await acceleratorsFor(image);
    return new QemuMachine({ ...options, clock, program, folder, console, device, accelerators });
  } catch (error) {
    await folder.remove();
    throw error;
  }
}

async function acceleratorsFor({ arch }: GuestImage): Promise<Accelerator[]> {
  return arch === Deno.build.arch && await canUse("/dev/kvm") ? ["kvm", "tcg"] : ["tcg"];
}

interface Parts extends QemuMachineOptions {
  readonly clock: Clock;
  readonly program: string;
  readonly folder: RunFolder;
  readonly console: ConsoleBuffer;
  readonly device: VsockDevice;
  readonly accelerators: readonly Accelerator[];
}

/** A start of the machine, until its end. */
interface Run {
  /** Resolves when QEMU has ended, whoever ended it. */
  readonly ended: Promise<string>;
  /** Ends QEMU and its device. */
  end(): Promise<void>;
}

class QemuMachine implements Machine {
  readonly console: ConsoleLog;
  readonly #parts: Parts;
  readonly #listeners = new Set<(event: MachineEvent) => void>();
  #accelerators: readonly Accelerator[];
  #state: MachineState = "stopped";
  #run: Run | undefined;
  #exited: Promise<MachineExit> = Promise.resolve({
    orderly: true,
    reason: "It was never started",
  });
  /** The start under way, and what ends it. */
  #starting: { readonly abort: AbortController; readonly done: Promise<void> } | undefined;
  /** Set while it is wanted to end. */
  #stopping: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#accelerators = parts.accelerators;
    this.console = parts.console;
  }

  get state(): MachineState {
    return this.#state;
  }

  get engine(): string {
    return this.#accelerators[0] === "kvm" ? "QEMU with KVM" : "QEMU without KVM";
  }

  get exited(): Promise<MachineExit> {
    return this.#exited;
  }

  start(options: MachineOptions = {}): Promise<void> {
    if (this.#closed) return Promise.reject(aborted("The machine is closed"));
    if (this.#state === "starting" || this.#state === "running") {
      return Promise.reject(new AwsocksError("internal", "The machine runs already"));
    }
    const abort = new AbortController();
    const started = this.#start(
      options.signal ? AbortSignal.any([options.signal, abort.signal]) : abort.signal,
    ).finally(() => this.#starting = undefined);
    this.#starting = { abort, done: started.catch(() => {}) };
    return started;
  }

  stop(options: { readonly grace?: number } = {}): Promise<void> {
    return this.#stopping ??= this.#stop(options.grace ?? 0).finally(() => {
      this.#stopping = undefined;
    });
  }

  listen(port: number): Promise<VsockListener> {
    return this.#parts.device.listen(port);
  }

  connect(port: number, options: MachineOptions = {}): Promise<Conn> {
    return this.#parts.device.connect(port, options);
  }

  onEvent(listener: (event: MachineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    return this.#closed ??= (async () => {
      await this.stop();
      await this.#parts.folder.remove();
    })();
  }

  async #start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#change("starting");
    try {
      const run = await this.#boot(signal);
      this.#run = run;
      this.#exited = run.ended.then((reason) => this.#onEnd(run, reason));
      this.#change("running");
    } catch (error) {
      this.#change(signal.aborted ? "stopped" : "crashed");
      throw error;
    }
  }

  async #stop(grace: number): Promise<void> {
    if (this.#starting) {
      this.#starting.abort.abort(aborted("The machine was stopped while it started"));
      await this.#starting.done;
    }
    const run = this.#run;
    if (!run) return;
    if (grace > 0) await settledWithin(this.#parts.clock, grace, run.ended);
    await run.end();
    await this.#exited;
  }

  /** The first way that works; what does not is not tried again. */
  async #boot(signal: AbortSignal): Promise<Run> {
    for (;;) {
      const [accelerator, other] = this.#accelerators;
      try {
        return await this.#launch(accelerator!, other ? KVM_BOOT_MS : BOOT_MS, signal);
      } catch (cause) {
        if (!other || signal.aborted) throw cause;
        log.info("The guest does not boot with KVM here, going on without", { cause });
        this.#accelerators = this.#accelerators.slice(1);
      }
    }
  }

  async #launch(accelerator: Accelerator, limit: number, signal: AbortSignal): Promise<Run> {
    const { clock, console, device, folder, image, agentArgs = [] } = this.#parts;
    const since = clock.monotonic();
    const { wiring, program: deviceProgram } = await device.start({ signal });
    const unpacked = folder.file("initrd");
    let run: Run | undefined;
    try {
      if (accelerator === "tcg") await unpack(image.initrd, unpacked, signal);
      using screen = openConsole(folder.file("console.sock"), console);
      using life = signOfLife(console);
      const qemu = await startProgram({
        ...this.#parts,
        name: "QEMU",
        args: qemuArgs({
          ...this.#parts,
          initrd: accelerator === "tcg" ? unpacked : image.initrd,
          accelerator,
          vsock: wiring,
          consoleSocket: screen.path,
          agentArgs,
        }),
        sources: { stdout: SERIAL, stderr: QEMU },
      });
      run = runOf(qemu, deviceProgram);
      await folder.note("qemu", qemu.pid);
      await this.#lives(life.seen, run, limit, signal);
      log.info("Guest is up after {seconds} s", {
        seconds: ((clock.monotonic() - since) / 1000).toFixed(1),
        engine: this.engine,
      });
      return run;
    } catch (error) {
      await run?.end();
      await deviceProgram?.end();
      throw error;
    } finally {
      // QEMU has read it, and it is large.
      await Deno.remove(unpacked).catch(() => {});
    }
  }

  /** Waits for a sign of life, the end of the machine, or that of patience. */
  async #lives(seen: Promise<void>, run: Run, limit: number, signal: AbortSignal): Promise<void> {
    const { clock, console } = this.#parts;
    const failed = (why: string) =>
      new AwsocksError("vm-failed", `The machine did not come up: ${why}${consoleWords(console)}`);
    await withDeadline(
      clock,
      limit,
      () => failed(`no sign of life within ${limit / 1000} s`),
      () => Promise.race([seen, run.ended.then((end) => Promise.reject(failed(end)))]),
      signal,
    );
  }

  #onEnd(run: Run, reason: string): MachineExit {
    const orderly = this.#stopping !== undefined;
    const exit = { orderly, reason };
    if (this.#run === run) this.#run = undefined;
    if (!orderly) {
      // Whoever waits for the guest tells why it does not come.
      log.debug("Machine has ended: {reason}{words}", {
        reason,
        words: consoleWords(this.console),
      });
    }
    this.#change(orderly ? "stopped" : "crashed", exit);
    return exit;
  }

  #change(state: MachineState, exit?: MachineExit): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(exit ? { state, exit } : { state });
  }
}

function aborted(why: string): AwsocksError {
  return new AwsocksError("aborted", why);
}

/** Resolves when the guest's kernel, or its first program, has written something. */
function signOfLife(console: ConsoleLog): Disposable & { readonly seen: Promise<void> } {
  const { promise: seen, resolve } = Promise.withResolvers<void>();
  const stop = console.onLine((_, source) => {
    if (source === SERIAL || source === VIRTIO) resolve();
  });
  return { seen, [Symbol.dispose]: stop };
}

/** QEMU and its device as one: neither is of use without the other. */
function runOf(qemu: RunningProgram, device: RunningProgram | undefined): Run {
  const end = async () => {
    await qemu.end(); // it first, so that it is what has ended
    await device?.end();
  };
  const first = device ? Promise.race([qemu.ended, device.ended]) : qemu.ended;
  const ended = first.then(async (reason) => {
    await end();
    return reason;
  });
  return {
    ended,
    end: async () => {
      await end();
      await ended;
    },
  };
}

/** Unpacks an initramfs: a guest whose instructions are translated takes five times as long to. */
async function unpack(from: string, to: string, signal: AbortSignal): Promise<void> {
  try {
    using packed = await Deno.open(from);
    using file = await Deno.open(to, { write: true, create: true, truncate: true });
    await packed.readable.pipeThrough(new DecompressionStream("gzip")).pipeTo(file.writable, {
      signal,
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw new AwsocksError("vm-unavailable", `The guest image ${from} cannot be unpacked`, {
      cause,
    });
  }
}

/** Listens for QEMU's one connection with the output of the virtio console. */
function openConsole(path: string, console: ConsoleBuffer): Disposable & { readonly path: string } {
  try {
    Deno.removeSync(path);
  } catch {
    // Left by an earlier start, or not there.
  }
  const listener = Deno.listen({ transport: "unix", path });
  void (async () => {
    try {
      using conn = await listener.accept();
      const buffer = new Uint8Array(16 * 1024);
      for (;;) {
        const n = await conn.read(buffer);
        if (n === null) break;
        console.push(VIRTIO, buffer.subarray(0, n));
      }
    } catch {
      // Closed before QEMU came, or cut off with it.
    }
    console.end(VIRTIO);
  })();
  return { path, [Symbol.dispose]: () => listener.close() };
}
