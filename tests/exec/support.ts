/**
 * Peers and streams for the tests of this room.
 *
 * @module
 */

import { BytePipe, type Conn } from "../../lib/core/mod.ts";
import {
  decodeExitStatus,
  type Executor,
  FrameReader,
  FrameType,
  FrameWriter,
  type HostSession,
  type RunningCommand,
} from "../../lib/exec/mod.ts";

/** A source that gives bytes in pieces of these sizes, over and over. */
export function sourceOf(bytes: Uint8Array, sizes: readonly number[]): Pick<Conn, "read"> {
  let at = 0;
  let turn = 0;
  return {
    read: (into) => {
      if (at === bytes.byteLength) return Promise.resolve(null);
      const size = sizes[turn++ % sizes.length]!;
      const part = bytes.subarray(at, at + Math.min(size, into.byteLength));
      into.set(part);
      at += part.byteLength;
      return Promise.resolve(part.byteLength);
    },
  };
}

/** What a command left. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** Runs a command in a session to its end, with this input. */
export async function outcomeOf(
  session: HostSession,
  command: string,
  input: string | Uint8Array | undefined = "",
): Promise<Outcome> {
  const { events, write, closeInput } = await session.run(command);
  const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
  // A command may end before it has read all of its input.
  const feeding = bytes && write(bytes).then(closeInput);
  const texts = { stdout: "", stderr: "" };
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  for await (const event of events) {
    if (event.type !== "exit") {
      texts[event.type] += decoders[event.type].decode(event.data, { stream: true });
      continue;
    }
    await feeding;
    return { ...texts, status: event.status };
  }
  throw new Error("ended without an exit");
}

/** A command that a test plays. */
export class FakeCommand implements RunningCommand {
  readonly #stdout = new BytePipe();
  readonly #stderr = new BytePipe();
  readonly #status = Promise.withResolvers<number>();
  /** Input that it was given, one entry a write; `null` is its end. */
  readonly input: (Uint8Array | null)[] = [];
  /** Pieces of output that were asked for. */
  pulls = 0;
  /** Whether it was to be killed. */
  killed = false;
  released = false;
  /** When set, a write of input waits for it. */
  block: Promise<void> | undefined;
  /** When set, every pull gives this. */
  endless: Uint8Array | undefined;
  readonly status: Promise<number> = this.#status.promise;
  readonly stdout: AsyncIterable<Uint8Array> = this.#pieces(this.#stdout);
  readonly stderr: AsyncIterable<Uint8Array> = this.#pieces(this.#stderr);

  constructor(readonly text: string) {}

  readonly stdin = {
    write: async (data: Uint8Array) => {
      this.input.push(data.slice());
      await this.block;
    },
    close: () => {
      this.input.push(null);
      return Promise.resolve();
    },
  };

  /** Writes to standard output. */
  print(text: string): void {
    this.#stdout.push(new TextEncoder().encode(text));
  }

  /** Ends. */
  exit(status: number): void {
    this.#stdout.end();
    this.#stderr.end();
    this.#status.resolve(status);
  }

  kill(): Promise<void> {
    if (this.released) return Promise.resolve(); // as the real one: its id may be another's
    this.killed = true;
    this.endless = undefined;
    this.exit(143);
    return Promise.resolve();
  }

  release(): void {
    this.released = true;
  }

  async *#pieces(pipe: BytePipe): AsyncGenerator<Uint8Array, void> {
    const buffer = new Uint8Array(65_535);
    while (this.endless && pipe === this.#stdout) {
      this.pulls++;
      yield this.endless;
    }
    for (let n; (n = await pipe.read(buffer)) !== null;) {
      this.pulls++;
      yield buffer.subarray(0, n);
    }
  }
}

/** Hands out {@linkcode FakeCommand}s. */
export class FakeExecutor implements Executor {
  readonly started: FakeCommand[] = [];
  #waiting = Promise.withResolvers<void>();
  /** Prepares each command. */
  prepare: (command: FakeCommand) => void = () => {};

  start(text: string): FakeCommand {
    const command = new FakeCommand(text);
    this.prepare(command);
    this.started.push(command);
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers();
    return command;
  }

  /** The command with this number, once it was started. */
  async command(index: number): Promise<FakeCommand> {
    while (this.started.length <= index) await this.#waiting.promise;
    return this.started[index]!;
  }
}

/** The other end of a client, frame by frame. */
export class FrameHost {
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;

  constructor(readonly conn: Conn) {
    this.#reader = new FrameReader(conn);
    this.#writer = new FrameWriter(conn);
  }

  async send(type: FrameType, data: string | Uint8Array = ""): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    await this.#writer.write(type, bytes);
  }

  /** The next frame that is not an empty piece of output, as `TYPE:text`; null at the end. */
  async next(): Promise<string | null> {
    for (;;) {
      const frame = await this.#reader.read();
      if (!frame) return null;
      if (frame.type === FrameType.Exit) return `exit:${decodeExitStatus(frame.data)}`;
      if (frame.data.byteLength > 0) return `${frame.type}:${new TextDecoder().decode(frame.data)}`;
    }
  }

  /** All frames up to the end of input. */
  async rest(): Promise<string[]> {
    const all: string[] = [];
    for (let frame; (frame = await this.next()) !== null;) all.push(frame);
    return all;
  }
}

/** True while there is a process of this id that is no zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    const { stdout } = await new Deno.Command("ps", {
      args: ["-o", "stat=", "-p", String(pid)],
    }).output();
    const state = new TextDecoder().decode(stdout).trim();
    return state !== "" && !state.startsWith("Z");
  } catch {
    return false;
  }
}

/** Pipes that this process has open. */
export function openPipes(): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith("pipe:")) count++;
    } catch {
      // The descriptor of the listing itself.
    }
  }
  return count;
}
