import assert from "node:assert/strict";
import { main } from "../../lib/cli/mod.ts";
import { FakeTerminal } from "../support/fake_terminal.ts";

async function run(args: string[], env: Record<string, string> = {}) {
  const terminal = new FakeTerminal({ isTerminal: false, env });
  const code = await main(args, { terminal, exit: () => assert.fail("exit") });
  return { code, stdout: terminal.stdout.text, stderr: terminal.stderr.text };
}

Deno.test("main() gives the exit code and keeps the streams apart", async () => {
  const version = await run(["version"]);
  assert.deepEqual([version.code, version.stderr], [0, ""]);
  assert.match(version.stdout, /^awsocks /);
  const mistake = await run(["bogus"]);
  assert.deepEqual([mistake.code, mistake.stdout], [2, ""]);
  assert.match(mistake.stderr, /^awsocks: Unknown command "bogus"\n/);
});

Deno.test("main() shows a stack trace only when debugging", async () => {
  const args = ["config", "check", "/nonexistent.toml"];
  const plain = await run(args);
  assert.equal(plain.code, 2);
  assert.doesNotMatch(plain.stderr, /\n\s+at /);
  const debug = await run(args, { AWSOCKS_DEBUG: "1" });
  assert.equal(debug.code, 2);
  assert.match(debug.stderr, /\n\s+at /);
});

Deno.test("main() colours errors when told to, and --no-color wins", async () => {
  const env = { FORCE_COLOR: "1" };
  const args = ["config", "check", "/nonexistent.toml"];
  assert.ok((await run(args, env)).stderr.startsWith("\x1b[31mawsocks:"));
  assert.ok((await run([...args, "--no-color"], env)).stderr.startsWith("awsocks:"));
});
