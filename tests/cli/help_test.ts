import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import { COMMANDS } from "../../lib/cli/command_specs.ts";
import { helpText } from "../../lib/cli/help.ts";
import { displayWidth } from "../../lib/cli/style.ts";

const TOPICS = ["", "config", ...COMMANDS.map((command) => command.name)];

for (const topic of TOPICS) {
  Deno.test(`help text: awsocks help ${topic}`, async (t) => {
    await t.assertSnapshot(helpText(topic));
  });
}

Deno.test("helpText() keeps within 100 columns and within a narrow terminal", () => {
  for (const topic of TOPICS) {
    for (const line of helpText(topic, { columns: 300 }).split("\n")) {
      assert.ok(displayWidth(line) <= 100, line);
    }
    for (const line of helpText(topic, { columns: 72 }).split("\n")) {
      // Examples are left in one piece, so that they can be copied.
      if (!line.startsWith("  awsocks") && !line.startsWith("  $EDITOR")) {
        assert.ok(displayWidth(line) <= 72, line);
      }
    }
  }
});

Deno.test("helpText() in colour says the same", () => {
  for (const topic of TOPICS) {
    const colored = helpText(topic, { color: true });
    assert.notEqual(colored, helpText(topic));
    assert.equal(stripVTControlCharacters(colored), helpText(topic));
  }
});
