/**
 * `awsocks start` against another implementation of the services, found by `AWS_ENDPOINT_URL` alone.
 *
 * @module
 */

import assert from "node:assert/strict";
import { curlDown, curlUp } from "../support/curl_transfers.ts";
import { curl, interopTest } from "../support/external.ts";
import {
  FOREIGN_NEEDS,
  FOREIGN_TEXT,
  type ForeignService,
  startForeignService,
} from "../support/foreign_service.ts";
import { type Program, runProgram, startProgram } from "../support/program.ts";

/** Starts awsocks with nothing but flags and environment that AWS itself would take. */
async function startOn(service: ForeignService, ...args: string[]) {
  const program = startProgram(
    ["start", ...service.args, "-l", "127.0.0.1:0", "--no-fallback", ...args],
    { env: service.env, limit: 300_000 },
  );
  const [, port] = await program.saw(/listens on 127\.0\.0\.1:(\d+)/);
  return { program, via: ["--socks5-hostname", `127.0.0.1:${port}`] };
}

async function endsWell(program: Program): Promise<void> {
  const { code, stderr } = await program.stop();
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /ERROR|Uncaught/);
}

interopTest(
  "a foreign service: the page, from StartSession to TerminateSession",
  FOREIGN_NEEDS,
  async () => {
    await using service = await startForeignService();
    // Lazy: an explicit pattern makes the first request wait for the session.
    const { program, via } = await startOn(service, "--route-proxy", "127.0.0.1");
    await using _program = program;
    const { stdout, stderr } = await curl([...via, service.site]);
    assert.ok(stdout.includes(FOREIGN_TEXT), stderr);
    await endsWell(program);
    const { calls, refused, sessions } = await service.report();
    assert.deepEqual(refused, []);
    assert.deepEqual(calls.slice(0, 2), ["DescribeInstances", "StartSession"]);
    assert.ok(calls.includes("TerminateSession"), `${calls}`);
    assert.ok(service.sshd.log.some((line) => line.startsWith("Accepted publickey")));
    const [session, ...others] = sessions;
    assert.deepEqual(others, []);
    assert.equal(session!.live, false);
    assert.deepEqual(session!.open_keys, [
      ["ClientId", "ClientVersion", "MessageSchemaVersion", "RequestId", "TokenValue"],
    ]);
  },
);

interopTest(
  "a foreign service: transfers outlive its closing of the WebSocket",
  FOREIGN_NEEDS,
  async () => {
    await using service = await startForeignService({ bye: 2_000_000 });
    const { program, via } = await startOn(service, "--no-lazy");
    await using _program = program;
    const transfer = { via, site: service.site, size: 20_000_000, name: "curl, foreign service" };
    // The bytes do not repeat within 64 KiB, so that compression leaves most of them.
    await curlDown(transfer);
    await curlUp(transfer);
    await endsWell(program);
    const { refused, sessions } = await service.report();
    assert.deepEqual(refused, []);
    assert.deepEqual(sessions.filter(({ live }) => live), []);
    const resumed = sessions.filter(({ resumes }) => resumes > 0);
    assert.ok(resumed.length > 0, JSON.stringify(sessions));
    assert.ok(
      sessions.every(({ client_ids }) => client_ids === 1),
      "one ClientId for each session",
    );
  },
);

interopTest(
  "a foreign service: what it refuses is reported with its reason",
  FOREIGN_NEEDS,
  async () => {
    await using service = await startForeignService();
    const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
      runProgram(["start", ...args, "-l", "127.0.0.1:0", "--no-lazy"], {
        env: { ...service.env, ...env },
      });
    const [, , ...rest] = service.args;
    const unknown = await start(["-i", "i-00000000000000000", ...rest]);
    assert.equal(unknown.code, 4, unknown.stderr);
    assert.match(unknown.stderr, /There is no instance i-00000000000000000 in eu-west-3/);
    const wrongKey = await start(service.args, { AWS_SECRET_ACCESS_KEY: "wrong" });
    assert.equal(wrongKey.code, 3, wrongKey.stderr);
    assert.match(wrongKey.stderr, /AWS does not accept the credentials/);
    assert.doesNotMatch(wrongKey.stderr + unknown.stderr, /\n\s+at /);
  },
);
