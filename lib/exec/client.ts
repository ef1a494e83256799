/**
 * The client's side of the command protocol: takes commands from a connection, has them run, sends
 * back what they write and how they end. Opens no connection and starts no process itself.
 *
 * @module
 */

import {
  Backoff,
  type Clock,
  type Conn,
  getLog,
  isAwsocksError,
  settledWithin,
  systemClock,
} from "../core/mod.ts";
import { CommandRun } from "./command_run.ts";
import { createShellExecutor, type Executor } from "./executor.ts";
import { closedError, protocolError } from "./failures.ts";
import { type Frame, FrameReader, FrameType, FrameWriter, MAX_FRAME_DATA_BYTES } from "./frames.ts";
import { Inbox } from "./inbox.ts";

const log = getLog("exec");

/** Probes of a host that says nothing any more: the delays between them, in milliseconds. */
const PROBES = { initial: 100, max: 1000, jitter: 0 };

/** The same while the host is held back because a command does not read. */
const HELD_BACK_PROBES = { initial: 1000, max: 5000, jitter: 0 };

/** Milliseconds of quiet after which a host that leaves its side open is not waited for. */
const LINGER_QUIET_MS = 200;

/** Milliseconds for which a host that goes on sending is listened to at the end. */
const LINGER_LIMIT_MS = 5000;

const NOTHING = new Uint8Array(0);

/** Options of {@linkcode runVsockClient}. */
export interface VsockClientOptions {
  /** Takes commands until the host closes the connection; default: one command. */
  readonly persistent?: boolean;
  /** What runs the commands; default {@linkcode createShellExecutor}. */
  readonly executor?: Executor;
  /** Ends the session and the command that runs, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Longest command; default and at most what a frame holds, 65,535 bytes. */
  readonly maxCommandBytes?: number;
  readonly clock?: Clock;
}

/** What a session came to. */
export interface VsockClientResult {
  /** Commands that were run. */
  readonly commands: number;
  /** Status of the last of them. */
  readonly status: number | undefined;
}

/**
 * Runs the commands that come over a connection, then closes it. The commands are not checked: who
 * holds the other end has the rights of this process.
 *
 * @throws AwsocksError `exec-protocol-error` when the host does not keep to the protocol, `exec-closed`
 * when it is gone before the (first) command has ended; the reason of the signal. In each case the
 * command's process group has been ended.
 */
export async function runVsockClient(
  conn: Conn,
  options: VsockClientOptions = {},
): Promise<VsockClientResult> {
  return await new ClientSession(conn, options).run();
}

