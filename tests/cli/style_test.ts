import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createStyle,
  displayWidth,
  pad,
  plain,
  truncate,
  wantsColor,
  wrap,
} from "../../lib/cli/style.ts";

Deno.test("wantsColor() asks the flag, NO_COLOR, FORCE_COLOR, the terminal, in this order", () => {
  const rows: [
    flag: boolean | undefined,
    isTerminal: boolean,
    env: Record<string, string>,
    wanted: boolean,
  ][] = [
    [undefined, true, {}, true],
    [undefined, false, {}, false],
    [undefined, true, { TERM: "dumb" }, false],
    [undefined, true, { NO_COLOR: "1" }, false],
    [undefined, true, { NO_COLOR: "" }, true],
    [undefined, false, { FORCE_COLOR: "1" }, true],
    [undefined, true, { FORCE_COLOR: "0" }, false],
    [undefined, false, { FORCE_COLOR: "1", NO_COLOR: "1" }, false],
    [true, false, { NO_COLOR: "1" }, true],
    [false, true, { FORCE_COLOR: "1" }, false],
  ];
  for (const [flag, isTerminal, env, wanted] of rows) {
    assert.equal(
      wantsColor({ flag, isTerminal, env }),
      wanted,
      JSON.stringify([flag, isTerminal, env]),
    );
  }
});

Deno.test("createStyle() without colours adds nothing", () => {
  assert.equal(createStyle(false).red("x"), "x");
  assert.equal(createStyle(true).red("x"), "\x1b[31mx\x1b[39m");
});

Deno.test("plain() leaves nothing that a terminal obeys", () => {
  assert.equal(plain("a\x1b[31mb\r\nc\x07"), "a[31mb c");
  const unit = fc.integer({ min: 0, max: 0x2100 }).map((code) => String.fromCodePoint(code));
  fc.assert(fc.property(fc.string({ unit }), (text) => {
    // deno-lint-ignore no-control-regex -- control characters are what must not be there
    assert.doesNotMatch(plain(text), /[\x00-\x1f\x7f-\x9f]/);
  }));
});

Deno.test("displayWidth() counts columns, not characters", () => {
  assert.equal(displayWidth("abc"), 3);
  assert.equal(displayWidth("漢字"), 4);
  assert.equal(displayWidth("e\u0301"), 1);
  assert.equal(displayWidth("🦕"), 2);
});

Deno.test("truncate() and pad() keep to the width", () => {
  assert.equal(truncate("abcdef", 4), "abc…");
  assert.equal(truncate("漢字漢字", 4), "漢…");
  assert.equal(truncate("abc", 0), "");
  assert.equal(pad("漢", 4), "漢  ");
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), fc.nat({ max: 20 }), (text, width) => {
    assert.ok(displayWidth(truncate(text, width)) <= width);
  }));
});

Deno.test("wrap() breaks between words and keeps all of them", () => {
  assert.deepEqual(wrap("one two three", 7), ["one two", "three"]);
  assert.deepEqual(wrap("a-very-long-word x", 5), ["a-very-long-word", "x"]);
  const word = fc.stringMatching(/^[a-z]{1,9}$/);
  fc.assert(fc.property(fc.array(word), fc.integer({ min: 1, max: 30 }), (words, width) => {
    assert.equal(wrap(words.join(" "), width).join(" "), words.join(" "));
  }));
});
