import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "smol-toml";
import { type Path, scanPositions } from "../../lib/config/positions.ts";

/** The text from the place where a path's value, or its key, is said to start. */
function textAt(text: string, path: Path, mark: "key" | "value"): string {
  const at = scanPositions(text).get(path)?.[mark];
  assert.ok(at, `no position for ${path.join(".")}`);
  return text.split("\n").slice(at.line - 1).join("\n").slice(at.column - 1);
}

Deno.test("scanPositions() finds keys and values in every notation", () => {
  const text = [
    "# comment with [brackets] = and 'quotes'",
    'top = "x" # [no.table]',
    "[a.'b c'] # header",
    '  "k\\u00e9y" = """',
    "[not.a.table]",
    'x = 1 \\""" quote """"',
    "d.o . t.ted = 1979-05-27 07:32:00",
    "list = [ # ]",
    '  "one", # two ]',
    "  'th]ree',",
    "  [1, [2]], { p = 1, q.r = [3] },",
    "]",
    "lit = '''",
    "z = 1'''''",
    "inline = { x = 1, 'y y' = { z = true } }",
    "[[arr]]",
    "n = 1",
    "[[arr]]",
    "n = 2",
    "[arr.sub]",
    "m = 3\r",
    "[[arr.deep]]",
    "o = 4",
  ].join("\n");
  parse(text);
  const expected: [Path, "key" | "value", string][] = [
    [["top"], "key", "top ="],
    [["top"], "value", '"x" #'],
    [["a"], "key", "a.'b c'] # header"],
    [["a", "b c"], "key", "'b c'] # header"],
    [["a", "b c", "kéy"], "key", '"k\\u00e9y" ='],
    [["a", "b c", "kéy"], "value", '"""\n[not'],
    [["a", "b c", "d", "o", "t", "ted"], "key", "ted ="],
    [["a", "b c", "d", "o", "t", "ted"], "value", "1979-05-27 07"],
    [["a", "b c", "d", "o"], "value", "o . t"],
    [["a", "b c", "list", 0], "value", '"one"'],
    [["a", "b c", "list", 1], "value", "'th]ree'"],
    [["a", "b c", "list", 2], "value", "[1, [2]]"],
    [["a", "b c", "list", 2, 1, 0], "value", "2]]"],
    [["a", "b c", "list", 3], "value", "{ p ="],
    [["a", "b c", "list", 3, "q", "r", 0], "value", "3] }"],
    [["a", "b c", "lit"], "value", "'''\nz"],
    [["a", "b c", "inline", "y y", "z"], "value", "true }"],
    [["arr", 0, "n"], "value", "1\n[[arr]]"],
    [["arr", 1, "n"], "value", "2\n[arr.sub]"],
    [["arr", 1, "sub", "m"], "value", "3\r"],
    [["arr", 1, "deep", 0, "o"], "value", "4"],
  ];
  for (const [path, mark, start] of expected) {
    assert.ok(textAt(text, path, mark).startsWith(start), `${path.join(".")} ${mark}`);
  }
  assert.equal(scanPositions(text).get(["z"]), undefined);
  assert.equal(scanPositions(text).get(["not"]), undefined);
});

Deno.test("nearest() falls back to the closest ancestor that was written", () => {
  const positions = scanPositions("a = [\n  1,\n]\n");
  assert.deepEqual(positions.nearest(["a", 7, "x"])?.key, { line: 1, column: 1 });
  assert.deepEqual(positions.nearest(["a", 0])?.key, { line: 2, column: 3 });
  assert.equal(positions.nearest(["b"]), undefined);
});

// A random document, written in a random style, together with the offsets where it put things.

type Value = string | number | boolean | Value[] | { [key: string]: Value };

const name = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9_-]{0,3}$/),
  fc.constantFrom("", "a b", "x.y", "é", '"', "'", "#", "]", "=", "\\", "[t]"),
);
const text = fc.oneof(
  fc.string({ unit: fc.constantFrom(...`ab'"#[]{}=,.\\ \n`), maxLength: 8 }),
  fc.constantFrom('"""', "'''", "key = 1", "\n[t]\n"),
);
const { value: anyValue } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    text,
    fc.integer({ min: -1000, max: 1000 }),
    fc.boolean(),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(name, tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
}));
const anyDocument = fc.dictionary(
  name,
  fc.oneof(anyValue, fc.dictionary(name, anyValue, { maxKeys: 4, noNullPrototype: true })),
  { maxKeys: 5, noNullPrototype: true },
);

/** A copy of what smol-toml returns, whose tables have no prototype, that `deepEqual` likes. */
function withPrototypes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withPrototypes);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withPrototypes(inner)]),
  );
}

class Writer {
  text = "";
  readonly places = new Map<string, { key: number; value: number }>();
  readonly #pick: (options: number) => number;

  constructor(pick: (options: number) => number) {
    this.#pick = pick;
  }

