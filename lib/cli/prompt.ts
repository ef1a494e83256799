/**
 * Questions to the person at the terminal: pick from a list, type a secret. One at a time, on
 * standard error, so that standard output stays clean.
 *
 * @module
 */

import { AwsocksError } from "../core/errors.ts";
import type { Clock } from "../core/clock.ts";
import { type Key, KeyDecoder } from "./keys.ts";
import type { Screen } from "./screen.ts";
import { type Choice, openSelect, press, render, type SelectView } from "./select.ts";
import { createStyle, displayWidth, plain, truncate } from "./style.ts";
import type { Terminal } from "./terminal.ts";

/** Milliseconds after which a lone Escape byte is the Escape key and not the start of a sequence. */
const ESCAPE_DELAY = 50;

/** Options of {@linkcode Prompter}. */
export interface PrompterOptions {
  readonly terminal: Terminal;
  readonly screen: Screen;
  readonly clock: Clock;
  readonly color: boolean;
  /** Ctrl-C in a prompt, where the terminal sends no signal. */
  readonly onInterrupt?: () => void;
}

/** Options of a question. */
export interface AskOptions {
  /** Takes the question away. */
  readonly signal?: AbortSignal | undefined;
}

/** Asks questions. */
export class Prompter {
  readonly #options: PrompterOptions;
  readonly #decoder = new KeyDecoder();
  #queue: Promise<unknown> = Promise.resolve();
  #pending: Promise<Uint8Array | null> | undefined;

  constructor(options: PrompterOptions) {
    this.#options = options;
  }

  /** Whether there is a person to ask. */
  get available(): boolean {
    const { stdin, stderr } = this.#options.terminal;
    return stdin.isTerminal && stderr.isTerminal;
  }

  /**
   * Lets the person pick one of several.
   * @returns index of the choice
   * @throws AwsocksError `usage` without a terminal, `aborted` when left
   */
  select(title: string, choices: readonly Choice[], options: AskOptions = {}): Promise<number> {
    return this.#ask(title, options, async () => {
      let state = openSelect(title, choices);
      const picture = new Picture(this.#options);
      try {
        for (;;) {
          picture.draw(render(state, this.#view()));
          for (const key of await this.#keys(options.signal)) {
            if (key.name === "interrupt") this.#options.onInterrupt?.();
            const step = press(state, key);
            if ("picked" in step) {
              picture.replace(`${title} ${choices[step.picked]!.label}`);
              return step.picked;
            }
            if ("cancelled" in step) throw cancelled(title);
            state = step.state;
          }
        }
      } finally {
        picture.clear();
      }
    });
  }

  /**
   * Asks for a text that is not shown, not even its length.
   * @throws AwsocksError `usage` without a terminal, `aborted` when left
   */
  secret(label: string, options: AskOptions = {}): Promise<string> {
    return this.#ask(label, options, async () => {
      const { stderr } = this.#options.terminal;
      stderr.write(`${plain(label)}: `);
      let text = "";
      try {
        for (;;) {
          for (const key of await this.#keys(options.signal)) {
            if (key.name === "interrupt") this.#options.onInterrupt?.();
            if (key.name === "enter") return text;
            text = typeSecret(label, text, key);
          }
        }
      } finally {
        stderr.write("\r\n");
      }
    });
  }

  /** Runs one question after the other, with the terminal in raw mode. */
  #ask<T>(label: string, { signal }: AskOptions, question: () => Promise<T>): Promise<T> {
    if (!this.available) {
      const message = `${plain(label)}: cannot ask without a terminal`;
      return Promise.reject(new AwsocksError("usage", message));
    }
    const { terminal, screen } = this.#options;
    const turn = this.#queue.then(async () => {
      signal?.throwIfAborted();
      using _screen = screen.hold(() => {
        terminal.stdin.setRaw(false);
        terminal.stderr.write("\x1b[?25h");
      });
      terminal.stdin.setRaw(true);
      return await question();
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }

  #view(): SelectView {
    return { ...this.#options.terminal.stderr.size(), color: this.#options.color };
  }

  /** The next keys; a pending read is kept for the next question when this one is taken away. */
  async #keys(signal: AbortSignal | undefined): Promise<Key[]> {
    for (;;) {
      const bytes = await this.#read(signal);
      if (bytes === null) return [{ name: "end-of-input" }];
      const keys = bytes === "quiet" ? this.#decoder.flush() : this.#decoder.push(bytes);
      if (keys.length > 0) return keys;
    }
  }

  async #read(signal: AbortSignal | undefined): Promise<Uint8Array | null | "quiet"> {
    signal?.throwIfAborted();
    this.#pending ??= this.#readChunk();
    const over = new AbortController();
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      const quiet = this.#decoder.undecided
        ? [
          this.#options.clock.sleep(ESCAPE_DELAY, { signal: over.signal }).then(() =>
            "quiet" as const
          ),
        ]
        : [];
      for (const wait of quiet) wait.catch(() => {});
      const first = await Promise.race([this.#pending, aborted, ...quiet]);
      if (first !== "quiet") this.#pending = undefined;
      return first;
    } finally {
      over.abort();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async #readChunk(): Promise<Uint8Array | null> {
    const buffer = new Uint8Array(256);
    const n = await this.#options.terminal.stdin.read(buffer);
    return n === null ? null : buffer.subarray(0, n);
  }
}

/** The secret after a key. */
function typeSecret(label: string, text: string, key: Key): string {
  switch (key.name) {
    case "character":
      return text + key.text;
    case "backspace":
      return [...text].slice(0, -1).join("");
    case "clear":
      return "";
    case "interrupt":
    case "end-of-input":
    case "escape":
      throw cancelled(label);
    default:
      return text;
  }
}

function cancelled(label: string): AwsocksError {
  return new AwsocksError("aborted", `${plain(label)}: nothing was chosen`);
}

/** Lines drawn over one another at the same place. */
class Picture {
  readonly #options: PrompterOptions;
  #height = 0;

  constructor(options: PrompterOptions) {
    this.#options = options;
  }

  draw(lines: readonly string[]): void {
    this.#write(`\x1b[?25l${this.#home()}${lines.join("\r\n")}`);
    this.#height = lines.length;
  }

  /** Leaves one line in place of the picture. */
  replace(text: string): void {
    const { columns } = this.#options.terminal.stderr.size();
    const style = createStyle(this.#options.color);
    const line = truncate(plain(text), columns - 1);
    this.#write(`${this.#home()}${displayWidth(line) === 0 ? "" : style.dim(line)}\r\n`);
    this.#height = 0;
  }

  clear(): void {
    this.#write(this.#home());
    this.#height = 0;
  }

  /** To the first line of the picture, with everything below wiped out. */
  #home(): string {
    if (this.#height === 0) return "";
    return `\r${this.#height > 1 ? `\x1b[${this.#height - 1}A` : ""}\x1b[J`;
  }

  #write(text: string): void {
    if (text !== "") this.#options.terminal.stderr.write(text);
  }
}
