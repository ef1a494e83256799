import assert from "node:assert/strict";
import { formatReport, reportOf } from "../../lib/cli/report.ts";
import { UsageError } from "../../lib/cli/usage_error.ts";
import { AwsocksError } from "../../lib/core/errors.ts";

Deno.test("reportOf() takes message, hint and exit code from the error", async () => {
  assert.deepEqual(
    await reportOf(new AwsocksError("instance-stopped", "Instance i-1 is stopped")),
    {
      message: "Instance i-1 is stopped",
      hint: "start it, or set `auto-start = true` (--auto-start)",
      exit: 4,
    },
  );
  assert.deepEqual(await reportOf(new UsageError("No", { hint: "yes" })), {
    message: "No",
    hint: "yes",
    exit: 2,
  });
});

Deno.test("reportOf() adds causes of our own and leaves those of libraries out", async () => {
  const root = new AwsocksError("agent-offline", "The agent of i-1 is offline", {
    cause: new Error("TargetNotConnected"),
  });
  const error = new AwsocksError("backend-unavailable", "No session to i-1", { cause: root });
  const report = await reportOf(error);
  assert.equal(report.message, "No session to i-1: The agent of i-1 is offline");
  assert.match(report.hint, /SSM agent/);
  assert.equal(report.exit, 4);
});

Deno.test("reportOf() makes a report of anything thrown", async () => {
  assert.equal((await reportOf(new TypeError("x is not a function"))).exit, 1);
  assert.equal((await reportOf("text")).message, "text");
  assert.equal((await reportOf(undefined)).exit, 1);
});

Deno.test("formatReport() writes one line, each problem of a file, and what to try", () => {
  assert.equal(
    formatReport({ message: "2 problems\na:1: x\n  b:2: \x1b[2Jy", hint: "look", exit: 2 }, false),
    "awsocks: 2 problems\n  a:1: x\n  b:2: [2Jy\ntry: look\n",
  );
});
