/**
 * A VPC made of a Linux network namespace. Its only way in is OpenSSH's sshd: the web site in it
 * listens on the namespace's own loopback, and only its own `/etc/hosts` knows the site's names.
 *
 * @module
 */

import { need } from "./external.ts";
import { findSshd, sshKeygen } from "./sshd.ts";

/** What to do about a skipped test; empty when a VPC can be made. */
export const VPC_NEED = Deno.build.os !== "linux"
  ? "needs Linux"
  : need("ip", "iproute2") || (mayMakeNamespaces() ? "" : "needs root with CAP_SYS_ADMIN");

/** Containers often have root without the right to do it. */
function mayMakeNamespaces(): boolean {
  if (Deno.uid() !== 0) return false;
  const name = `awsocks-probe-${Deno.pid}`;
  const ran = (...args: string[]) =>
    new Deno.Command("ip", { args: ["netns", ...args], stdout: "null", stderr: "null" })
      .outputSync().success;
  return ran("add", name) && ran("del", name);
}

/** Text on the page of the web site. */
export const VPC_TEXT = "Hello from inside the namespace";

/** An address that belongs to the VPC's network and to nobody in it (RFC 5737). */
export const ABSENT_HOST = "192.0.2.1";

/** Names that resolve inside only. */
const HOSTS = ["hello.sandbox.internal", "only-inside.internal", "www.example.com"];

const SSHD_CONFIG = [
  "PermitRootLogin yes",
  "PasswordAuthentication no",
  "KbdInteractiveAuthentication no",
  "StrictModes no",
  "UsePAM no",
  "PidFile none",
  "AllowTcpForwarding yes",
  // Says when keys are exchanged.
  "LogLevel DEBUG1",
];

/** Options of {@linkcode startVpc}. */
export interface VpcOptions {
  /** More lines of sshd_config. */
  readonly sshdConfig?: readonly string[];
}

/** A running VPC. */
export class Vpc implements AsyncDisposable {
  readonly #name: string;
  readonly #directory: string;
  #sshd: Deno.ChildProcess | undefined;
  #site: Deno.ChildProcess | undefined;
  #logging: Promise<void> = Promise.resolve();
  #veth: string;
  /** Address of the instance on the one link into the VPC. */
  readonly address: string;
  /** Private key that the instance lets in, for the current user. */
  readonly sshKey: string;
  /** Everything that sshd has said. */
  log = "";

  constructor(directory: string) {
    const id = crypto.getRandomValues(new Uint8Array(3));
    const tag = id.toHex();
    this.#directory = directory;
    this.#name = `awsocks-${tag}`;
    this.#veth = `aws${tag}`;
    this.address = `10.${200 + id[0]! % 50}.${id[1]!}.${(id[2]! & 0xfc) + 2}`;
    this.sshKey = `${directory}/id_ed25519`;
  }

