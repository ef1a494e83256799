/**
 * One command of a client's session: its pipes and the frames that go with them.
 *
 * @module
 */

import type { Executor, RunningCommand } from "./executor.ts";
import { encodeExitStatus, NOT_EXECUTABLE_STATUS, NOT_FOUND_STATUS } from "./exit_status.ts";
import { FrameType } from "./frames.ts";
import type { Inbox } from "./inbox.ts";

/** What a command is run with. */
export interface CommandRunOptions {
  readonly executor: Executor;
  /** Where its input is taken from, up to the next command. */
  readonly inbox: Inbox;
  /** Where its output goes; resolves when there is room for more. */
  readonly send: (type: FrameType, data: Uint8Array) => Promise<void>;
}

/** A command between its frame and its exit frame. */
export class CommandRun {
  readonly #options: CommandRunOptions;
  readonly #command: RunningCommand | undefined;
  /** Why it could not be started. */
  readonly #refusal: unknown;
  #ended = false;

  /** @param text the command frame's data */
  constructor(text: Uint8Array, options: CommandRunOptions) {
    this.#options = options;
    try {
      this.#command = options.executor.start(decode(text));
    } catch (error) {
      this.#refusal = error;
    }
  }

  /**
   * Carries input and output until the command has ended, and sends the exit frame.
   * @returns the status
   * @throws what `send` throws
   */
  async result(): Promise<number> {
    const status = this.#command ? await this.#carry(this.#command) : await this.#refuse();
    await this.#options.send(FrameType.Exit, encodeExitStatus(status));
    return status;
  }

  /** Ends the command by force. */
  async kill(): Promise<void> {
    await this.#command?.kill();
  }

  async #carry(command: RunningCommand): Promise<number> {
    void this.#feed(command);
    try {
      const pumps = await Promise.allSettled([
        this.#pump(command.stdout, FrameType.Stdout),
        this.#pump(command.stderr, FrameType.Stderr),
      ]);
      for (const pump of pumps) if (pump.status === "rejected") throw pump.reason;
      return await command.status;
    } finally {
      this.#ended = true;
      this.#options.inbox.notify();
      command.release();
    }
  }

  async #pump(output: AsyncIterable<Uint8Array>, type: FrameType): Promise<void> {
    for await (const piece of output) await this.#options.send(type, piece);
  }

  /**
   * Gives the command its input. That ends with an empty stdin frame, with the next command, which is
   * behind all that can be meant for this one, or with the connection. Never rejects.
   */
  async #feed({ stdin }: RunningCommand): Promise<void> {
    const { inbox } = this.#options;
    let open = true;
    while (!this.#ended) {
      const frame = inbox.first;
      if (frame?.type === FrameType.Stdin) {
        inbox.shift();
        if (frame.data.byteLength > 0) {
          if (open) await stdin.write(frame.data);
          continue;
        }
      }
      if (open && (frame || inbox.exhausted)) {
        open = false;
        await stdin.close();
      } else await inbox.changed;
    }
  }

  /** Says on standard error why there is no command, as a shell would. */
  async #refuse(): Promise<number> {
    const error = this.#refusal;
    const reason = error instanceof Error ? error.message : String(error);
    const text = new TextEncoder().encode(`vsock-client: ${reason}\n`);
    await this.#options.send(FrameType.Stderr, text);
    return error instanceof Deno.errors.NotFound ? NOT_FOUND_STATUS : NOT_EXECUTABLE_STATUS;
  }
}

/**
 * The text of a command. Arguments of a process are text without a zero byte.
 * @throws TypeError
 */
function decode(data: Uint8Array): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
  } catch (cause) {
    throw new TypeError("The command is not UTF-8", { cause });
  }
  if (text.includes("\0")) throw new TypeError("The command has a zero byte");
  return text;
}
