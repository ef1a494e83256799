/**
 * The little of ELF that an image is made by: what machine a file is for, and what a kernel module
 * says about itself. Works for files of any architecture, with no tool installed.
 *
 * @module
 */

/** Architectures of guests, in the words of `uname -m`. */
export type Arch = "x86_64" | "aarch64";

/** `e_machine` of ELF. */
const MACHINES: Readonly<Record<number, Arch>> = { 62: "x86_64", 183: "aarch64" };

function viewOf(file: Uint8Array): DataView | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  // "\x7fELF", 64 bits, little-endian.
  const isElf = file.byteLength >= 64 && view.getUint32(0) === 0x7f454c46 &&
    view.getUint8(4) === 2 && view.getUint8(5) === 1;
  return isElf ? view : undefined;
}

/** The architecture that a program or module is for; undefined for anything else. */
export function machineOf(file: Uint8Array): Arch | undefined {
  return MACHINES[viewOf(file)?.getUint16(18, true) ?? 0];
}

/** Bytes of a section; undefined when the file has none of that name, or is no ELF file. */
export function sectionOf(file: Uint8Array, name: string): Uint8Array | undefined {
  const view = viewOf(file);
  if (!view) return undefined;
  const [table, size, count, names] = [
    Number(view.getBigUint64(40, true)),
    view.getUint16(58, true),
    view.getUint16(60, true),
    view.getUint16(62, true),
  ];
  const sections = Array.from({ length: count }, (_, index) => {
    const at = table + index * size;
    const [offset, length] = [view.getBigUint64(at + 24, true), view.getBigUint64(at + 32, true)];
    return { name: view.getUint32(at, true), from: Number(offset), to: Number(offset + length) };
  });
  const strings = sections[names];
  if (!strings) return undefined;
  const found = sections.find((section) => text(file, strings.from + section.name) === name);
  return found && file.subarray(found.from, found.to);
}

function text(file: Uint8Array, from: number): string {
  return new TextDecoder().decode(file.subarray(from, file.indexOf(0, from)));
}

/** Modules that must be loaded before this one, by name. */
export function dependenciesOf(module: Uint8Array): string[] {
  const section = sectionOf(module, ".modinfo");
  if (!section) throw new TypeError("No kernel module");
  const lines = new TextDecoder().decode(section).split("\0");
  const depends = lines.find((line) => line.startsWith("depends="))?.slice("depends=".length);
  return depends ? depends.split(",") : [];
}
