/**
 * Writes archives in the format that Linux takes as an initramfs: newc cpio, as described in
 * "initramfs buffer format" of the kernel's documentation.
 *
 * The same entries give the same bytes, whatever machine and time they were read at: entries are
 * sorted, owned by root, dated 1970 and numbered in order.
 *
 * @module
 */

/** A file of an archive. Paths are relative, without `.` or `..`, such as `usr/bin/deno`. */
export type Entry =
  & {
    readonly path: string;
    /** Permission bits; default 0755 for folders, 0644 for files. */
    readonly mode?: number;
  }
  & (
    | { readonly kind: "folder" }
    | { readonly kind: "file"; readonly data: Uint8Array }
    | { readonly kind: "link"; readonly target: string }
    | { readonly kind: "device"; readonly major: number; readonly minor: number }
  );

/** File types of `st_mode`, see inode(7). */
const TYPES = { folder: 0o040000, file: 0o100000, link: 0o120000, device: 0o020000 } as const;

const MODES = { folder: 0o755, file: 0o644, link: 0o777, device: 0o600 } as const;

/** Length of a header: the magic number and thirteen fields of eight digits. */
const HEADER_BYTES = 6 + 13 * 8;

/** Archives are padded to whole blocks, so that one can follow another. */
const BLOCK_BYTES = 512;

const TRAILER = "TRAILER!!!";

const encoder = new TextEncoder();

/** Every entry and the folders above it, sorted so that a folder comes before what is in it. */
export function withFolders(entries: Iterable<Entry>): Entry[] {
  const all = new Map<string, Entry>();
  for (const entry of entries) {
    checkPath(entry.path);
    if (all.has(entry.path)) throw new RangeError(`${entry.path} is there twice`);
    all.set(entry.path, entry);
  }
  for (const path of [...all.keys()]) {
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
      const folder = path.slice(0, at);
      const there = all.get(folder);
      if (!there) all.set(folder, { path: folder, kind: "folder" });
      else if (there.kind !== "folder") throw new RangeError(`${folder} is no folder`);
    }
  }
  // By code unit, not by locale; "a" sorts before "a/b", and that is what matters.
  return [...all.values()].sort((a, b) => a.path < b.path ? -1 : 1);
}

function checkPath(path: string): void {
  const parts = path.split("/");
  if (path.includes("\0") || parts.some((part) => ["", ".", ".."].includes(part))) {
    throw new RangeError(`${JSON.stringify(path)} is no path for an archive`);
  }
}

/** The archive of these entries; folders that are missing are added. */
export function writeCpio(entries: Iterable<Entry>): Uint8Array {
  const parts: Uint8Array[] = [];
  let inode = 0;
  for (const entry of withFolders(entries)) {
    const data = dataOf(entry);
    const device = entry.kind === "device" ? entry : { major: 0, minor: 0 };
    const type = TYPES[entry.kind];
    parts.push(
      header(entry.path, {
        inode: ++inode,
        mode: type | (entry.mode ?? MODES[entry.kind]),
        links: entry.kind === "folder" ? 2 : 1,
        size: data.byteLength,
        device,
      }),
      padded(data, 4),
    );
  }
  parts.push(header(TRAILER, { inode: 0, mode: 0, links: 1, size: 0 }));
  return padded(concat(parts), BLOCK_BYTES);
}

function dataOf(entry: Entry): Uint8Array {
  if (entry.kind === "file") return entry.data;
  return entry.kind === "link" ? encoder.encode(entry.target) : new Uint8Array();
}

interface Fields {
  readonly inode: number;
  readonly mode: number;
  readonly links: number;
  readonly size: number;
  readonly device?: { readonly major: number; readonly minor: number };
}

/** A header with the name after it, padded. */
function header(path: string, fields: Fields): Uint8Array {
  const { inode, mode, links, size, device = { major: 0, minor: 0 } } = fields;
  const name = encoder.encode(`${path}\0`);
  const numbers = [
    inode,
    mode,
    0, // user
    0, // group
    links,
    0, // time
    size,
    0, // device that holds the file
    0,
    device.major,
    device.minor,
    name.byteLength,
    0, // checksum; newc has none
  ];
  const digits = numbers.map((number) => number.toString(16).toUpperCase().padStart(8, "0"));
  const head = encoder.encode(`070701${digits.join("")}`);
  const whole = new Uint8Array(HEADER_BYTES + name.byteLength);
  whole.set(head);
  whole.set(name, HEADER_BYTES);
  return padded(whole, 4);
}

function padded(data: Uint8Array, unit: number): Uint8Array {
  const rest = data.byteLength % unit;
  if (rest === 0) return data;
  const whole = new Uint8Array(data.byteLength + unit - rest);
  whole.set(data);
  return whole;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}
