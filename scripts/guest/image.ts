/**
 * Puts an image together: the kernel as it is, and an initramfs with everything else.
 *
 * | path in the initramfs                 | is                                                        |
 * | ------------------------------------- | --------------------------------------------------------- |
 * | `/init`                               | `guest/init`: mounts, modules, then the agent             |
 * | `/usr/bin/awsocks-agent`              | the agent; `vsock-client` beside it                       |
 * | `/opt/awsocks`                        | its sources, where it is not compiled                     |
 * | `/bin`                                | busybox and a link for each of its commands               |
 * | `/lib`                                | the parts of glibc and libgcc that Deno is linked against |
 * | `/lib/modules`, `/etc/awsocks/modules` | kernel modules, and the order in which to load them      |
 * | `/etc/ssl/certs/ca-certificates.crt`  | Mozilla's authorities                                     |
 *
 * @module
 */

import { gzipSync } from "node:zlib";
import { AGENT_PATH, type PackedAgent } from "./agent.ts";
import { BuildError } from "./command.ts";
import { type Entry, writeCpio } from "./cpio.ts";
import { Apt, unpack } from "./debian.ts";
import { type Arch, dependenciesOf } from "./elf.ts";
import type { Lock } from "./lock.ts";
import { loadOrder, moduleName } from "./modules.ts";

/** Files of an image. */
export interface Image {
  readonly arch: Arch;
  /** For example `6.1.0-56-cloud-amd64`. */
  readonly kernelRelease: string;
  /** As a boot loader takes it: bzImage, or the uncompressed Image of arm64. */
  readonly kernel: Uint8Array<ArrayBuffer>;
  /** gzip over cpio. */
  readonly initrd: Uint8Array<ArrayBuffer>;
  /** Bytes of the files when unpacked. */
  readonly unpackedBytes: number;
}

/** Options of {@linkcode buildImage}. */
export interface ImageOptions {
  readonly arch: Arch;
  readonly lock: Lock;
  readonly agent: PackedAgent;
  /** Folder that is kept between builds. */
  readonly cache: string;
}

/** Where glibc of an architecture keeps its libraries, and how programs name its loader. */
const GLIBC: Readonly<Record<Arch, { libraries: string; loader: string; link: string }>> = {
  x86_64: {
    libraries: "lib/x86_64-linux-gnu",
    loader: "ld-linux-x86-64.so.2",
    link: "lib64/ld-linux-x86-64.so.2",
  },
  aarch64: {
    libraries: "lib/aarch64-linux-gnu",
    loader: "ld-linux-aarch64.so.1",
    link: "lib/ld-linux-aarch64.so.1",
  },
};

/** What Deno is linked against; most are empty since glibc 2.34. */
const LIBRARIES = [
  "libc.so.6",
  "libm.so.6",
  "libdl.so.2",
  "libpthread.so.0",
  "librt.so.1",
  "libgcc_s.so.1",
];

const SOURCES = new URL("../../guest/", import.meta.url);

