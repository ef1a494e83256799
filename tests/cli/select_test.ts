import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import type { Key } from "../../lib/cli/keys.ts";
import { type Choice, openSelect, press, render, type SelectState } from "../../lib/cli/select.ts";
import { displayWidth } from "../../lib/cli/style.ts";

const FRUIT: Choice[] = [
  { label: "apple", detail: "red" },
  { label: "banana", detail: "yellow" },
  { label: "cherry", detail: "red and sour" },
  { label: "kiwi" },
];

const VIEW = { columns: 80, rows: 24, color: false };

/** Keys by name; every other text is typed. */
function keysOf(...words: string[]): Key[] {
  return words.flatMap((word): Key[] =>
    word.startsWith("<")
      ? [{ name: word.slice(1, -1) } as Key]
      : [...word].map((text) => ({ name: "character", text }))
  );
}

function play(state: SelectState, ...words: string[]): string | SelectState {
  for (const key of keysOf(...words)) {
    const step = press(state, key);
    if ("picked" in step) return state.choices[step.picked]!.label;
    if ("cancelled" in step) return "(cancelled)";
    state = step.state;
  }
  return state;
}

const PLAYS: [words: string[], result: string][] = [
  [["<enter>"], "apple"],
  [["<down>", "<enter>"], "banana"],
  [["j", "j", "k", "<enter>"], "banana"],
  [["<up>", "<enter>"], "kiwi"],
  [["<down>", "<down>", "<down>", "<down>", "<enter>"], "apple"],
  [["<end>", "<enter>"], "kiwi"],
  [["<page-down>", "<page-up>", "<enter>"], "apple"],
  [["an", "<enter>"], "banana"],
  [["RED", "<down>", "<enter>"], "cherry"],
  [["red sour", "<enter>"], "cherry"],
  [["/k", "<enter>"], "kiwi"],
  [["/", "<backspace>", "k", "<enter>"], "kiwi"],
  [["x", "<backspace>", "<enter>"], "apple"],
  [["<down>", "an", "<clear>", "<enter>"], "banana"],
  [["<escape>"], "(cancelled)"],
  [["a", "<escape>", "<escape>"], "(cancelled)"],
  [["<interrupt>"], "(cancelled)"],
  [["zzz", "<end-of-input>"], "(cancelled)"],
];

for (const [words, result] of PLAYS) {
  Deno.test(`press() ${words.join(" ")} gives ${result}`, () => {
    assert.equal(play(openSelect("Fruit", FRUIT), ...words), result);
  });
}

Deno.test("press() Enter on an empty list stays", () => {
  const state = play(openSelect("Fruit", FRUIT), "zzz", "<enter>");
  assert.ok(typeof state !== "string");
  assert.deepEqual(state.visible, []);
  assert.match(render(state, VIEW).join("\n"), /nothing matches/);
});

Deno.test("press() keeps the cursor on its choice while the filter changes", () => {
  const state = play(openSelect("Fruit", FRUIT), "<end>", "i");
  assert.ok(typeof state !== "string");
  assert.equal(FRUIT[state.visible[state.cursor]!]!.label, "kiwi");
});

Deno.test("render() shows title, choices with aligned details, marker and keys", () => {
  assert.deepEqual(render(openSelect("Fruit", FRUIT), VIEW), [
    "Fruit",
    "❯ apple   red",
    "  banana  yellow",
    "  cherry  red and sour",
    "  kiwi",
    "↑↓ move · type to filter · Enter picks · Esc leaves",
  ]);
});

Deno.test("render() scrolls a long list and says where it is", () => {
  const many = Array.from({ length: 100 }, (_, i) => ({ label: `host-${i}` }));
  const state = play(openSelect("Host", many), ...Array(50).fill("<down>"));
  assert.ok(typeof state !== "string");
  const lines = render(state, { ...VIEW, rows: 10 });
  assert.equal(lines.length, 9);
  assert.ok(lines.includes("❯ host-50"));
  assert.match(lines.at(-1)!, /^51 of 100/);
});

Deno.test("render() never obeys what a name contains", () => {
  const evil = [{ label: "a\x1b[2J\x07b\nc", detail: "\u202eevil\x9b31m" }];
  const lines = render(openSelect("x\x1b]0;t\x07", evil), VIEW).join("|");
  // deno-lint-ignore no-control-regex -- control characters are what must not be there
  assert.doesNotMatch(lines, /[\x00-\x1f\x7f-\x9f\u202e]/);
});

Deno.test("render() never exceeds the terminal, whatever was typed", () => {
  const choice = fc.record({
    label: fc.string({ unit: "grapheme", maxLength: 30 }),
    detail: fc.string({ unit: "grapheme", maxLength: 60 }),
  });
  const key = fc.oneof(
    fc.constantFrom<Key>({ name: "up" }, { name: "down" }, { name: "end" }, { name: "backspace" }),
    fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 1 })
      .map((text): Key => ({ name: "character", text })),
  );
  fc.assert(fc.property(
    fc.array(choice, { minLength: 1, maxLength: 30 }),
    fc.array(key, { maxLength: 12 }),
    fc.integer({ min: 2, max: 120 }),
    fc.integer({ min: 5, max: 40 }),
    fc.boolean(),
    (choices, keys, columns, rows, color) => {
      let state = openSelect("Pick one of these", choices);
      for (const key of keys) {
        const step = press(state, key);
        if ("state" in step) state = step.state;
      }
      const lines = render(state, { columns, rows, color });
      assert.ok(lines.length <= rows, `${lines.length} lines`);
      for (const line of lines) {
        assert.ok(displayWidth(stripVTControlCharacters(line)) <= columns, line);
      }
    },
  ));
});
