/**
 * The programs that benchmarks compare, each in a process of its own.
 *
 * @module
 */

import type { Target } from "../../lib/core/mod.ts";
import { need } from "../support/external.ts";
import { freePort } from "../support/sshd.ts";
import { type Program, startProgram } from "../support/program.ts";

/** Milliseconds after which a program is ended in any case. */
const LIMIT = 900_000;

/** A proxy that runs. */
export interface Proxy extends AsyncDisposable {
  readonly address: Target;
  readonly pid: number;
}

/** `awsocks start`. */
export interface OwnProxy extends Proxy {
  /** Ends it. Idempotent. @returns its log */
  stop(): Promise<string>;
}

/** What the sandbox says when it is up. */
interface Ready {
  readonly env: Readonly<Record<string, string>>;
  readonly start: readonly string[];
}

/** The sandbox as a program. */
export class SandboxProgram implements AsyncDisposable {
  readonly #program: Program;
  readonly #env: Readonly<Record<string, string>>;
  readonly #start: readonly string[];

  private constructor(program: Program, ready: Ready) {
    this.#program = program;
    this.#env = ready.env;
    this.#start = ready.start.slice(1);
  }

  /** @param switches as for `awsocks sandbox --switches` */
  static async open(switches: string): Promise<SandboxProgram> {
    const args = ["sandbox", "--format", "json", "--switches", switches];
    const program = startProgram(args, { limit: LIMIT });
    const [line] = await program.saw(/^\{.*"listening".*\}$/m);
    return new SandboxProgram(program, JSON.parse(line));
  }

  /** `awsocks start` that leads into it, and is connected. */
  proxy(...args: readonly string[]): Promise<OwnProxy> {
    return startAwsocks([...this.#start, "--no-lazy", ...args], this.#env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}

/** `awsocks` from source. @param args with `start` before them */
async function startAwsocks(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<OwnProxy> {
  const program = startProgram([...args, "-l", "127.0.0.1:0"], { env, limit: LIMIT });
  const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
  return {
    address: { host: "127.0.0.1", port: Number(port) },
    pid: program.pid,
    stop: async () => (await program.stop()).stderr,
    [Symbol.asyncDispose]: async () => void await program.stop(),
  };
}

/** `awsocks start` that connects straight to every destination. */
export function directProxy(): Promise<OwnProxy> {
  const args = ["start", "-i", "i-0123456789abcdef0", "-r", "eu-central-1"];
  return startAwsocks([...args, "--route-default", "direct"]);
}

/** Programs of other makers; empty when they are installed. */
export const needMicrosocks = (): Promise<string> => Promise.resolve(need("microsocks"));
export const needDante = (): Promise<string> => Promise.resolve(need("danted", "dante-server"));

/** microsocks. */
export async function microsocks(): Promise<Proxy> {
  const port = freePort();
  return await started("microsocks", ["-i", "127.0.0.1", "-p", String(port)], port);
}

/** Dante, which wants a file. */
export async function dante(): Promise<Proxy> {
  const port = freePort();
  const file = await Deno.makeTempFile({ suffix: ".conf" });
  await Deno.writeTextFile(
    file,
    `logoutput: /dev/null
internal: 127.0.0.1 port = ${port}
external: 127.0.0.1
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: nobody
client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
`,
  );
  return await started("danted", ["-f", file], port, () => Deno.remove(file));
}

/** The destination of {@linkcode server.ts}. */
export async function startServer(): Promise<
  AsyncDisposable & { readonly echo: Target; readonly source: Target }
> {
  const script = new URL("server.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const ports = JSON.parse(new TextDecoder().decode(value));
  const at = (port: number): Target => ({ host: "127.0.0.1", port });
  return {
    echo: at(ports.echo),
    source: at(ports.source),
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await reader.cancel();
      await child.status;
    },
  };
}

async function started(
  command: string,
  args: readonly string[],
  port: number,
  after: () => Promise<void> = () => Promise.resolve(),
): Promise<Proxy> {
  const child = new Deno.Command(command, {
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  for (let attempt = 0;; attempt++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      break;
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return {
    address: { host: "127.0.0.1", port },
    pid: child.pid,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await child.status;
      await after();
    },
  };
}