/** Builds an image. @throws BuildError */
export async function buildImage(options: ImageOptions): Promise<Image> {
  const { arch, lock, agent, cache } = options;
  const root = await Deno.makeTempDir({ prefix: "awsocks-guest-" });
  try {
    const apt = new Apt(arch, cache);
    for (const each of lock.packages[arch]) await unpack(await apt.fetch(each), root);
    const [kernelRelease] = await names(`${root}/lib/modules`);
    if (kernelRelease === undefined) throw new BuildError("No package has a kernel");
    const entries = [
      ...skeleton(),
      ...agent.entries,
      ...await ownFiles(),
      ...await commands(root),
      ...await libraries(root, arch),
      ...await modules(`${root}/lib/modules/${kernelRelease}`),
      await certificates(`${root}/usr/share/ca-certificates`),
    ];
    const archive = writeCpio(entries);
    return {
      arch,
      kernelRelease,
      kernel: await Deno.readFile(`${root}/boot/vmlinuz-${kernelRelease}`),
      // Node's header has no time in it.
      initrd: new Uint8Array(gzipSync(archive, { level: 6 })),
      unpackedBytes: archive.byteLength,
    };
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** Folders to mount on, the two devices that exist before anything is mounted, and who is who. */
function skeleton(): Entry[] {
  return [
    ...["dev", "proc", "run", "sys", "var"].map((path) => ({ kind: "folder" as const, path })),
    { kind: "folder", path: "tmp", mode: 0o1777 },
    { kind: "folder", path: "root", mode: 0o700 },
    { kind: "device", path: "dev/console", major: 5, minor: 1 },
    { kind: "device", path: "dev/null", mode: 0o666, major: 1, minor: 3 },
    text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
    text("etc/group", "root:x:0:\n"),
    text("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    text("etc/hostname", "awsocks-guest\n"),
    text("etc/nsswitch.conf", "hosts: files dns\n"),
    text("usr/bin/vsock-client", `#!/bin/sh\nexec /${AGENT_PATH} exec "$@"\n`, 0o755),
  ];
}

async function ownFiles(): Promise<Entry[]> {
  return [text("init", await Deno.readTextFile(new URL("init", SOURCES)), 0o755)];
}

async function commands(root: string): Promise<Entry[]> {
  const list = await lines("applets");
  return [
    await file(`${root}/bin/busybox`, "bin/busybox", 0o755),
    ...list.map((name) => ({ kind: "link" as const, path: `bin/${name}`, target: "busybox" })),
  ];
}

async function libraries(root: string, arch: Arch): Promise<Entry[]> {
  const { libraries: folder, loader, link } = GLIBC[arch];
  const found = [...LIBRARIES, loader].map((name) =>
    file(`${root}/${folder}/${name}`, `${folder}/${name}`, 0o755)
  );
  return [...await Promise.all(found), {
    kind: "link",
    path: link,
    target: `/${folder}/${loader}`,
  }];
}

async function modules(folder: string): Promise<Entry[]> {
  const files = new Map<string, Uint8Array>();
  const paths = new Map<string, string>();
  for await (const path of filesBelow(folder)) {
    const name = /([^/]+)\.ko$/.exec(path)?.[1];
    if (name !== undefined) paths.set(moduleName(name), path);
  }
  const builtIn = new Set(
    [...(await Deno.readTextFile(`${folder}/modules.builtin`)).matchAll(/([^/]+)\.ko$/gm)]
      .map(([, name]) => moduleName(name!)),
  );
  const order = loadOrder((await lines("modules")).filter((name) => !builtIn.has(name)), (name) => {
    const path = paths.get(name);
    if (path === undefined) return undefined;
    const data = Deno.readFileSync(path);
    files.set(name, data);
    return dependenciesOf(data);
  });
  return [
    text("etc/awsocks/modules", order.map((name) => `${name}\n`).join("")),
    ...order.map((name) => ({
      kind: "file" as const,
      path: `lib/modules/${name}.ko`,
      data: files.get(name)!,
    })),
  ];
}

/** One file of all authorities, as `update-ca-certificates` would make it. */
async function certificates(folder: string): Promise<Entry> {
  const paths: string[] = [];
  for await (const path of filesBelow(folder)) if (path.endsWith(".crt")) paths.push(path);
  const texts = await Promise.all(paths.sort().map((path) => Deno.readTextFile(path)));
  const bundle = texts.map((each) => `${each.trimEnd()}\n`).join("");
  return text("etc/ssl/certs/ca-certificates.crt", bundle);
}

async function lines(name: string): Promise<string[]> {
  const content = await Deno.readTextFile(new URL(name, SOURCES));
  return content.split("\n").map((line) => line.trim()).filter((line) => /^[^#]/.test(line));
}

async function names(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of Deno.readDir(folder)) found.push(name);
  return found.sort();
}

async function* filesBelow(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
    if (isDirectory) yield* filesBelow(`${folder}/${name}`);
    else if (isFile) yield `${folder}/${name}`;
  }
}

async function file(from: string, path: string, mode: number): Promise<Entry> {
  return { kind: "file", path, mode, data: await Deno.readFile(from) };
}

function text(path: string, content: string, mode = 0o644): Entry {
  return { kind: "file", path, mode, data: new TextEncoder().encode(content) };
}
