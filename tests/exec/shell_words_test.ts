import assert from "node:assert/strict";
import fc from "fast-check";
import { commandOf, quoteWord } from "../../lib/exec/mod.ts";

Deno.test("quoteWord() leaves plain words alone", () => {
  for (const word of ["ls", "-la", "/usr/bin/env", "a.b_c-d", "user@host:22", "50%", "a,b+c"]) {
    assert.equal(quoteWord(word), word);
  }
  assert.equal(quoteWord(""), "''");
  assert.equal(quoteWord("A=1"), "'A=1'");
  assert.equal(quoteWord("it's"), `'it'\\''s'`);
});

Deno.test("commandOf() takes one word for a command and several for a program with arguments", () => {
  assert.equal(commandOf(["ls | wc -l"]), "ls | wc -l");
  assert.equal(commandOf(["sh", "-c", "exit 3"]), "sh -c 'exit 3'");
  assert.equal(commandOf(["echo", "$HOME", "*"]), "echo '$HOME' '*'");
});

Deno.test("a shell takes quoted words as they are", async () => {
  const words = fc.array(
    fc.string({ unit: "binary", maxLength: 12 }).filter((word) => !word.includes("\0")),
    { minLength: 1, maxLength: 200 },
  );
  await fc.assert(
    fc.asyncProperty(words, async (given) => {
      const command = commandOf(["printf", "%s\\0", ...given]);
      const { stdout } = await new Deno.Command("/bin/sh", { args: ["-c", command] }).output();
      const printed = new TextDecoder("utf-8", { ignoreBOM: true }).decode(stdout);
      // What is no text on its own (a lone surrogate) cannot be an argument.
      const text = given.map((word) => word.toWellFormed());
      assert.deepEqual(printed.split("\0").slice(0, -1), text);
    }),
    { numRuns: 20 },
  );
});