  /** Makes everything. */
  async open({ sshdConfig = [] }: VpcOptions): Promise<void> {
    await this.#makeFiles(sshdConfig);
    await ip("netns", "add", this.#name);
    const [outside, inside] = [`${this.#veth}o`, `${this.#veth}i`];
    await ip("link", "add", outside, "type", "veth", "peer", "name", inside);
    await ip("link", "set", inside, "netns", this.#name);
    await ip("addr", "add", `${this.#neighbour}/30`, "dev", outside);
    // Without an IPv6 address of its own, whose arrival would make browsers load their page anew.
    await ip("link", "set", outside, "addrgenmode", "none", "up");
    await ip("-n", this.#name, "addr", "add", `${this.address}/30`, "dev", inside);
    await ip("-n", this.#name, "link", "set", inside, "up");
    await ip("-n", this.#name, "link", "set", "lo", "up");
    await ip("-n", this.#name, "route", "add", `${ABSENT_HOST}/32`, "dev", inside);
    const script = new URL("./web_site.ts", import.meta.url).pathname;
    this.#site = this.#spawn([Deno.execPath(), "run", "-A", script, VPC_TEXT], "stdout");
    await firstLine(this.#site.stdout);
    await this.startSshd();
  }

  /** Starts sshd; it listens when this resolves. */
  async startSshd(): Promise<void> {
    const sshd = this.#spawn([findSshd()!, "-D", "-e", "-f", this.#sshdConfig], "stderr");
    const listening = Promise.withResolvers<void>();
    this.#sshd = sshd;
    this.#logging = (async () => {
      const begin = this.log.length;
      for await (const text of sshd.stderr.pipeThrough(new TextDecoderStream())) {
        this.log += text;
        if (this.log.includes("Server listening on", begin)) listening.resolve();
      }
      listening.reject(new Error(`sshd does not start: ${this.log.slice(begin)}`));
    })();
    await listening.promise;
  }

  /** Ends sshd and every connection it has. */
  async stopSshd(): Promise<void> {
    const pids = await ip("netns", "pids", this.#name);
    for (const pid of pids.split("\n").filter((line) => line !== "").map(Number)) {
      if (await commandOf(pid) === "sshd") tryKill(pid);
    }
    await this.#sshd?.status;
    await this.#logging;
    this.#sshd = undefined;
  }

  /** Takes everything away again. */
  async close(): Promise<void> {
    if (this.#sshd) await this.stopSshd();
    if (this.#site) {
      tryKill(this.#site.pid);
      await this.#site.status;
    }
    // The link goes with its namespace, but not at once.
    await ip("link", "del", `${this.#veth}o`).catch(() => {});
    await ip("netns", "del", this.#name).catch(() => {});
    for (const path of [this.#etc, this.#directory]) {
      await Deno.remove(path, { recursive: true }).catch(() => {});
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The other end of the link. */
  get #neighbour(): string {
    return this.address.replace(/\d+$/, (last) => `${Number(last) - 1}`);
  }

  /** Files in it take the place of those in /etc, inside. */
  get #etc(): string {
    return `/etc/netns/${this.#name}`;
  }

  get #sshdConfig(): string {
    return `${this.#directory}/sshd_config`;
  }

  async #makeFiles(sshdConfig: readonly string[]): Promise<void> {
    const hostKey = `${this.#directory}/host_key`;
    for (const file of [hostKey, this.sshKey]) {
      await sshKeygen("-q", "-t", "ed25519", "-N", "", "-f", file);
    }
    await Deno.writeTextFile(
      this.#sshdConfig,
      [
        ...sshdConfig,
        `ListenAddress ${this.address}:22`,
        `HostKey ${hostKey}`,
        `AuthorizedKeysFile ${this.sshKey}.pub`,
        ...SSHD_CONFIG,
      ].join("\n") + "\n",
    );
    await Deno.mkdir("/run/sshd", { recursive: true, mode: 0o755 });
    await Deno.mkdir(this.#etc, { recursive: true });
    await Deno.writeTextFile(`${this.#etc}/hosts`, `127.0.0.1 localhost ${HOSTS.join(" ")}\n`);
    await Deno.writeTextFile(`${this.#etc}/nsswitch.conf`, "passwd: files\nhosts: files\n");
  }

  #spawn(command: readonly string[], output: "stdout" | "stderr"): Deno.ChildProcess {
    return new Deno.Command("ip", {
      args: ["netns", "exec", this.#name, ...command],
      stdin: "null",
      stdout: output === "stdout" ? "piped" : "null",
      stderr: output === "stderr" ? "piped" : "null",
    }).spawn();
  }
}

/** Makes a VPC. */
export async function startVpc(options: VpcOptions = {}): Promise<Vpc> {
  const vpc = new Vpc(await Deno.makeTempDir({ prefix: "awsocks-vpc-" }));
  try {
    await vpc.open(options);
    return vpc;
  } catch (error) {
    await vpc.close();
    throw error;
  }
}

/** Runs `ip`. @throws Error with what it said */
async function ip(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("ip", { args }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`ip ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<void> {
  const reader = stream.getReader();
  const { done } = await reader.read();
  if (done) throw new Error("The web site does not start");
  await reader.cancel();
}

/** Name of a program; later versions of OpenSSH have one of their own for each connection. */
async function commandOf(pid: number): Promise<string | undefined> {
  const name = await Deno.readTextFile(`/proc/${pid}/comm`).catch(() => "");
  return /^sshd\b/.exec(name)?.[0];
}

function tryKill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