class ClientSession {
  readonly #conn: Conn;
  readonly #persistent: boolean;
  readonly #executor: Executor;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  readonly #maxCommandBytes: number;
  readonly #writer: FrameWriter;
  readonly #inbox = new Inbox();
  readonly #over = Promise.withResolvers<void>();
  #isOver = false;
  #run: CommandRun | undefined;
  #received = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(conn: Conn, options: VsockClientOptions) {
    this.#conn = conn;
    this.#persistent = options.persistent ?? false;
    this.#executor = options.executor ?? createShellExecutor();
    this.#clock = options.clock ?? systemClock;
    this.#signal = options.signal;
    this.#maxCommandBytes = options.maxCommandBytes ?? MAX_FRAME_DATA_BYTES;
    this.#writer = new FrameWriter(conn);
  }

  async run(): Promise<VsockClientResult> {
    const onAbort = () => this.#fail(this.#signal?.reason);
    if (this.#signal?.aborted) onAbort();
    this.#signal?.addEventListener("abort", onAbort, { once: true });
    const receiving = this.#receive();
    try {
      const result = await this.#serve();
      await this.#linger(receiving);
      return result;
    } finally {
      this.#signal?.removeEventListener("abort", onAbort);
      this.#finish();
      this.#conn.close();
      await receiving;
    }
  }

  /** One command after the other. */
  async #serve(): Promise<VsockClientResult> {
    let commands = 0;
    let status: number | undefined;
    while (this.#persistent || commands === 0) {
      const command = await this.#nextCommand();
      if (command === undefined) break;
      status = await this.#execute(command);
      commands++;
    }
    if (this.#failure) throw this.#failure.error;
    if (!this.#persistent && commands === 0) {
      throw closedError("The host closed the connection without a command");
    }
    return { commands, status };
  }

  /** Text of the next command; undefined when none will come. */
  async #nextCommand(): Promise<Uint8Array | undefined> {
    while (!this.#inbox.exhausted) {
      const frame = this.#inbox.shift();
      if (!frame) await this.#inbox.changed;
      // Input that was on its way when the command before it ended is nobody's.
      else if (frame.type === FrameType.Command) return frame.data;
    }
    return undefined;
  }

  async #execute(command: Uint8Array): Promise<number> {
    log.debug("Command starts", { bytes: command.byteLength });
    this.#run = new CommandRun(command, {
      executor: this.#executor,
      inbox: this.#inbox,
      send: (type, data) => this.#send(type, data),
    });
    try {
      const status = await this.#run.result();
      log.debug("Command ended", { status });
      return status;
    } finally {
      // What failed may have ended the run from below: its processes must be gone before we are.
      if (this.#failure) await this.#run.kill();
      this.#run = undefined;
    }
  }

  async #send(type: FrameType, data: Uint8Array): Promise<void> {
    try {
      await this.#writer.write(type, data);
    } catch (cause) {
      const error = closedError("The host hung up while a command ran", cause);
      this.#fail(error);
      throw this.#failure?.error ?? error;
    }
  }

  /** Reads as long as there is room. Never rejects. */
  async #receive(): Promise<void> {
    const reader = new FrameReader(this.#conn);
    try {
      for (;;) {
        const frame = await reader.read();
        if (!frame) break;
        this.#received++;
        if (this.#isOver) continue;
        this.#admit(frame);
        this.#inbox.push(frame);
        if (this.#inbox.full) await this.#heldBack();
      }
    } catch (cause) {
      const error = closedError("The connection to the host failed", cause);
      // A host that resets the connection when all is done has only closed it without reading on.
      const idle = !this.#run && !this.#inbox.first;
      if (!idle || isAwsocksError(error, "exec-protocol-error")) return this.#fail(error);
      log.debug("Connection reset between commands", { error });
    }
    this.#inbox.end();
    await this.#afterTheEnd();
  }

  /** @throws AwsocksError `exec-protocol-error` for what a host may not send */
  #admit({ type, data }: Frame): void {
    if (type !== FrameType.Command && type !== FrameType.Stdin) {
      throw protocolError(`The host sent a frame of type ${type}, which is the client's to send`);
    }
    if (type === FrameType.Command && data.byteLength > this.#maxCommandBytes) {
      throw protocolError(
        `A command of ${data.byteLength} bytes is longer than ${this.#maxCommandBytes}`,
      );
    }
  }

  /** Waits for room. Without reading, only writing tells whether the host is still there. */
  async #heldBack(): Promise<void> {
    const backoff = new Backoff(HELD_BACK_PROBES);
    while (this.#inbox.full) {
      const wait = Promise.race([this.#inbox.changed, this.#over.promise]);
      if (!await settledWithin(this.#clock, backoff.next(), wait)) this.#probe();
    }
  }

  /**
   * The host has closed its side. Either it has nothing more to send and waits for the results, or it
   * is gone, which again only writing tells.
   */
  async #afterTheEnd(): Promise<void> {
    const backoff = new Backoff(PROBES);
    do this.#probe(); while (
      !await settledWithin(this.#clock, backoff.next(), this.#over.promise)
    );
  }

  /** Writes what every host takes and none sees: an empty piece of output. */
  #probe(): void {
    if (this.#run) this.#send(FrameType.Stdout, NOTHING).catch(() => {});
  }

  /** Nothing of this connection is of use any more; the first reason counts. */
  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#failure = { error };
    this.#finish();
    this.#conn.close();
    void this.#run?.kill();
  }

  #finish(): void {
    this.#isOver = true;
    this.#inbox.abort();
    this.#over.resolve();
  }

  /**
   * Lets the last frames arrive: a TCP connection closed while input of it is unread is reset, and the
   * peer may lose what it has not read yet.
   */
  async #linger(receiving: Promise<void>): Promise<void> {
    this.#finish();
    try {
      await this.#conn.closeWrite();
    } catch {
      return; // the host has what it wants and has gone
    }
    const deadline = this.#clock.monotonic() + LINGER_LIMIT_MS;
    let seen: number;
    do {
      seen = this.#received;
    } while (
      !await settledWithin(this.#clock, LINGER_QUIET_MS, receiving) &&
      this.#received > seen && this.#clock.monotonic() < deadline
    );
  }
}