  document(document: Record<string, Value>): void {
    const tables: [string, Record<string, Value>][] = [];
    for (const [key, value] of Object.entries(document)) {
      const isTable = typeof value === "object" && !Array.isArray(value);
      if (isTable && this.#pick(2) === 0) tables.push([key, value]);
      else this.#keyValue([], key, value, "\n");
    }
    for (const [key, table] of tables) {
      this.#blank("[");
      const at = this.#key(key);
      this.places.set(JSON.stringify([key]), { key: at, value: at });
      this.text += "] # = [x]\n";
      for (const [inner, value] of Object.entries(table)) this.#keyValue([key], inner, value, "\n");
    }
  }

  #blank(then: string): void {
    this.text += ["", " ", "\t", "# [c] = 'x'\n", "\r\n"][this.#pick(5)] + then;
  }

  #key(key: string): number {
    const at = this.text.length;
    const bare = /^[\w-]+$/.test(key) && key !== "" && !/[^\x20-\x7e]/.test(key);
    if (bare && this.#pick(2) === 0) this.text += key;
    else if (!key.includes("'") && this.#pick(2) === 0) this.text += `'${key}'`;
    else this.text += JSON.stringify(key);
    return at;
  }

  #keyValue(path: Path, key: string, value: Value, end: string): void {
    if (end === "\n") this.#blank("");
    const at = this.#key(key);
    const own = [...path, key];
    const entries = typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : [];
    if (entries.length === 1 && this.#pick(2) === 0) {
      this.places.set(JSON.stringify(own), { key: at, value: at });
      this.text += [".", " . "][this.#pick(2)];
      return this.#dotted(own, entries[0]!, end);
    }
    this.text += ["=", " = "][this.#pick(2)];
    this.places.set(JSON.stringify(own), { key: at, value: this.text.length });
    this.#value(own, value);
    this.text += end;
  }

  #dotted(path: Path, [key, value]: [string, Value], end: string): void {
    const at = this.#key(key);
    this.text += " = ";
    this.places.set(JSON.stringify([...path, key]), { key: at, value: this.text.length });
    this.#value([...path, key], value);
    this.text += end;
  }

  #value(path: Path, value: Value): void {
    if (typeof value === "string") this.#string(value);
    else if (Array.isArray(value)) this.#list(path, value);
    else if (typeof value === "object") this.#inline(path, Object.entries(value));
    else this.text += String(value);
  }

  #string(value: string): void {
    const style = this.#pick(4);
    if (style === 0 && !/['\n]/.test(value)) this.text += `'${value}'`;
    else if (style === 1 && !/'''|'$/.test(value)) this.text += `'''\n${value}'''`;
    else if (style === 2) {
      this.text += `"""\n${value.replaceAll("\\", "\\\\").replaceAll('"""', '""\\"')}"""`;
    } else this.text += JSON.stringify(value);
  }

  #list(path: Path, items: Value[]): void {
    this.text += "[";
    for (const [index, item] of items.entries()) {
      this.text += ["", " ", "\n# ] x\n  "][this.#pick(3)];
      const at = this.text.length;
      this.places.set(JSON.stringify([...path, index]), { key: at, value: at });
      this.#value([...path, index], item);
      if (index < items.length - 1) this.text += ",";
    }
    this.text += ["]", " ]", ...items.length > 0 ? [",\n]"] : []][this.#pick(2)];
  }

  #inline(path: Path, entries: [string, Value][]): void {
    this.text += "{ ";
    for (const [index, [key, value]] of entries.entries()) {
      this.#keyValue(path, key, value, index < entries.length - 1 ? ", " : "");
    }
    this.text += " }";
  }
}

Deno.test("scanPositions() finds what a random writer wrote, where it wrote it", () => {
  fc.assert(
    fc.property(anyDocument, fc.infiniteStream(fc.nat(59)), (document, choices) => {
      const writer = new Writer((options) => choices.next().value! % options);
      writer.document(document);
      // If smol-toml reads something else, the writer is wrong, not the scanner.
      assert.deepEqual(withPrototypes(parse(writer.text)), document, writer.text);
      const positions = scanPositions(writer.text);
      const lines = writer.text.split("\n");
      const offset = (at: { line: number; column: number }) =>
        lines.slice(0, at.line - 1).reduce((sum, line) => sum + line.length + 1, at.column - 1);
      for (const [id, place] of writer.places) {
        const entry = positions.get(JSON.parse(id));
        assert.ok(entry, `${id} in ${writer.text}`);
        assert.deepEqual({ key: offset(entry.key), value: offset(entry.value) }, place, id);
      }
      assert.equal(positions.size, writer.places.size);
    }),
    { numRuns: 1000 },
  );
});

/** Every path in a parsed document. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null || value instanceof Date) return [path];
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(value);
  return [path, ...entries.flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

Deno.test("scanPositions() ends on any text and knows every path of a valid one", () => {
  const token = fc.constantFrom(
    ..."a b 1 'q' \"d\" = . , [ ] { } [[ ]] \"\"\" ''' # \\ \n true 1979-05-27 inf".split(" "),
    "\n",
    " ",
    "a = 1\n",
    "[t]\n",
    "[[u]]\n",
    'v = """\n""""\n',
  );
  const soup = fc.array(token, { maxLength: 16 }).map((tokens) => tokens.join(""));
  fc.assert(
    fc.property(fc.oneof(soup, fc.string({ unit: "binary", maxLength: 40 })), (text) => {
      const positions = scanPositions(text);
      let document: unknown;
      try {
        document = parse(text);
      } catch {
        return;
      }
      for (const path of pathsOf(document).slice(1)) {
        assert.ok(positions.get(path), `${JSON.stringify(path)} in ${JSON.stringify(text)}`);
      }
    }),
    { numRuns: 3000 },
  );
});
