/**
 * One command at a client, with the standard streams of this process.
 *
 * @module
 */

import { getLog } from "../core/log.ts";
import type { HostSession, RemoteCommand } from "../exec/mod.ts";
import type { Input, Terminal } from "./terminal.ts";

const READ_BYTES = 64 * 1024;

/** Standard input whose pending read is not lost when nobody wants it any more. */
export class StandardInput {
  readonly #input: Input;
  #next: Promise<Uint8Array | null> | undefined;

  constructor(input: Input) {
    this.#input = input;
  }

  /** Whether a person types. */
  get isTerminal(): boolean {
    return this.#input.isTerminal;
  }

  /** What comes next, null for the end: the same until it is taken. */
  get next(): Promise<Uint8Array | null> {
    return this.#next ??= this.#read();
  }

  /** Says that {@linkcode next} was used. */
  take(): void {
    this.#next = undefined;
  }

  async #read(): Promise<Uint8Array | null> {
    const buffer = new Uint8Array(READ_BYTES);
    const n = await this.#input.read(buffer);
    return n === null ? null : buffer.subarray(0, n);
  }
}

/**
 * Runs a command to its end.
 *
 * @param input what it reads; default nothing
 * @returns its status
 * @throws Deno.errors.BrokenPipe when whoever reads our output has gone; see also HostSession
 */
export async function perform(
  { stdout, stderr }: Pick<Terminal, "stdout" | "stderr">,
  session: HostSession,
  command: string,
  input?: StandardInput,
): Promise<number> {
  const remote = await session.run(command);
  const ended = Promise.withResolvers<undefined>();
  const feeding = input ? feed(remote, input, ended.promise) : remote.closeInput();
  // A connection that fails is reported by the events.
  feeding.catch((error) => getLog("exec").debug("Input ended early", { error }));
  try {
    for await (const event of remote.events) {
      if (event.type === "exit") return event.status;
      await (event.type === "stdout" ? stdout : stderr).writeBytes(event.data);
    }
  } finally {
    ended.resolve(undefined);
  }
  throw new TypeError("The events of a command end with its exit");
}

/** Passes input on until it or the command ends. */
async function feed(
  remote: RemoteCommand,
  input: StandardInput,
  ended: Promise<undefined>,
): Promise<void> {
  for (;;) {
    const bytes = await Promise.race([input.next, ended]);
    if (bytes === undefined) return;
    input.take();
    if (bytes === null) return await remote.closeInput();
    await remote.write(bytes);
  }
}
