import assert from "node:assert/strict";
import { runProgram } from "../support/program.ts";

Deno.test("awsocks version and --version print one line on standard output", async () => {
  for (const args of [["version"], ["--version"], ["-V"]]) {
    const { code, stdout, stderr } = await runProgram(args);
    assert.equal(code, 0);
    assert.match(stdout, /^awsocks \d+\.\d+\.\d+ \(commit \w+, deno [\d.]+\)\n$/);
    assert.equal(stderr, "");
  }
});

Deno.test("awsocks --help and help COMMAND print on standard output", async () => {
  const all = await runProgram(["--help"]);
  assert.equal(all.code, 0);
  assert.match(all.stdout, /^Usage$/m);
  const one = await runProgram(["help", "config", "check"]);
  assert.equal(one.code, 0);
  assert.match(one.stdout, /^awsocks config check:/);
});

Deno.test("awsocks respects FORCE_COLOR, NO_COLOR and --no-color", async () => {
  // deno-lint-ignore no-control-regex -- colours are what is looked for
  const colored = /\x1b\[/;
  const forced = await runProgram(["--help"], { env: { FORCE_COLOR: "1" } });
  assert.match(forced.stdout, colored);
  assert.doesNotMatch((await runProgram(["--help"])).stdout, colored);
  const flag = await runProgram(["--help", "--no-color"], { env: { FORCE_COLOR: "1" } });
  assert.doesNotMatch(flag.stdout, colored);
  const mistake = await runProgram(["bogus"], { env: { FORCE_COLOR: "1", NO_COLOR: "1" } });
  assert.doesNotMatch(mistake.stderr, colored);
});

Deno.test("awsocks answers a wrong command line with one clear line and exit code 2", async () => {
  const { code, stdout, stderr } = await runProgram(["start", "staging", "--regoin", "eu-west-1"]);
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.equal(stderr, 'awsocks: Unknown flag "--regoin"; did you mean --region?\n');
});

Deno.test("awsocks-agent says what it is and exits 2", async () => {
  const { code, stdout, stderr } = await runProgram([], { script: "agent.ts" });
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.match(stderr, /guest agent/);
  assert.match((await runProgram(["version"], { script: "agent.ts" })).stdout, /^awsocks-agent \d/);
});
