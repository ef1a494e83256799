/**
 * Bytes of a terminal in raw mode → keys.
 *
 * Sequences: ECMA-48 (CSI, `ESC [`), and SS3 (`ESC O`) for arrow keys in application mode.
 *
 * @module
 */

/** A key that was pressed. */
export type Key =
  | { readonly name: "character"; readonly text: string }
  | {
    readonly name:
      | "up"
      | "down"
      | "home"
      | "end"
      | "page-up"
      | "page-down"
      | "enter"
      | "escape"
      | "backspace"
      | "clear"
      | "interrupt"
      | "end-of-input"
      | "other";
  };

const SEQUENCES: Readonly<Record<string, Exclude<Key["name"], "character">>> = {
  "A": "up",
  "B": "down",
  "H": "home",
  "F": "end",
  "1~": "home",
  "7~": "home",
  "4~": "end",
  "8~": "end",
  "5~": "page-up",
  "6~": "page-down",
};

const CONTROLS: Readonly<Record<string, Exclude<Key["name"], "character">>> = {
  "\r": "enter",
  "\n": "enter",
  "\x03": "interrupt", // Ctrl-C
  "\x04": "end-of-input", // Ctrl-D
  "\x08": "backspace", // Ctrl-H, and Backspace of some terminals
  "\x0e": "down", // Ctrl-N
  "\x10": "up", // Ctrl-P
  "\x15": "clear", // Ctrl-U
  "\x7f": "backspace",
};

/** Cuts a stream of bytes into keys, wherever its chunks are cut. */
export class KeyDecoder {
  readonly #utf8 = new TextDecoder();
  #rest = "";

  /** True while the bytes so far could be the Escape key or the start of a longer sequence. */
  get undecided(): boolean {
    return this.#rest !== "";
  }

  /** Keys that are complete with these bytes. */
  push(bytes: Uint8Array): Key[] {
    return this.#take(this.#rest + this.#utf8.decode(bytes, { stream: true }));
  }

  /** Nothing followed for a while: what is left over was the Escape key itself. */
  flush(): Key[] {
    const left = this.#rest;
    this.#rest = "";
    return left === "" ? [] : [{ name: left === "\x1b" ? "escape" : "other" }];
  }

  #take(text: string): Key[] {
    const keys: Key[] = [];
    let at = 0;
    this.#rest = "";
    while (at < text.length) {
      const here = text.slice(at);
      if (here[0] === "\x1b") {
        const length = sequenceLength(here);
        if (length === undefined) {
          this.#rest = here;
          break;
        }
        keys.push(sequenceKey(here.slice(0, length)));
        at += length;
        continue;
      }
      const character = String.fromCodePoint(here.codePointAt(0)!);
      keys.push(plainKey(character));
      at += character.length;
    }
    return keys;
  }
}

/** Length of the sequence at the start of `text`; undefined when its end is not there yet. */
function sequenceLength(text: string): number | undefined {
  if (text.length < 2) return undefined;
  if (text[1] === "O") return text.length < 3 ? undefined : 3;
  // Alt and a key, or Escape pressed twice: the first one stands for itself.
  if (text[1] !== "[") return 1;
  for (let i = 2; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x40 && code <= 0x7e) return i + 1;
    // Parameter and intermediate bytes are 0x20 to 0x3f; anything else breaks the sequence off.
    if (code < 0x20 || code > 0x3f || i > 32) return i;
  }
  return undefined;
}

function sequenceKey(sequence: string): Key {
  if (sequence === "\x1b") return { name: "escape" };
  return { name: SEQUENCES[sequence.slice(2)] ?? "other" };
}

function plainKey(character: string): Key {
  const control = CONTROLS[character];
  if (control) return { name: control };
  return character < " " ? { name: "other" } : { name: "character", text: character };
}
