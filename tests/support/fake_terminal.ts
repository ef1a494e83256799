/**
 * A terminal in memory: keys go in, what would be seen comes out.
 *
 * @module
 */

import type { Output, Terminal } from "../../lib/cli/terminal.ts";

/** Standard output or error that remembers. */
export class FakeOutput implements Output {
  /** All that was written. */
  text = "";
  readonly #decoder = new TextDecoder();

  constructor(readonly isTerminal: boolean, readonly columns = 80, readonly rows = 24) {}

  write(text: string): void {
    this.text += text;
  }

  writeBytes(bytes: Uint8Array): Promise<void> {
    this.text += this.#decoder.decode(bytes, { stream: true });
    return Promise.resolve();
  }

  size(): { columns: number; rows: number } {
    return { columns: this.columns, rows: this.rows };
  }
}

/** A {@linkcode Terminal} whose keys a test presses. */
export class FakeTerminal implements Terminal {
  readonly stdout: FakeOutput;
  readonly stderr: FakeOutput;
  readonly env: Record<string, string>;
  /** True while keys arrive one by one. */
  raw = false;
  readonly #waiting: Uint8Array[] = [];
  #reader: PromiseWithResolvers<void> | undefined;

  constructor(
    options: { isTerminal?: boolean; columns?: number; env?: Record<string, string> } = {},
  ) {
    const { isTerminal = true, columns = 80, env = {} } = options;
    this.stdout = new FakeOutput(isTerminal, columns);
    this.stderr = new FakeOutput(isTerminal, columns);
    this.env = env;
    this.stdin = {
      isTerminal,
      setRaw: (on: boolean) => {
        this.raw = on;
      },
      read: async (into: Uint8Array) => {
        while (this.#waiting.length === 0) {
          this.#reader ??= Promise.withResolvers<void>();
          await this.#reader.promise;
        }
        const bytes = this.#waiting.shift()!;
        if (bytes.byteLength === 0) return null;
        into.set(bytes);
        return bytes.byteLength;
      },
    };
  }

  readonly stdin: Terminal["stdin"];

  /** Presses keys; an empty text is the end of input. */
  press(text: string): void {
    this.#waiting.push(new TextEncoder().encode(text));
    this.#reader?.resolve();
    this.#reader = undefined;
  }
}
