import assert from "node:assert/strict";
import fc from "fast-check";
import { ConsoleBuffer, consoleWords } from "../../lib/vm/console_log.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("ConsoleBuffer has whole lines, however the output is cut", () => {
  const lines = fc.array(fc.stringMatching(/^[a-zäö€][a-zäö€ ]{0,30}[a-z]$/), { maxLength: 20 });
  fc.assert(fc.property(lines, fc.array(fc.nat(5)), (given, cuts) => {
    const unique = given.map((line, index) => `${index} ${line}`);
    const console = new ConsoleBuffer();
    let rest = bytes(unique.map((line) => `${line}\r\n`).join(""));
    for (const cut of cuts) {
      console.push("serial", rest.subarray(0, cut));
      rest = rest.subarray(cut);
    }
    console.push("serial", rest);
    assert.deepEqual(console.tail(), unique);
  }));
});

Deno.test("ConsoleBuffer is bounded, whatever a guest writes", () => {
  const console = new ConsoleBuffer();
  for (let i = 0; i < 2000; i++) console.push("serial", bytes(`line ${i}\n`));
  assert.equal(console.tail().length, 500);
  assert.deepEqual(console.tail(2), ["line 1998", "line 1999"]);
  for (let i = 0; i < 100; i++) console.push("hvc0", bytes("x".repeat(500)));
  assert.ok(console.tail().every((line) => line.length <= 1000));
});

Deno.test("ConsoleBuffer takes no control characters", () => {
  const console = new ConsoleBuffer();
  console.push("serial", bytes("\x1b[2J\x1b[01;31mred\x1b[0m\x07 \x9b2Jend\n\x1bc\n   \n"));
  console.push("serial", bytes("10 %\r20 %\r\n"));
  assert.deepEqual(console.tail(), ["red end", "20 %"]);
});

Deno.test("what the kernel writes to both consoles is there once, what a guest repeats twice", () => {
  const console = new ConsoleBuffer();
  console.push("serial", bytes("[1.0] panic\n"));
  console.push("hvc0", bytes("[1.0] panic\nagain\nagain\n"));
  assert.deepEqual(console.tail(), ["[1.0] panic", "again", "again"]);
  const seen: string[] = [];
  const stop = console.onLine((line, source) => void seen.push(`${source}: ${line}`));
  console.push("hvc0", bytes("no end"));
  console.end("hvc0");
  stop();
  console.push("serial", bytes("unheard\n"));
  assert.deepEqual(seen, ["hvc0: no end"]);
});

Deno.test("consoleWords() ends with the panic, not with the registers after it", () => {
  const console = new ConsoleBuffer();
  assert.equal(consoleWords(console), "");
  console.push("serial", bytes("one\ntwo\nKernel panic - not syncing\nCall Trace:\nRIP: 0033\n"));
  assert.equal(
    consoleWords(console),
    "; its console ends with: one | two | Kernel panic - not syncing",
  );
});
