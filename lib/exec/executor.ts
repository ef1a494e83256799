/**
 * Runs commands: what a shell is given, what it reads and writes, how it ends. Knows nothing of
 * frames and connections.
 *
 * @module
 */

import { AwsocksError, type Clock, settledWithin, systemClock } from "../core/mod.ts";
import { endProcessGroup } from "./process_group.ts";

/** Milliseconds between SIGTERM and SIGKILL. */
export const KILL_GRACE_MS = 2000;

/** Longest piece of output: what one frame holds. */
const PIECE_BYTES = 0xffff;

/** A command's standard input. Neither method fails when the command has stopped reading. */
export interface CommandInput {
  /** Resolves when the command's pipe has taken the bytes. */
  write(data: Uint8Array): Promise<void>;
  /** The end of input. Idempotent. */
  close(): Promise<void>;
}

/** A command that was started. */
export interface RunningCommand {
  readonly stdin: CommandInput;
  /**
   * Pieces of at most 65,535 bytes, each valid until the next. Read no further than the consumer
   * wants: a command whose output nobody takes waits. Ends when every process that has the pipe has
   * closed it.
   */
  readonly stdout: AsyncIterable<Uint8Array>;
  /** As {@linkcode stdout}. */
  readonly stderr: AsyncIterable<Uint8Array>;
  /** Its status once it has ended: 0 to 255, 128 + n after signal n. */
  readonly status: Promise<number>;
  /** Ends its process group, by force if need be, then {@linkcode release}s. Idempotent. */
  kill(): Promise<void>;
  /** Gives the pipes back, whoever else still has them. Idempotent. */
  release(): void;
}

/** Something that runs commands. */
export interface Executor {
  /**
   * Starts a command.
   * @throws Deno.errors.NotFound, or another error of the system, when it cannot be started
   */
  start(command: string): RunningCommand;
}

/** Options of {@linkcode createShellExecutor}. */
export interface ShellExecutorOptions {
  /** Shell that takes `-c COMMAND`; default `/bin/sh`. */
  readonly shell?: string;
  /** Working directory of every command; default that of this process. */
  readonly cwd?: string;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds between SIGTERM and SIGKILL; default {@linkcode KILL_GRACE_MS}. */
  readonly grace?: number;
  readonly clock?: Clock;
}

/**
 * An executor that gives each command to a shell of its own, `/bin/sh -c COMMAND`, in a session and
 * process group of its own. Nothing is checked, and nothing carries over from one command to the next.
 *
 * @throws AwsocksError `unsupported-platform` on Windows
 */
export function createShellExecutor(options: ShellExecutorOptions = {}): Executor {
  if (Deno.build.os === "windows") {
    throw new AwsocksError("unsupported-platform", "Commands are run on Linux and macOS only");
  }
  return { start: (command) => new ShellCommand(command, options) };
}

class ShellCommand implements RunningCommand {
  readonly #process: Deno.ChildProcess;
  readonly #clock: Clock;
  readonly #grace: number;
  readonly #outputs: readonly ReadableStreamBYOBReader[];
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  #released = false;
  #killing: Promise<void> | undefined;
  readonly stdin: CommandInput;
  readonly stdout: AsyncIterable<Uint8Array>;
  readonly stderr: AsyncIterable<Uint8Array>;
  readonly status: Promise<number>;

  constructor(command: string, options: ShellExecutorOptions) {
    const { shell = "/bin/sh", cwd, env, grace = KILL_GRACE_MS, clock = systemClock } = options;
    this.#clock = clock;
    this.#grace = grace;
    this.#process = new Deno.Command(shell, {
      args: ["-c", command],
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true, // setsid: the group's id is the shell's process id
    }).spawn();
    const stdout = this.#process.stdout.getReader({ mode: "byob" });
    const stderr = this.#process.stderr.getReader({ mode: "byob" });
    this.#outputs = [stdout, stderr];
    this.#input = this.#process.stdin.getWriter();
    this.#input.closed.catch(() => {}); // the command does not have to read
    this.stdin = inputOf(this.#input);
    this.stdout = piecesOf(stdout);
    this.stderr = piecesOf(stderr);
    this.status = this.#process.status.then(({ code }) => code);
  }

  kill(): Promise<void> {
    // After the release nothing keeps the id from being another's.
    if (this.#released) return this.#killing ?? Promise.resolve();
    return this.#killing ??= this.#kill();
  }

  async #kill(): Promise<void> {
    await endProcessGroup(this.#process.pid, { clock: this.#clock, grace: this.#grace });
    // A process that waits for a device outlives even SIGKILL.
    await settledWithin(this.#clock, this.#grace, this.status);
    this.release();
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    for (const output of this.#outputs) output.cancel().catch(() => {});
    this.#input.abort().catch(() => {});
  }
}

function inputOf(writer: WritableStreamDefaultWriter<Uint8Array>): CommandInput {
  // A command that has ended or closed its input refuses what is left: nobody misses it.
  return {
    write: (data) => writer.write(data).catch(() => {}),
    close: () => writer.close().catch(() => {}),
  };
}

/** Reads as large pieces as a frame holds, into one buffer that goes back and forth. */
async function* piecesOf(reader: ReadableStreamBYOBReader): AsyncGenerator<Uint8Array, void> {
  let buffer = new ArrayBuffer(PIECE_BYTES);
  try {
    for (;;) {
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (done) return;
      yield value;
      buffer = value.buffer;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
