/**
 * The command line of QEMU. Pure functions.
 *
 * @module
 */

import type { GuestImage } from "./image.ts";

/** What executes the guest's instructions: the processor, or QEMU's translator. */
export type Accelerator = "kvm" | "tcg";

/** The guest's way to AF_VSOCK. */
export type VsockWiring =
  /** The host kernel's device. */
  | { readonly kind: "vhost"; readonly cid: number }
  /** A program that listens on a socket. */
  | { readonly kind: "vhost-user"; readonly socket: string };

/** What a machine is made of. */
export interface QemuOptions {
  readonly image: GuestImage;
  /** The initramfs, packed or not. */
  readonly initrd: string;
  readonly accelerator: Accelerator;
  /** Mebibytes. */
  readonly memory: number;
  readonly cpus: number;
  readonly vsock: VsockWiring;
  /** Socket on which somebody listens for the virtio console. */
  readonly consoleSocket: string;
  /** Arguments of the guest's agent. */
  readonly agentArgs: readonly string[];
}

/** Machine, processor and serial console, by architecture. */
const BOARDS = {
  x86_64: { machine: "q35", tcgCpu: "max", serial: "ttyS0" },
  // Pointer authentication as the architecture has it is slow to emulate.
  aarch64: { machine: "virt", tcgCpu: "max,pauth-impdef=on", serial: "ttyAMA0" },
} as const;

/** Name of the program. */
export function qemuProgram({ arch }: GuestImage): string {
  return `qemu-system-${arch}`;
}

/** The arguments, after the program's name. */
export function qemuArgs(options: QemuOptions): string[] {
  const { image, accelerator, memory, cpus, vsock, consoleSocket } = options;
  const { machine, tcgCpu, serial } = BOARDS[image.arch];
  return [
    // Nothing but what is named here: no files of the system, no default devices.
    ...["-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"],
    ...["-accel", accelerator, "-cpu", accelerator === "kvm" ? "host" : tcgCpu],
    ...["-smp", String(cpus), "-m", `${memory}M`],
    // The program behind a vhost-user device sees the guest's memory.
    ...["-object", `memory-backend-memfd,id=memory,size=${memory}M,share=on`],
    ...["-machine", `${machine},memory-backend=memory`],
    ...["-kernel", value(image.kernel), "-initrd", value(options.initrd)],
    ...["-append", kernelCommandLine(serial, options.agentArgs)],
    // Two consoles: the serial one is there from the first instruction, the other is fast.
    ...["-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"],
    ...["-chardev", `socket,id=console,path=${value(consoleSocket)}`],
    ...["-device", "virtio-serial-pci", "-device", "virtconsole,chardev=console"],
    ...["-device", "virtio-rng-pci"],
    // No boot from the network: its firmware is not even loaded.
    ...["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="],
    ...vsockArgs(vsock),
  ];
}

function vsockArgs(vsock: VsockWiring): string[] {
  if (vsock.kind === "vhost") return ["-device", `vhost-vsock-pci,guest-cid=${vsock.cid}`];
  return [
    ...["-chardev", `socket,id=vsock,path=${value(vsock.socket)}`],
    ...["-device", "vhost-user-vsock-pci,chardev=vsock"],
  ];
}

/** A comma in a value of an option is written twice. */
function value(text: string): string {
  return text.replaceAll(",", ",,");
}

/**
 * The kernel's command line; what follows `--` goes to the guest's `/init`. See "The kernel's
 * command-line parameters" in the documentation of Linux.
 */
function kernelCommandLine(serial: string, agentArgs: readonly string[]): string {
  const words = [
    `console=${serial}`,
    "console=hvc0",
    "quiet",
    // A kernel that panics ends the machine, so that another can take its place.
    "panic=-1",
    ...(agentArgs.length > 0 ? ["--", ...agentArgs] : []),
  ];
  return words.join(" ");
}
