/**
 * The sandbox against a client in another language, written from the protocol's description alone,
 * and against OpenSSH's client and server.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { PAGE_TEXT, type Sandbox, startSandbox } from "../../lib/sandbox/mod.ts";
import { findSshd, SSHD_REMEDY, sshKeygen, startSshd } from "../support/sshd.ts";

const PEER = fileURLToPath(new URL("./session_peer.py", import.meta.url));
const text = (data: Uint8Array) => new TextDecoder().decode(data);

function installed(program: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

const python = installed("python3", "--version") ? "" : "needs python3: apt-get install python3";
const openssh = findSshd() && installed("ssh", "-V") ? "" : SSHD_REMEDY;

function interop(name: string, missing: string, work: () => Promise<void>): void {
  const remedy = missing ? ` (skipped: ${missing})` : "";
  Deno.test({ name: name + remedy, ignore: missing !== "", fn: work });
}

async function run(
  sandbox: Sandbox,
  program: string,
  args: readonly string[],
  input = "",
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const child = new Deno.Command(program, {
    args: [...args],
    // Nothing of the developer's own session may get in.
    env: { AWS_SESSION_TOKEN: "", ...sandbox.env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  return { success, stdout: text(stdout), stderr: text(stderr) };
}

interop("a Python client goes through a whole session", python, async () => {
  await using sandbox = await startSandbox({ switches: { signedUpgrade: "require" } });
  const args = [PEER, "report", sandbox.instanceId, "22"];
  const { success, stdout, stderr } = await run(sandbox, "python3", args);
  assert.ok(success, stderr);
  const report = JSON.parse(stdout);
  assert.equal(report.requestFlags, 1);
  assert.deepEqual(report.request, {
    AgentVersion: "3.3.1142.0",
    RequestedClientActions: [{
      ActionType: "SessionType",
      ActionParameters: { SessionType: "Port", Properties: { portNumber: "22" } },
    }],
  });
  assert.equal(report.completeFlags, 0);
  assert.ok(report.complete.HandshakeTimeToComplete > 0);
  assert.equal(report.line, "SSH-2.0-OpenSSH_9.2p1\r\n");
  assert.equal(report.closed.SessionId, report.sessionId);
  assert.equal(report.closed.DestinationId, sandbox.instanceId);
  assert.deepEqual(report.resumed, { SessionId: report.sessionId });
  assert.deepEqual(report.seen, [
    "acknowledge",
    "channel_closed",
    "output_stream_data",
    "start_publication",
  ]);
  const [session] = sandbox.sessions();
  assert.deepEqual([session!.live, session!.counters.malformed], [false, 0]);
});

/** `ssh -W` through a session of the Python client. */
async function ssh(
  sandbox: Sandbox,
  target: string,
  input: string,
  options: { user?: string } = {},
) {
  const directory = await Deno.makeTempDir();
  const settings = [
    `UserKnownHostsFile=${directory}/known_hosts`,
    "StrictHostKeyChecking=accept-new",
    "IdentitiesOnly=yes",
    // Deno frees a cipher object only when it is ended, and ssh2 ends those of GCM only.
    "Ciphers=aes128-gcm@openssh.com",
    `ProxyCommand=python3 ${PEER} pipe ${sandbox.instanceId} %p`,
  ];
  try {
    return await run(sandbox, "ssh", [
      "-F",
      "none",
      ...settings.flatMap((setting) => ["-o", setting]),
      "-i",
      sandbox.sshKeyPath,
      "-W",
      target,
      `${options.user ?? sandbox.sshUser}@${sandbox.instanceId}`,
    ], input);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const GET = "GET / HTTP/1.1\r\nHost: hello.sandbox.internal\r\nConnection: close\r\n\r\n";

interop("OpenSSH's client reaches the private page", python || openssh, async () => {
  await using sandbox = await startSandbox();
  const { stdout, stderr } = await ssh(sandbox, "hello.sandbox.internal:80", GET);
  assert.ok(stdout.includes(PAGE_TEXT), stderr);
  const unknown = await ssh(sandbox, "nowhere.example.org:80", "");
  assert.match(unknown.stderr, /open failed: connect failed: Name or service not known/);
  const prohibited = await ssh(sandbox, "prohibited.sandbox.internal:80", "");
  assert.match(prohibited.stderr, /open failed: administratively prohibited: open failed/);
  const stranger = await ssh(sandbox, "hello.sandbox.internal:80", GET, { user: "root" });
  assert.match(stranger.stderr, /Permission denied \(publickey\)/);
});

interop("OpenSSH's server can stand behind port 22", python || openssh, async () => {
  const directory = await Deno.makeTempDir();
  const sshKey = `${directory}/id`;
  await sshKeygen("-q", "-t", "ed25519", "-N", "", "-f", sshKey);
  await using sshd = await startSshd({
    authorizedKeys: [await Deno.readTextFile(`${sshKey}.pub`)],
  });
  await using sandbox = await startSandbox({ sshd: `127.0.0.1:${sshd.port}`, sshKey });
  assert.deepEqual([sandbox.sshUser, sandbox.sshKeyPath], [sshd.user, sshKey]);
  assert.equal(sandbox.hostKeyFingerprint, "");
  // The real server cannot resolve private names; the site is on a loopback port for it.
  const { stdout, stderr } = await ssh(sandbox, new URL(sandbox.siteUrl).host, GET);
  assert.ok(stdout.includes(PAGE_TEXT), stderr);
  await Deno.remove(directory, { recursive: true });
});
