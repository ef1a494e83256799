import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import { Prompter } from "../../lib/cli/prompt.ts";
import { Screen } from "../../lib/cli/screen.ts";
import { isAwsocksError } from "../../lib/core/errors.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { FakeTerminal } from "../support/fake_terminal.ts";

const CHOICES = [{ label: "staging" }, { label: "production" }];

function setUp(options: ConstructorParameters<typeof FakeTerminal>[0] = {}) {
  const terminal = new FakeTerminal(options);
  const screen = new Screen(terminal.stderr);
  const clock = new FakeClock();
  let interrupts = 0;
  const onInterrupt = () => void interrupts++;
  const prompter = new Prompter({ terminal, screen, clock, color: false, onInterrupt });
  return { terminal, screen, clock, prompter, interrupts: () => interrupts };
}

Deno.test("Prompter.select() picks with arrows and leaves one line behind", async () => {
  const { terminal, prompter } = setUp();
  const picked = prompter.select("Profile", CHOICES);
  await settle();
  assert.ok(terminal.raw);
  terminal.press("\x1b[B");
  terminal.press("\r");
  assert.equal(await picked, 1);
  assert.ok(!terminal.raw, "the terminal is back in its ordinary state");
  assert.ok(terminal.stderr.text.endsWith("\x1b[?25h"), "the cursor is shown again");
  assert.match(stripVTControlCharacters(terminal.stderr.text), /Profile production\r\n$/);
  assert.equal(terminal.stdout.text, "", "standard output stays clean");
});

Deno.test("Prompter.select() takes a lone Escape byte for the key after a moment", async () => {
  const { terminal, prompter, clock, interrupts } = setUp();
  const picked = prompter.select("Profile", CHOICES);
  const outcome = assert.rejects(picked, (error) => isAwsocksError(error, "aborted"));
  await settle();
  terminal.press("\x1b");
  await settle();
  assert.ok(terminal.raw, "still undecided");
  await clock.advance(50);
  await outcome;
  assert.ok(!terminal.raw);
  assert.equal(interrupts(), 0);
});

Deno.test("Prompter.select() passes Ctrl-C on and restores the terminal", async () => {
  const { terminal, prompter, interrupts } = setUp();
  const picked = prompter.select("Profile", CHOICES);
  terminal.press("\x03");
  await assert.rejects(picked, (error) => isAwsocksError(error, "aborted"));
  assert.equal(interrupts(), 1);
  assert.ok(!terminal.raw);
});

Deno.test("Prompter.secret() takes a text without showing it", async () => {
  const { terminal, prompter } = setUp();
  const secret = prompter.secret("Passphrase for /k");
  terminal.press("wrong\x15hunterr");
  terminal.press("\x7f2é");
  terminal.press("\r");
  assert.equal(await secret, "hunter2é");
  assert.equal(stripVTControlCharacters(terminal.stderr.text), "Passphrase for /k: \r\n");
});

Deno.test("Prompter refuses to ask without a terminal", async () => {
  const { prompter } = setUp({ isTerminal: false });
  assert.ok(!prompter.available);
  const refused = (error: unknown) => isAwsocksError(error, "usage");
  await assert.rejects(prompter.select("Profile", CHOICES), refused);
  await assert.rejects(prompter.secret("Passphrase"), refused);
});

Deno.test("Prompter asks one question at a time", async () => {
  const { terminal, prompter } = setUp();
  const first = prompter.secret("First");
  const second = prompter.secret("Second");
  await settle();
  assert.doesNotMatch(terminal.stderr.text, /Second/);
  terminal.press("a\r");
  assert.equal(await first, "a");
  await settle();
  assert.match(terminal.stderr.text, /Second/);
  terminal.press("b\r");
  assert.equal(await second, "b");
});

Deno.test("Prompter takes a question away by its signal and loses no key for the next", async () => {
  const { terminal, prompter } = setUp();
  const controller = new AbortController();
  const first = prompter.secret("First", { signal: controller.signal });
  const outcome = assert.rejects(first, /gone/);
  const second = prompter.secret("Second");
  await settle();
  controller.abort(new Error("gone"));
  await outcome;
  await settle();
  terminal.press("b");
  terminal.press("\r");
  assert.equal(await second, "b");
});

Deno.test("Prompter ends at the end of input", async () => {
  const { terminal, prompter } = setUp();
  const secret = prompter.secret("Passphrase");
  terminal.press("");
  await assert.rejects(secret, (error) => isAwsocksError(error, "aborted"));
});

Deno.test("Screen keeps lines back while a prompt is open", async () => {
  const { terminal, screen, prompter } = setUp();
  screen.line("before");
  const secret = prompter.secret("Passphrase");
  await settle();
  screen.line("meanwhile");
  assert.doesNotMatch(terminal.stderr.text, /meanwhile/);
  terminal.press("\r");
  await secret;
  assert.match(terminal.stderr.text, /Passphrase: \r\n.*meanwhile\n$/s);
});

Deno.test("Screen redraws the progress line below other lines", () => {
  const { terminal, screen } = setUp({ columns: 12 });
  screen.status("waiting for the instance");
  screen.line("a line");
  screen.status(undefined);
  const clear = "\r\x1b[2K";
  assert.equal(terminal.stderr.text, `waiting fo…${clear}a line\nwaiting fo…${clear}`);
});

Deno.test("Screen shows no progress line without a terminal", () => {
  const { terminal, screen } = setUp({ isTerminal: false });
  screen.status("waiting");
  screen.line("a line");
  assert.equal(terminal.stderr.text, "a line\n");
});
