import assert from "node:assert/strict";
import { converse } from "../../lib/cli/exec_prompt.ts";
import { perform, StandardInput } from "../../lib/cli/exec_run.ts";
import { main } from "../../lib/cli/mod.ts";
import { parse } from "../../lib/cli/parse.ts";
import { connPair } from "../../lib/core/mod.ts";
import { HostSession, runVsockClient } from "../../lib/exec/mod.ts";
import { FakeExecutor } from "../exec/support.ts";
import { settle } from "../support/fake_clock.ts";
import { FakeTerminal } from "../support/fake_terminal.ts";

/** A terminal or a pipe, and a client whose commands the test plays. */
function start(isTerminal: boolean) {
  const [near, far] = connPair();
  const executor = new FakeExecutor();
  const terminal = new FakeTerminal({ isTerminal });
  const controller = new AbortController();
  const { signal } = controller;
  const session = new HostSession(near, { signal });
  const client = runVsockClient(far, { executor, persistent: true });
  client.catch(() => {});
  return {
    executor,
    terminal,
    session,
    controller,
    input: new StandardInput(terminal.stdin),
    signal,
    async end() {
      session.close();
      await client.catch(() => {});
    },
  };
}

Deno.test("perform() carries the three streams and gives the status", async () => {
  const { terminal, session, input, executor, end } = start(false);
  const result = perform(terminal, session, "cat", input);
  const command = await executor.command(0);
  terminal.press("typed");
  terminal.press("");
  while (command.input.at(-1) !== null) await settle();
  assert.deepEqual(command.input, [new TextEncoder().encode("typed"), null]);
  command.print("output");
  command.exit(9);
  assert.equal(await result, 9);
  assert.deepEqual([terminal.stdout.text, terminal.stderr.text], ["output", ""]);
  await end();
});

Deno.test("perform() without input sends its end", async () => {
  const { terminal, session, executor, end } = start(false);
  const result = perform(terminal, session, "cat");
  const command = await executor.command(0);
  while (command.input.length === 0) await settle();
  assert.deepEqual(command.input, [null]);
  command.exit(0);
  assert.equal(await result, 0);
  await end();
});

Deno.test("converse() asks a person, who types into the command that runs", async () => {
  const { terminal, session, input, signal, executor, end } = start(true);
  const status = converse(terminal, session, { first: undefined, input, signal });
  terminal.press("read x\n");
  const first = await executor.command(0);
  assert.equal(first.text, "read x");
  terminal.press("into it\n");
  while (first.input.length === 0) await settle();
  assert.deepEqual(first.input, [new TextEncoder().encode("into it\n")]);
  first.print("done\n");
  first.exit(3);
  await settle();
  // Typed after its end: the next command.
  terminal.press("\n");
  terminal.press("uname\n");
  const second = await executor.command(1);
  assert.equal(second.text, "uname");
  second.exit(0);
  await settle();
  terminal.press("exit\n");
  assert.equal(await status, 0);
  assert.equal(terminal.stderr.text, "exec> [exit 3]\nexec> exec> exec> ");
  assert.equal(terminal.stdout.text, "done\n");
  await end();
});

Deno.test("converse() ends with Ctrl-D, which in a command is the end of its input", async () => {
  const { terminal, session, input, signal, executor, end } = start(true);
  const status = converse(terminal, session, { first: "cat", input, signal });
  const command = await executor.command(0);
  terminal.press("");
  while (command.input.at(-1) !== null) await settle();
  command.exit(1);
  await settle();
  terminal.press("");
  assert.equal(await status, 1);
  assert.equal(terminal.stderr.text, "[exit 1]\nexec> \n");
  await end();
});

Deno.test("converse() takes every line of a pipe for a command, and `exit` too", async () => {
  const { terminal, session, input, signal, executor, end } = start(false);
  const ran: string[] = [];
  executor.prepare = (command) => {
    ran.push(command.text);
    command.exit(ran.length);
  };
  const status = converse(terminal, session, { first: "first", input, signal });
  terminal.press("one\r\n\n  \ntw");
  terminal.press("o\nexit\nlast");
  terminal.press("");
  assert.equal(await status, 5);
  assert.deepEqual(ran, ["first", "one", "two", "exit", "last"]);
  assert.equal(terminal.stderr.text, "");
  await end();
});

Deno.test("converse() ends with the signal, at the prompt and in a command", async () => {
  for (const first of [undefined, "sleep 1000"]) {
    const { terminal, session, input, signal, executor, controller, end } = start(true);
    const status = converse(terminal, session, { first, input, signal });
    status.catch(() => {});
    if (first === undefined) await settle();
    else await executor.command(0);
    controller.abort(new DOMException("Ctrl-C", "AbortError"));
    await assert.rejects(status, { name: "AbortError" });
    await end();
  }
});

Deno.test("awsocks exec refuses command lines without sense before anything is opened", async () => {
  const lines: readonly [args: string[], message: string][] = [
    [["exec"], "awsocks: There is no command to run\n"],
    [
      ["exec", "--listen", "2", "--connect", "3", "--", "ls"],
      "awsocks: --listen and --connect cannot both be given\n",
    ],
    [["exec", "--listen", "nowhere", "--", "ls"], 'awsocks: "nowhere" is not an address of'],
    [["exec", "-la", "ls"], 'awsocks: "a" is not an address of'],
    [["exec", "--wait", "x", "--", "ls"], "awsocks: --wait is a whole number"],
  ];
  for (const [args, message] of lines) {
    const terminal = new FakeTerminal({ isTerminal: false });
    assert.equal(await main(args, { terminal, exit: () => assert.fail("exit") }), 2);
    assert.ok(terminal.stderr.text.startsWith(message), terminal.stderr.text);
  }
});

Deno.test("parse() leaves the command of awsocks exec alone", () => {
  const lines: readonly [line: string, words: string[], flags: Record<string, unknown>][] = [
    ["exec ls -la", ["ls", "-la"], {}],
    ["exec -- ls -la", ["ls", "-la"], {}],
    ["exec --wait 3 ls --wait 4 -v --help", ["ls", "--wait", "4", "-v", "--help"], { wait: 3 }],
    ["-v exec --listen any ls -- -v", ["ls", "--", "-v"], { verbose: true, listen: "any" }],
    ["exec -- -v", ["-v"], {}],
    ["exec --persistent", [], { persistent: true }],
    ["exec -- exec -region", ["exec", "-region"], {}],
    ["exec find -name x", ["find", "-name", "x"], {}],
  ];
  for (const [line, words, flags] of lines) {
    const parsed = parse(line.split(" "));
    assert.ok(parsed.ok, line);
    assert.equal(parsed.command.name, "exec");
    assert.deepEqual(parsed.command.arguments, words, line);
    assert.deepEqual({ ...parsed.command.flags }, flags, line);
  }
  const help = parse(["exec", "--help", "ls"]);
  assert.ok(help.ok && help.command.name === "help");
});
