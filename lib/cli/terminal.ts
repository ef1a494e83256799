/**
 * The three standard streams and the environment, as values that tests can replace.
 *
 * @module
 */

import { writeAll } from "../core/conn.ts";

/** Columns and rows of a terminal that does not say. */
const DEFAULT_SIZE = { columns: 80, rows: 24 };

/** Standard output or standard error. */
export interface Output {
  readonly isTerminal: boolean;
  /** Writes all of the text before it returns. A reader that has gone is not an error. */
  write(text: string): void;
  /**
   * Writes all of the bytes; resolves when they are accepted.
   * @throws Deno.errors.BrokenPipe when the reader has gone
   */
  writeBytes(bytes: Uint8Array): Promise<void>;
  size(): { readonly columns: number; readonly rows: number };
}

/** Standard input. */
export interface Input {
  readonly isTerminal: boolean;
  /** Raw mode: keys arrive one by one, without echo, Ctrl-C among them. */
  setRaw(on: boolean): void;
  read(into: Uint8Array): Promise<number | null>;
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a command reads and writes. */
export interface Terminal {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Environment;
}

/** The streams and the environment of this process. */
export function systemTerminal(): Terminal {
  return {
    stdin: {
      isTerminal: Deno.stdin.isTerminal(),
      setRaw: (on) => Deno.stdin.setRaw(on),
      read: (into) => Deno.stdin.read(into),
    },
    stdout: outputOf(Deno.stdout),
    stderr: outputOf(Deno.stderr),
    env: Deno.env.toObject(),
  };
}

function outputOf(stream: typeof Deno.stdout): Output {
  const encoder = new TextEncoder();
  const isTerminal = stream.isTerminal();
  return {
    isTerminal,
    write(text) {
      let bytes = encoder.encode(text);
      try {
        while (bytes.byteLength > 0) bytes = bytes.subarray(stream.writeSync(bytes));
      } catch (error) {
        // `awsocks help | head -1`: nobody is left to tell.
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      }
    },
    writeBytes: (bytes) => writeAll(stream, bytes),
    size() {
      try {
        return isTerminal ? Deno.consoleSize() : DEFAULT_SIZE;
      } catch {
        return DEFAULT_SIZE;
      }
    },
  };
}
