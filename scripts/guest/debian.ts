/**
 * Packages of Debian, of any architecture, without installing or configuring anything: apt works in a
 * folder of its own, with the sources and keys of this machine.
 *
 * @module
 */

import { attempt, BuildError, run, sha256 } from "./command.ts";
import type { Arch } from "./elf.ts";
import type { PinnedPackage } from "./lock.ts";

/** Names that Debian has for architectures. */
const DEBIAN_ARCH: Readonly<Record<Arch, string>> = { x86_64: "amd64", aarch64: "arm64" };

/** Apt for one architecture. */
export class Apt {
  readonly #arch: string;
  readonly #root: string;
  readonly #packages: string;
  #updating: Promise<void> | undefined;

  /** @param cache folder that is kept between builds */
  constructor(arch: Arch, cache: string) {
    this.#arch = DEBIAN_ARCH[arch];
    this.#root = `${cache}/apt-${this.#arch}`;
    this.#packages = `${cache}/packages`;
  }

  /** Fetches the lists of what there is; once. */
  update(): Promise<void> {
    return this.#updating ??= this.#update();
  }

  async #update(): Promise<void> {
    await this.#prepare();
    // A source of the machine may be down and not matter; a package that is missing is noticed later.
    const { stderr } = await this.#apt("apt-get", ["update", "-q"]);
    if (stderr.includes("E:")) await note(stderr);
  }

  /** The newest version of a package. A kernel's metapackage gives the kernel. */
  async newest(name: string): Promise<PinnedPackage> {
    await this.update();
    const { stdout } = await this.#apt("apt-cache", ["show", "--no-all-versions", name]);
    const fields = new Map(
      [...stdout.matchAll(/^([\w-]+): (.*)$/gm)].map(([, field, value]) => [field!, value!]),
    );
    const kernel = /\b(linux-image-[\d.-]+-cloud-\w+)\b/.exec(fields.get("Depends") ?? "")?.[1];
    if (kernel !== undefined && kernel !== name) return await this.newest(kernel);
    const [version, hash] = [fields.get("Version"), fields.get("SHA256")];
    if (version === undefined || hash === undefined) {
      throw new BuildError(`apt knows no ${name} for ${this.#arch}; is this Debian?`);
    }
    return { name, version, sha256: hash };
  }

  /**
   * A package, from the cache or the mirror, with the hash that the lock has.
   * @returns path of the `.deb` file
   * @throws BuildError when the mirror has that version no more
   */
  async fetch({ name, version, sha256: hash }: PinnedPackage): Promise<string> {
    const kept = `${this.#packages}/${hash}.deb`;
    if (await hasHash(kept, hash)) return kept;
    await this.update();
    await Deno.mkdir(this.#packages, { recursive: true });
    const folder = await Deno.makeTempDir({ prefix: "awsocks-deb-" });
    try {
      const { stderr } = await this.#apt(
        "apt-get",
        ["download", "-q", `${name}=${version}`],
        folder,
      );
      const [file] = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".deb"));
      if (!file) throw gone(name, version, stderr);
      const data = await Deno.readFile(`${folder}/${file.name}`);
      if (await sha256(data) !== hash) {
        throw new BuildError(`${name} ${version} is not the package whose hash is locked`);
      }
      await Deno.writeFile(`${kept}.${Deno.pid}`, data);
      await Deno.rename(`${kept}.${Deno.pid}`, kept);
      return kept;
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }

  async #prepare(): Promise<void> {
    await Deno.mkdir(`${this.#root}/lists/partial`, { recursive: true });
    await Deno.mkdir(`${this.#root}/cache/archives/partial`, { recursive: true });
    await Deno.writeTextFile(`${this.#root}/status`, "");
    await Deno.writeTextFile(
      `${this.#root}/apt.conf`,
      [
        `APT::Architecture "${this.#arch}";`,
        `APT::Architectures { "${this.#arch}"; };`,
        // Root would otherwise fetch as another user, who may not enter the folder.
        `APT::Sandbox::User "root";`,
        `Acquire::Languages "none";`,
        `Dir::State "${this.#root}";`,
        `Dir::State::status "${this.#root}/status";`,
        `Dir::Cache "${this.#root}/cache";`,
      ].join("\n"),
    );
  }

  async #apt(program: string, args: readonly string[], cwd = this.#root) {
    return await attempt(program, args, { cwd, env: { APT_CONFIG: `${this.#root}/apt.conf` } });
  }
}

function gone(name: string, version: string, stderr: string): BuildError {
  const why = stderr.split("\n").find((line) => line.startsWith("E:")) ?? "not in apt's lists";
  return new BuildError(
    `${name} ${version} cannot be had: ${why}\n` +
      "try: deno task build:guest --update-lock, which locks the versions that there are now",
  );
}

async function hasHash(path: string, hash: string): Promise<boolean> {
  try {
    return await sha256(await Deno.readFile(path)) === hash;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Unpacks a `.deb` file over a folder. */
export async function unpack(deb: string, folder: string): Promise<void> {
  await run("dpkg-deb", ["-x", deb, folder]);
}

async function note(text: string): Promise<void> {
  await Deno.stderr.write(new TextEncoder().encode(`${text}\n`));
}
