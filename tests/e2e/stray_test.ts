import assert from "node:assert/strict";
import { runProgram } from "../support/program.ts";

const START = ["start", "-i", "i-0123456789abcdef0", "-r", "eu-west-1", "-l", "127.0.0.1:0"];

for (const kind of ["rejection", "exception"]) {
  Deno.test(`a stray ${kind} ends the program with one line and exit code 1`, async () => {
    const script = "tests/support/stray_program.ts";
    const { code, stdout, stderr } = await runProgram([kind, ...START], { script });
    assert.match(stdout, /listens on/);
    assert.equal(code, 1);
    assert.equal(stderr, "awsocks: Stray failure\ntry: this is a bug; please report it\n");
  });
}
