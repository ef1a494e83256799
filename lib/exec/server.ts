/**
 * The host's side of the command protocol: sends commands over a connection, and what they read;
 * receives what they write and how they end.
 *
 * @module
 */

import { AwsocksError, type Conn, getLog } from "../core/mod.ts";
import { decodeExitStatus } from "./exit_status.ts";
import { closedError, protocolError } from "./failures.ts";
import { type Frame, FrameReader, FrameType, FrameWriter, MAX_FRAME_DATA_BYTES } from "./frames.ts";

const log = getLog("exec");

/** What comes back from a command, in the order in which it comes. The data is valid until the next. */
export type CommandEvent =
  | { readonly type: "stdout" | "stderr"; readonly data: Uint8Array }
  /** The last one. Status 128 + n: ended by signal n. */
  | { readonly type: "exit"; readonly status: number };

/** A command that was sent. */
export interface RemoteCommand {
  /** What comes back. Who takes no more holds the command back; to be iterated once, to its end. */
  readonly events: AsyncIterable<CommandEvent>;
  /**
   * Sends bytes for its standard input; resolves when the connection has accepted them. What comes
   * after its end is ignored. Read {@linkcode events} meanwhile: a command may not read on before
   * its output is taken.
   */
  write(data: Uint8Array): Promise<void>;
  /** The end of its standard input. */
  closeInput(): Promise<void>;
}

/** Options of {@linkcode HostSession}. */
export interface HostSessionOptions {
  /** Closes the session; whatever waits fails with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A connection to a client that runs commands, one at a time. Owns the connection. */
export class HostSession implements Disposable {
  readonly #conn: Conn;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.close();
  #busy = false;

  constructor(conn: Conn, { signal }: HostSessionOptions = {}) {
    this.#conn = conn;
    this.#reader = new FrameReader(conn);
    this.#writer = new FrameWriter(conn);
    this.#signal = signal;
    if (signal?.aborted) this.close();
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /**
   * Sends a command, which the client's shell runs as it stands.
   *
   * @param command UTF-8 text of at most 65,535 bytes
   * @throws AwsocksError `usage` for a longer one, and while another runs; `exec-closed` when the
   * client is gone. The events fail with `exec-closed` and `exec-protocol-error`.
   */
  async run(command: string): Promise<RemoteCommand> {
    const text = new TextEncoder().encode(command);
    if (text.byteLength > MAX_FRAME_DATA_BYTES) {
      throw new AwsocksError(
        "usage",
        `A command has at most ${MAX_FRAME_DATA_BYTES} bytes, not ${text.byteLength}`,
        { hint: "send a script as input instead: awsocks exec -- sh -s <script" },
      );
    }
    if (this.#busy) throw new AwsocksError("usage", "A command is still running");
    this.#busy = true;
    await this.#write(FrameType.Command, text);
    log.debug("Command sent", { bytes: text.byteLength });
    return {
      events: this.#events(),
      write: async (data) => {
        if (data.byteLength > 0) await this.#write(FrameType.Stdin, data);
      },
      closeInput: () => this.#write(FrameType.Stdin, new Uint8Array(0)),
    };
  }

  /** Closes the connection; a client of ours ends the command that runs. Idempotent. */
  close(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#conn.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async *#events(): AsyncGenerator<CommandEvent, void> {
    for (;;) {
      const event = await this.#next();
      if (event.type === "exit") {
        this.#busy = false;
        log.debug("Command ended", { status: event.status });
      }
      yield event;
      if (event.type === "exit") return;
    }
  }

  #next(): Promise<CommandEvent> {
    return this.#guard("before the command ended", async () => eventOf(await this.#reader.read()));
  }

  #write(type: FrameType, data: Uint8Array): Promise<void> {
    return this.#guard("while it was written to", () => this.#writer.write(type, data));
  }

  /** Does something with the connection; when that fails, the session is over. */
  async #guard<T>(when: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      this.close();
      if (this.#signal?.aborted) throw this.#signal.reason;
      throw closedError(`The client hung up ${when}`, cause);
    }
  }
}

/** What a frame of the client says. */
function eventOf(frame: Frame | null): CommandEvent {
  switch (frame?.type) {
    case FrameType.Stdout:
      return { type: "stdout", data: frame.data };
    case FrameType.Stderr:
      return { type: "stderr", data: frame.data };
    case FrameType.Exit:
      return { type: "exit", status: decodeExitStatus(frame.data) };
    case undefined:
      throw closedError("The client hung up before the command ended");
    default:
      throw protocolError(
        `The client sent a frame of type ${frame?.type}, which is the host's to send`,
      );
  }
}
