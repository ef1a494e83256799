import assert from "node:assert/strict";
import fc from "fast-check";
import { isAwsocksError } from "../../lib/core/mod.ts";
import { agentMain } from "../../lib/cli/agent.ts";
import { explainUsage, UsageError } from "../../lib/cli/usage_error.ts";
import { parseVsockClientArgs } from "../../lib/cli/vsock_client_args.ts";
import { VSOCK_CLIENT_HELP } from "../../lib/cli/vsock_client_help.ts";
import { FakeTerminal } from "../support/fake_terminal.ts";

const DEFAULTS = {
  kind: "run",
  address: { kind: "vsock", cid: 2, port: 1024 },
  persistent: false,
  listen: false,
  wait: undefined,
  verbose: false,
} as const;

Deno.test("parseVsockClientArgs() takes [CID[:PORT]] [persistent]", () => {
  const vsock = (cid: number, port = 1024) => ({ kind: "vsock", cid, port });
  const lines: readonly [line: string, request: Record<string, unknown>][] = [
    ["", {}],
    ["persistent", { persistent: true }],
    ["2", {}],
    ["host", {}],
    ["3:5000", { address: vsock(3, 5000) }],
    ["local persistent", { address: vsock(1), persistent: true }],
    ["2:5000 persistent", { address: vsock(2, 5000), persistent: true }],
    ["unix:/x/y persistent", { address: { kind: "unix", path: "/x/y" }, persistent: true }],
    ["unix:/x/y:52", { address: { kind: "unix", path: "/x/y", port: 52 } }],
    ["tcp:192.0.2.1:80", { address: { kind: "tcp", host: "192.0.2.1", port: 80 } }],
    ["--wait forever 2", { wait: Infinity }],
    ["2 -w 1.5 persistent", { wait: 1500, persistent: true }],
    ["--wait=0 -v", { wait: 0, verbose: true }],
    ["--listen", { listen: true, address: vsock(0xffff_ffff) }],
    ["-l any:7", { listen: true, address: vsock(0xffff_ffff, 7) }],
    ["-l tcp:127.0.0.1:7", { listen: true, address: { kind: "tcp", host: "127.0.0.1", port: 7 } }],
  ];
  for (const [line, request] of lines) {
    const args = line.split(" ").filter((word) => word !== "");
    assert.deepEqual(parseVsockClientArgs(args), { ...DEFAULTS, ...request }, line);
  }
  assert.deepEqual(parseVsockClientArgs(["2", "--help", "--nonsense"]), { kind: "help" });
  assert.deepEqual(parseVsockClientArgs(["-V"]), { kind: "version" });
});

Deno.test("parseVsockClientArgs() says what is wrong", async () => {
  const lines: readonly [line: string, message: string, hint: string][] = [
    ["--persistent", 'Unknown flag "--persistent"', "vsock-client --help"],
    ["--wiat 3", 'Unknown flag "--wiat"; did you mean --wait?', ""],
    ["2 1024", 'There is no use for "1024"', "write 2:1024"],
    ["persistent 2", 'There is no use for "2"', "vsock-client --help"],
    ["--wait", '--wait needs a number of seconds, or "forever"', "vsock-client --help"],
    ["--wait=-1", '--wait needs a number of seconds, or "forever"', "vsock-client --help"],
    ["--listen=2", "--listen takes no value", "vsock-client --help"],
    [
      "--listen tcp:0.0.0.0:1024",
      "Listening on 0.0.0.0 would let everybody who reaches it run commands here",
      "listen on 127.0.0.1, or connect to the host instead",
    ],
  ];
  for (const [line, message, hint] of lines) {
    try {
      parseVsockClientArgs(line.split(" "));
      assert.fail(`accepted: ${line}`);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      assert.deepEqual(await explainUsage(error), { message, hint });
    }
  }
  assert.throws(
    () => parseVsockClientArgs(["nowhere"]),
    (error) => isAwsocksError(error, "usage"),
  );
});

Deno.test("parseVsockClientArgs() understands or refuses whatever it is given", () => {
  const word = fc.oneof(
    fc.string(),
    fc.constantFrom("persistent", "2:1024", "--wait", "-w", "-lv", "--", "--wait=1", "unix:/x"),
  );
  fc.assert(fc.property(fc.array(word, { maxLength: 5 }), (args) => {
    try {
      parseVsockClientArgs(args);
    } catch (error) {
      assert.ok(error instanceof UsageError || isAwsocksError(error, "usage"), String(error));
    }
  }));
});

async function agent(...args: string[]) {
  const terminal = new FakeTerminal({ isTerminal: false });
  const code = await agentMain(args, { terminal, exit: () => assert.fail("exit") });
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

Deno.test("agentMain() shows help and version on standard output", async () => {
  assert.deepEqual(await agent("exec", "--help"), {
    code: 0,
    stdout: VSOCK_CLIENT_HELP,
    stderr: "",
  });
  assert.match((await agent("exec", "--version")).stdout, /^vsock-client \d+\.\d+\.\d+ \(/);
  assert.match((await agent("version")).stdout, /^awsocks-agent \d+\.\d+\.\d+ \(/);
  assert.match(
    (await agent("--help")).stdout,
    /awsocks-agent exec \[CID\[:PORT\]\] \[persistent\]/,
  );
});

Deno.test("agentMain() refuses what it does not know with exit code 2", async () => {
  for (const args of [[], ["bogus"], ["constructor"], ["exec", "2", "2"], ["exec", "nowhere"]]) {
    const { code, stdout, stderr } = await agent(...args);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^(awsocks-agent|vsock-client): /);
  }
});

Deno.test("the help of vsock-client warns, and fits an ordinary terminal", () => {
  assert.match(VSOCK_CLIENT_HELP, /WARNING: commands run unchecked/);
  for (const line of VSOCK_CLIENT_HELP.split("\n")) assert.ok(line.length <= 88, line);
});
