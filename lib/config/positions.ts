/**
 * Where the keys and values of a TOML document stand. smol-toml parses values but keeps no positions.
 *
 * The scanner reads documents that smol-toml has accepted, so it follows the grammar of TOML 1.0 (and the
 * multi-line inline tables of 1.1) only as far as is needed to know where things start.
 *
 * @module
 */

/** A place in a text; lines and columns count from 1, columns in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Where a key and its value start; the same place for an item of a list. */
export interface Entry {
  readonly key: Position;
  readonly value: Position;
}

/** Keys, and numbers of items in lists, from the root down. */
export type Path = readonly (string | number)[];

/** Positions by path. */
export class Positions {
  readonly #entries = new Map<string, Entry>();

  /** Number of paths known. */
  get size(): number {
    return this.#entries.size;
  }

  /** Keeps the first place of a path: a table may be mentioned again. */
  add(path: Path, entry: Entry): void {
    const id = JSON.stringify(path);
    if (!this.#entries.has(id)) this.#entries.set(id, entry);
  }

  /** The entry of a path. */
  get(path: Path): Entry | undefined {
    return this.#entries.get(JSON.stringify(path));
  }

  /** The entry of a path or of its nearest ancestor that has one. */
  nearest(path: Path): Entry | undefined {
    for (let length = path.length; length > 0; length--) {
      const entry = this.get(path.slice(0, length));
      if (entry) return entry;
    }
    return undefined;
  }
}

/** Finds the positions in a document that a TOML parser has accepted. */
export function scanPositions(text: string): Positions {
  return new Scanner(text).scan();
}

interface KeyPart {
  readonly name: string;
  readonly at: Position;
}

class Scanner {
  readonly #text: string;
  readonly #positions = new Positions();
  /** Items so far of each array of tables, by the path of its key. */
  readonly #arrays = new Map<string, number>();
  readonly #lineStarts: number[] = [0];
  #at = 0;
  #line = 0;

  constructor(text: string) {
    this.#text = text;
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) {
      this.#lineStarts.push(at + 1);
    }
  }

  scan(): Positions {
    let table: Path = [];
    for (;;) {
      this.#skip(/(?:[ \t\r\n]|#[^\n]*)*/y);
      if (this.#at >= this.#text.length) return this.#positions;
      if (this.#text[this.#at] === "[") table = this.#header();
      else this.#keyValue(table);
    }
  }

  /** `[a.b]` or `[[a.b]]`; returns the path of what follows. */
  #header(): Path {
    const isArray = this.#text.startsWith("[[", this.#at);
    this.#at += isArray ? 2 : 1;
    const parts = this.#key();
    this.#at += isArray ? 2 : 1;
    let path: Path = [];
    for (const [index, { name, at }] of parts.entries()) {
      path = [...path, name];
      this.#positions.add(path, { key: at, value: at });
      const id = JSON.stringify(path);
      if (isArray && index === parts.length - 1) {
        this.#arrays.set(id, (this.#arrays.get(id) ?? -1) + 1);
      }
      // A header that passes through an array of tables means its latest item.
      const item = this.#arrays.get(id);
      if (item === undefined) continue;
      path = [...path, item];
      this.#positions.add(path, { key: at, value: at });
    }
    return path;
  }

  #keyValue(table: Path): void {
    const parts = this.#key();
    this.#skip(/[ \t]*=?[ \t]*/y);
    const value = this.#position();
    let path = table;
    for (const [index, { name, at }] of parts.entries()) {
      path = [...path, name];
      this.#positions.add(path, { key: at, value: index === parts.length - 1 ? value : at });
    }
    this.#value(path);
  }

  /** A key with its dots, and the blanks behind it. */
  #key(): KeyPart[] {
    const parts: KeyPart[] = [];
    do {
      this.#skip(/[ \t]*/y);
      const at = this.#position();
      const raw = this.#skip(/"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s.=\]"'#]*/y);
      parts.push({ name: unquote(raw), at });
      this.#skip(/[ \t]*/y);
    } while (this.#skip(/\./y) !== "");
    return parts;
  }

  #value(path: Path): void {
    const before = this.#at;
    switch (this.#text[this.#at]) {
      case "[":
        this.#list(path);
        break;
      case "{":
        this.#inlineTable(path);
        break;
      case '"':
        // Up to two quotes may stand before the three that end a multi-line string.
        this.#skip(/"""(?:\\[^]|(?!""")[^\\])*"{3,5}|"(?:[^"\\\n]|\\.)*"/y);
        break;
      case "'":
        this.#skip(/'''(?:(?!''')[^])*'{3,5}|'[^'\n]*'/y);
        break;
      default:
        this.#skip(/[^\n,\]}#]*/y);
    }
    // Nothing there: no TOML, but it must not hold the scanner for ever.
    if (this.#at === before) this.#at++;
  }

  #list(path: Path): void {
    this.#at++;
    for (let index = 0; this.#more("]"); index++) {
      const item = [...path, index];
      const at = this.#position();
      this.#positions.add(item, { key: at, value: at });
      this.#value(item);
    }
  }

  #inlineTable(path: Path): void {
    this.#at++;
    while (this.#more("}")) this.#keyValue(path);
  }

  /** Skips blanks, line ends, comments and commas; false behind the closing bracket or at the end. */
  #more(close: string): boolean {
    this.#skip(/(?:[\s,]|#[^\n]*)*/y);
    if (this.#at >= this.#text.length) return false;
    if (this.#text[this.#at] !== close) return true;
    this.#at++;
    return false;
  }

  /** Skips what the sticky expression matches here, and returns it. */
  #skip(expression: RegExp): string {
    expression.lastIndex = this.#at;
    const skipped = expression.exec(this.#text)?.[0] ?? "";
    this.#at += skipped.length;
    return skipped;
  }

  #position(): Position {
    // The scanner only goes forward, so the line is found from the last one.
    while ((this.#lineStarts[this.#line + 1] ?? Infinity) <= this.#at) this.#line++;
    return { line: this.#line + 1, column: this.#at - this.#lineStarts[this.#line]! + 1 };
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  e: "\x1b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** The name that a bare or quoted key stands for. */
function unquote(raw: string): string {
  if (raw.startsWith("'")) return raw.slice(1, -1);
  if (!raw.startsWith('"')) return raw;
  return raw.slice(1, -1).replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/g,
    (_, x?: string, u?: string, long?: string, other?: string) => {
      const digits = x ?? u ?? long;
      return digits ? String.fromCodePoint(parseInt(digits, 16)) : ESCAPES[other!] ?? other!;
    },
  );
}
