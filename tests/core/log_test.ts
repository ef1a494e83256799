import assert from "node:assert/strict";
import { configureLogging, getLog, redact, REDACTED } from "../../lib/core/mod.ts";

async function captured(
  options: Partial<Parameters<typeof configureLogging>[0]>,
  work: () => void,
): Promise<string[]> {
  const lines: string[] = [];
  await configureLogging({ ...options, write: (line) => lines.push(line) });
  work();
  await configureLogging({ write: () => {} });
  return lines;
}

Deno.test("text lines carry time, level, room, message and the remaining fields, on one line", async () => {
  const [line, ...rest] = await captured({}, () => {
    getLog("ssm").info("Session {sessionId} resumed\nnow", {
      sessionId: "s-1",
      attempt: 2,
      why: "Bye bye",
      nothing: undefined,
    });
  });
  assert.equal(rest.length, 0);
  assert.match(
    line!,
    /^\d\d:\d\d:\d\d\.\d{3} INFO {2}ssm {9}Session s-1 resumed now attempt=2 why="Bye bye"$/,
  );
});

Deno.test("json lines parse and carry the fields", async () => {
  const [line] = await captured({ format: "json" }, () => {
    getLog("aws").warn("Call {operation} failed", { operation: "StartSession", status: 500 });
  });
  const { time, ...record } = JSON.parse(line!);
  assert.ok(!Number.isNaN(Date.parse(time)));
  assert.deepEqual(record, {
    level: "warn",
    room: "aws",
    message: "Call StartSession failed",
    operation: "StartSession",
    status: 500,
  });
});

Deno.test("levels apply to all rooms, and to single ones above and below", async () => {
  const talk = () => {
    for (const room of ["ssm", "ssh", "proxy"]) {
      getLog(room).debug("d");
      getLog(room).info("i");
      getLog(room).warn("w");
    }
  };
  const lines = await captured({ level: "info", rooms: { ssm: "debug", ssh: "error" } }, talk);
  const seen = lines.map((line) => line.replace(/^\S+ (\w+) +(\w+) .*$/, "$2 $1"));
  assert.deepEqual(seen, ["ssm DEBUG", "ssm INFO", "ssm WARN", "proxy INFO", "proxy WARN"]);
});

Deno.test("secrets are redacted by field name at any depth, in text and in json", async () => {
  const secret = "hunter2";
  const fields = {
    tokenValue: secret,
    sshKeyPassphrase: secret,
    nested: { secretAccessKey: secret, list: [{ proxyPassword: secret }] },
    Authorization: secret,
  };
  for (const format of ["text", "json"] as const) {
    const lines = await captured({ format }, () => {
      getLog("ssm").info("Opening with {tokenValue}", fields);
    });
    assert.equal(lines.length, 1);
    assert.ok(!lines[0]!.includes(secret), lines[0]);
    assert.ok(lines[0]!.includes(REDACTED));
  }
});

Deno.test("redact() shortens bytes and errors and keeps plain values", () => {
  assert.deepEqual(
    redact({
      bytes: new Uint8Array(3),
      error: Object.assign(new Error("no"), { code: "aws-x" }),
      n: 1n,
      at: new Date(0),
      ok: true,
    }),
    { bytes: "3 bytes", error: "no (aws-x)", n: "1", at: "1970-01-01T00:00:00.000Z", ok: true },
  );
});
