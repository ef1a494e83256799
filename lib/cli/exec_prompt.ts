/**
 * Commands one after the other, as lines of standard input. A person is asked for them, sees their
 * status and can type into them; from a file or a pipe every line is a command without input.
 *
 * @module
 */

import type { HostSession } from "../exec/mod.ts";
import { perform, type StandardInput } from "./exec_run.ts";
import type { Terminal } from "./terminal.ts";

const PROMPT = "exec> ";

/** What a person types to leave: in a shell of its own each time, it would do nothing else. */
const LEAVE = "exit";

/** Options of {@linkcode converse}. */
export interface ConverseOptions {
  /** A command to begin with. */
  readonly first: string | undefined;
  readonly input: StandardInput;
  /** Ends the conversation with its reason. */
  readonly signal: AbortSignal;
}

/**
 * Runs line after line.
 * @returns status of the last command, 0 if there was none
 */
export async function converse(
  terminal: Terminal,
  session: HostSession,
  { first, input, signal }: ConverseOptions,
): Promise<number> {
  const { stderr } = terminal;
  const lines = new Lines(input, signal);
  let status = 0;
  let command = first;
  for (;;) {
    if (command !== undefined && command.trim() !== "") {
      status = await perform(terminal, session, command, input.isTerminal ? input : undefined);
      if (input.isTerminal && status !== 0) stderr.write(`[exit ${status}]\n`);
    }
    if (input.isTerminal) stderr.write(PROMPT);
    const line = await lines.next();
    if (line === undefined && input.isTerminal) stderr.write("\n");
    if (line === undefined || (input.isTerminal && line.trim() === LEAVE)) return status;
    command = line;
  }
}

/** Lines of standard input. */
class Lines {
  readonly #input: StandardInput;
  readonly #aborted: Promise<never>;
  readonly #decoder = new TextDecoder();
  #rest = "";
  #ended = false;

  constructor(input: StandardInput, signal: AbortSignal) {
    this.#input = input;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {}); // heard of only while a line is waited for
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    this.#aborted = promise;
  }

  /** The next line without its end; undefined when there are no more. */
  async next(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line.replace(/\r$/, "");
      }
      if (this.#ended) {
        const last = this.#rest;
        this.#rest = "";
        return last === "" ? undefined : last;
      }
      const bytes = await Promise.race([this.#input.next, this.#aborted]);
      this.#input.take();
      if (bytes === null) this.#ended = true;
      else this.#rest += this.#decoder.decode(bytes, { stream: true });
    }
  }
}
