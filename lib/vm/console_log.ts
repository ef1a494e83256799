/**
 * What a machine writes to its consoles: the last lines, for errors and for the curious.
 *
 * @module
 */

import { stripVTControlCharacters } from "node:util";

/** Lines that are kept. */
const KEPT_LINES = 500;

/** A line is cut at this many characters: a guest may write anything. */
const MAX_LINE = 1000;

/** Lines among which one that a second console repeats is looked for. */
const REPEAT_WINDOW = 64;

/** The last lines of a machine's consoles. */
export interface ConsoleLog {
  /** The last lines, oldest first; default all that are kept. */
  tail(lines?: number): string[];
  /**
   * Calls back for every line from now on, with the console it came from.
   * @returns stops it
   */
  onLine(listener: (line: string, source: string) => void): () => void;
}

interface Line {
  readonly text: string;
  readonly source: string;
  /** Another console has said the same. */
  repeated: boolean;
}

/** Takes the consoles' output. */
export class ConsoleBuffer implements ConsoleLog {
  readonly #lines: Line[] = [];
  readonly #listeners = new Set<(line: string, source: string) => void>();
  readonly #sources = new Map<string, { decoder: TextDecoder; rest: string }>();

  /**
   * Adds output of one console. What the kernel writes to all consoles is kept once.
   * @param source name of the console
   */
  push(source: string, bytes: Uint8Array): void {
    const state = this.#sources.get(source) ?? { decoder: new TextDecoder(), rest: "" };
    this.#sources.set(source, state);
    const parts = (state.rest + state.decoder.decode(bytes, { stream: true })).split("\n");
    // Whatever has no end is cut, and goes on as a line of its own.
    state.rest = parts.pop()!;
    if (state.rest.length > MAX_LINE) {
      parts.push(state.rest);
      state.rest = "";
    }
    for (const part of parts) this.#add(source, part);
  }

  /** Takes a console's last line, which had no end. */
  end(source: string): void {
    const rest = this.#sources.get(source)?.rest ?? "";
    this.#sources.delete(source);
    this.#add(source, rest);
  }

  tail(lines = KEPT_LINES): string[] {
    return this.#lines.slice(Math.max(0, this.#lines.length - lines)).map(({ text }) => text);
  }

  onLine(listener: (line: string, source: string) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #add(source: string, raw: string): void {
    // Firmware moves the cursor about; a carriage return starts the line again.
    const text = stripVTControlCharacters(raw.trimEnd()).split("\r").at(-1)!
      .replaceAll(/\p{Cc}/gu, "").trimEnd().slice(0, MAX_LINE);
    if (text === "") return;
    const twin = this.#lines.slice(-REPEAT_WINDOW)
      .find((line) => line.text === text && line.source !== source && !line.repeated);
    if (twin) {
      twin.repeated = true;
      return;
    }
    this.#lines.push({ text, source, repeated: false });
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
    for (const listener of this.#listeners) listener(text, source);
  }
}

/** Lines of the tail that an error shows, and the length to which each is cut. */
const SHOWN = { lines: 4, characters: 160 };

/** What the kernel writes last, before a page of registers and addresses. */
const PANIC = /Kernel panic/;

/** The tail as an error says it, on one line; empty when the consoles were silent. */
export function consoleWords(console: ConsoleLog): string {
  const all = console.tail(100);
  const panic = all.findLastIndex((line) => PANIC.test(line));
  const tail = (panic < 0 ? all : all.slice(0, panic + 1)).slice(-SHOWN.lines);
  if (tail.length === 0) return "";
  return `; its console ends with: ${
    tail.map((line) => line.slice(0, SHOWN.characters)).join(" | ")
  }`;
}
