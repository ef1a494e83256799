/**
 * Programs that a machine consists of: found, started so that they die with this process, and ended.
 *
 * Linux kills a child whose parent has died when it asks for that (PR_SET_PDEATHSIG in prctl(2)), which
 * `setpriv` of util-linux does for any program. Where there is no `setpriv`, a program that outlives
 * this process because that was killed is ended at the next start; see `run_folder.ts`.
 *
 * @module
 */

import { isAbsolute, join } from "node:path";
import { AwsocksError, type Clock } from "../core/mod.ts";
import type { ConsoleBuffer } from "./console_log.ts";

/** Milliseconds that a program gets to end when it is asked to. */
const TERM_MS = 1000;

/** Milliseconds to wait for the output of a program that has ended. */
const FLUSH_MS = 1000;

/** How a program ended, in words: `QEMU was ended by SIGKILL`. */
export type EndWords = string;

/** A running program. */
export interface RunningProgram {
  readonly pid: number;
  /** Resolves when it has ended and all it wrote is in the log; never rejects. */
  readonly ended: Promise<EndWords>;
  /** Ends it: politely, then not. Idempotent, never rejects. */
  end(): Promise<void>;
}

/** Options of {@linkcode startProgram}. */
export interface ProgramOptions {
  /** Path. */
  readonly program: string;
  readonly args: readonly string[];
  /** Name for people. */
  readonly name: string;
  readonly console: ConsoleBuffer;
  /** Consoles that its output and its messages are logged as. */
  readonly sources: { readonly stdout: string; readonly stderr: string };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

/** Starts a program. @throws AwsocksError `vm-unavailable` */
export async function startProgram(options: ProgramOptions): Promise<RunningProgram> {
  const { program, args, name, console, sources, env, clock } = options;
  const guard = await findProgram("setpriv", env);
  const line = [...(guard ? [guard, "--pdeathsig", "KILL", "--"] : []), program, ...args];
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(line[0]!, {
      args: line.slice(1),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      // A session of its own: Ctrl-C on the terminal is for us alone, who end it in order.
      detached: true,
    }).spawn();
  } catch (cause) {
    throw new AwsocksError("vm-unavailable", `${name} cannot be started`, { cause });
  }
  const outputs = [
    collect(child.stdout, console, sources.stdout),
    collect(child.stderr, console, sources.stderr),
  ];
  const ended = child.status.then(async ({ code, signal }) => {
    // Something that the program has left behind may hold its output open.
    using _timer = clock.after(FLUSH_MS, () => outputs.forEach(({ stop }) => stop()));
    await Promise.all(outputs.map(({ done }) => done));
    return `${name} ${signal ? `was ended by ${signal}` : `ended with code ${code}`}`;
  });
  const send = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch {
      // It has ended.
    }
  };
  return {
    pid: child.pid,
    ended,
    async end() {
      send("SIGTERM");
      using _timer = clock.after(TERM_MS, () => send("SIGKILL"));
      await ended;
    },
  };
}

/** Puts a stream into the log. */
function collect(stream: ReadableStream<Uint8Array>, console: ConsoleBuffer, source: string) {
  const reader = stream.getReader();
  const read = async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      console.push(source, value);
    }
  };
  // What fails here ends with the program, which tells.
  const done = read().catch(() => {}).finally(() => console.end(source));
  return { done, stop: () => void reader.cancel().catch(() => {}) };
}

/** Path of a program: itself if it is one, else where PATH has it; undefined when it is nowhere. */
export async function findProgram(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const places = name.includes("/")
    ? [isAbsolute(name) ? name : join(Deno.cwd(), name)]
    : (env["PATH"] ?? "").split(":").filter((each) => each !== "").map((each) => join(each, name));
  for (const place of places) {
    try {
      const { isFile, mode } = await Deno.stat(place);
      if (isFile && ((mode ?? 0) & 0o111) !== 0) return place;
    } catch {
      // Not there, or not ours to see: the next one.
    }
  }
  return undefined;
}

/**
 * True when this process may read and write a device. The program `test` looks, because named
 * permissions of Deno do not reach into `/dev`.
 */
export async function canUse(device: string): Promise<boolean> {
  const of = async (...args: string[]) => {
    const options = { args, stdin: "null", stdout: "null", stderr: "null" } as const;
    return (await new Deno.Command("test", options).output()).success;
  };
  try {
    return await of("-r", device) && await of("-w", device);
  } catch {
    return false;
  }
}

/** The command line of a process, with its arguments parted by spaces; empty when there is none. */
export async function commandLineOf(pid: number): Promise<string> {
  try {
    const { stdout } = await new Deno.Command("cat", {
      args: [`/proc/${pid}/cmdline`],
      stdin: "null",
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout).replaceAll("\0", " ");
  } catch {
    return "";
  }
}
