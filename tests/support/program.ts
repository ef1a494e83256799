/**
 * The program as a user starts it: `deno run -A main.ts …` in a process of its own, with a home of
 * its own and an empty environment.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url);

/** What a finished run left. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@linkcode startProgram}. */
export interface ProgramOptions {
  /** Added to PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
  /** Home directory; default an empty one of its own. */
  readonly home?: string;
  /** Script to run; default `main.ts`. */
  readonly script?: string;
  /** A compiled program to run in its place. */
  readonly binary?: string;
  /** Working directory; default the root of the tree. */
  readonly cwd?: string;
  /** Ends the process when it has not ended by itself; default 60,000 ms. */
  readonly limit?: number;
}

/** A running program. */
export class Program implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  /** Home directory to remove. */
  readonly #home: string | undefined;
  readonly #limit: ReturnType<typeof setTimeout>;
  readonly #waiting = new Set<() => void>();
  readonly #text = { stdout: "", stderr: "" };
  readonly #streams: Promise<void>[];
  #ended = false;
  /** Resolves when it has ended. */
  readonly finished: Promise<Finished>;

  constructor(args: readonly string[], options: ProgramOptions = {}) {
    const home = options.home ?? Deno.makeTempDirSync({ prefix: "awsocks-home-" });
    if (options.home === undefined) this.#home = home;
    const script = new URL(options.script ?? "main.ts", ROOT).pathname;
    const [command, ...before] = options.binary === undefined
      ? [Deno.execPath(), "run", "-A", "--no-prompt", script]
      : [options.binary];
    this.#process = new Deno.Command(command!, {
      args: [...before, ...args],
      cwd: options.cwd ?? ROOT.pathname,
      clearEnv: true,
      env: environment(home, options.env),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#limit = setTimeout(() => this.#kill("SIGKILL"), options.limit ?? 60_000);
    this.#streams = [
      this.#collect("stdout", this.#process.stdout),
      this.#collect("stderr", this.#process.stderr),
    ];
    this.finished = this.#finish();
  }

  /** Process id. */
  get pid(): number {
    return this.#process.pid;
  }

  /** What it has written so far. */
  get stdout(): string {
    return this.#text.stdout;
  }

  /** What it has written so far. */
  get stderr(): string {
    return this.#text.stderr;
  }

  /**
   * Waits until one of its streams matches.
   * @throws Error with both streams when it ends before
   */
  async saw(pattern: RegExp, stream: "stdout" | "stderr" = "stdout"): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#text[stream]);
      if (match) return match;
      if (this.#ended) {
        throw new Error(`ended without ${pattern}\n${this.stdout}\n--- stderr\n${this.stderr}`);
      }
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /**
   * Waits for something outside of it.
   * @throws Error with both streams when it ends before
   */
  async while<T>(waiting: Promise<T>): Promise<T> {
    const ended = this.finished.then(({ code, stdout, stderr }) => {
      throw new Error(`ended with ${code}\n${stdout}\n--- stderr\n${stderr}`);
    });
    return await Promise.race([waiting, ended]);
  }

  /** Sends a signal. */
  signal(name: Deno.Signal): void {
    this.#process.kill(name);
  }

  /** Stops it with SIGINT and waits for its end. */
  async stop(): Promise<Finished> {
    this.#kill("SIGINT");
    return await this.finished;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill("SIGKILL");
    await this.finished;
  }

  #kill(name: Deno.Signal): void {
    if (!this.#ended) this.#process.kill(name);
  }

  async #collect(name: "stdout" | "stderr", stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      this.#text[name] += decoder.decode(chunk, { stream: true });
      this.#wake();
    }
  }

  async #finish(): Promise<Finished> {
    const { code } = await this.#process.status;
    await Promise.all(this.#streams);
    clearTimeout(this.#limit);
    if (this.#home !== undefined) await Deno.remove(this.#home, { recursive: true });
    this.#ended = true;
    this.#wake();
    return { code, ...this.#text };
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** Starts `deno run -A main.ts ARGS`. */
export function startProgram(args: readonly string[], options: ProgramOptions = {}): Program {
  return new Program(args, options);
}

/** Runs it to its end. */
export async function runProgram(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Finished> {
  await using program = startProgram(args, options);
  return await program.finished;
}

/** Nothing of the tester's AWS set-up may leak in; Deno's cache stays where it is. */
function environment(home: string, env: ProgramOptions["env"]): Record<string, string> {
  const cache = Deno.env.get("DENO_DIR") ??
    (Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`) + "/deno";
  return {
    PATH: Deno.env.get("PATH") ?? "",
    HOME: home,
    DENO_DIR: cache,
    DENO_NO_UPDATE_CHECK: "1",
    AWS_EC2_METADATA_DISABLED: "true",
    ...env,
  };
}
