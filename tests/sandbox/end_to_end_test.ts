/**
 * The sandbox as a whole, with the project's own session client: bytes arrive whole whatever the
 * switches do, and nothing is left over.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readAll, systemClock, writeAll } from "../../lib/core/mod.ts";
import {
  PAGE_TEXT,
  parseSandboxFlags,
  type Sandbox,
  sha256Of,
  startSandbox,
} from "../../lib/sandbox/mod.ts";
import { blocksOf } from "../../lib/sandbox/vpc/bytes.ts";
import { createSocketConnector, openSession, type Session } from "../../lib/ssm/mod.ts";
import { callSsm, json } from "./caller.ts";
import { resumeSession, startSession } from "./peer.ts";

/** A session to a port of the instance. */
function connect(sandbox: Sandbox, port: number): Promise<Session> {
  return openSession({
    target: sandbox.instanceId,
    documentName: "AWS-StartSSHSession",
    parameters: { portNumber: [String(port)] },
  }, {
    clock: systemClock,
    service: {
      startSession: ({ target }) => startSession(sandbox, { target, port: String(port) }),
      resumeSession: (sessionId) => resumeSession(sandbox, sessionId),
      terminateSession: async (SessionId) => {
        json(await callSsm(sandbox, "TerminateSession", { SessionId }));
      },
    },
    connect: createSocketConnector({
      credentials: () => Promise.resolve(sandbox.credentials),
      signUpgrade: () => Promise.resolve(new Headers()),
      proxyFor: () => undefined,
      caCerts: [],
    }),
  });
}

async function download(sandbox: Sandbox, size: number): Promise<void> {
  const session = await connect(sandbox, 80);
  await writeAll(
    session.conn,
    new TextEncoder().encode(`GET /bytes?size=${size}&seed=3 HTTP/1.0\r\n\r\n`),
  );
  const answer = await readAll(session.conn);
  const body = answer.subarray(answer.byteLength - size);
  assert.equal(createHash("sha256").update(body).digest("hex"), sha256Of(size, 3));
  await session.close();
}

async function upload(sandbox: Sandbox, size: number): Promise<void> {
  const session = await connect(sandbox, 80);
  await writeAll(
    session.conn,
    new TextEncoder().encode(`PUT /upload HTTP/1.0\r\nContent-Length: ${size}\r\n\r\n`),
  );
  for (const block of blocksOf(size, 3)) await writeAll(session.conn, block);
  const answer = new TextDecoder().decode(await readAll(session.conn));
  assert.ok(answer.endsWith(`{"bytes":${size},"sha256":"${sha256Of(size, 3)}"}\n`), answer);
  await session.close();
}

const SIZE = 300_000;

const SWITCHES: readonly [flags: string, happened: (sandbox: Sandbox) => boolean][] = [
  ["", () => true],
  ["pace", () => true],
  ["agent-delay=0,reacknowledge=on,refuse-first=300ms", () => true],
  ["cut-every=120kB", (sandbox) => total(sandbox, "cuts") >= 4],
  ["cut-every=300ms,cut-mode=abrupt,rate=500kB", (sandbox) => total(sandbox, "cuts") >= 2],
  [
    "drop=1%,duplicate=5%,reorder=5%,delay=2%,delay-time=20ms",
    (sandbox) =>
      total(sandbox, "dropped") > 0 && total(sandbox, "duplicated") > 0 &&
      total(sandbox, "reordered") > 0 && total(sandbox, "delayed") > 0,
  ],
];

function total(
  sandbox: Sandbox,
  counter: "cuts" | "dropped" | "duplicated" | "reordered" | "delayed",
) {
  return sandbox.sessions().reduce((sum, session) => sum + session.counters[counter], 0);
}

for (const [flags, happened] of SWITCHES) {
  Deno.test(`bytes arrive whole both ways with ${flags || "no switches"}`, async () => {
    // Repairs are ten a second with a real agent: too slow for a test.
    const options = parseSandboxFlags(`seed=1,resend-tick=10ms,${flags}`);
    await using sandbox = await startSandbox(options);
    await download(sandbox, SIZE);
    await upload(sandbox, SIZE);
    assert.ok(happened(sandbox));
    for (const session of sandbox.sessions()) {
      assert.deepEqual([session.live, session.counters.malformed], [false, 0]);
    }
  });
}

Deno.test("everything that happens on the way to a page is told in order", async () => {
  await using sandbox = await startSandbox({ seed: 1 });
  const told: string[] = [];
  let last = 0;
  using _listener = sandbox.on(({ type, monotonic }) => {
    told.push(type);
    assert.ok(monotonic >= last);
    last = monotonic;
  });
  const session = await connect(sandbox, 80);
  await writeAll(session.conn, new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
  assert.ok(new TextDecoder().decode(await readAll(session.conn)).includes(PAGE_TEXT));
  await session.close();
  assert.deepEqual(told.slice(0, 5), [
    "session-started",
    "api-call",
    "websocket-opened",
    "handshake-completed",
    "http-request",
  ]);
  assert.deepEqual(told.slice(5).toSorted().slice(-2), ["session-ended", "websocket-closed"]);
});
