/**
 * Virtual machines for the guest: the interface, the engine for Linux, and where images are.
 *
 * @module
 */

export { type ConsoleLog, consoleWords } from "./console_log.ts";
export {
  createGuestLink,
  type GuestLink,
  type GuestLinkOptions,
  SILENCE_MS,
} from "./guest_link.ts";
export {
  findGuestImage,
  type FindImageOptions,
  type GuestArch,
  type GuestImage,
  imageFolders,
} from "./image.ts";
export type {
  Machine,
  MachineEvent,
  MachineExit,
  MachineOptions,
  MachineState,
} from "./machine.ts";
export { createQemuMachine, type QemuMachineOptions } from "./qemu.ts";
export type { Accelerator } from "./qemu_args.ts";
