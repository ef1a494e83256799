/**
 * `awsocks exec` and `vsock-client` as processes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DenoConn } from "../../lib/core/mod.ts";
import { FrameType } from "../../lib/exec/mod.ts";
import { run } from "../support/external.ts";
import { type Program, startProgram } from "../support/program.ts";
import { FrameHost, isAlive } from "./support.ts";

function client(...args: string[]): Program {
  return startProgram(["exec", ...args], { script: "agent.ts" });
}

/** A folder for a Unix socket, and its address. */
async function socketFolder() {
  const folder = await Deno.makeTempDir({ prefix: "awsocks-exec-" });
  return {
    path: `${folder}/exec.sock`,
    address: `unix:${folder}/exec.sock`,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** A host on TCP, the client that has come to it, and what it is. */
async function hostOfClient(...args: string[]) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const program = client(`tcp:127.0.0.1:${listener.addr.port}`, ...args);
  const host = new FrameHost(new DenoConn(await program.while(listener.accept())));
  return { host, program };
}

/** Has the client run a command with two processes; gives their ids. */
async function startSleepers(host: FrameHost): Promise<number[]> {
  await host.send(FrameType.Command, "sleep 1000 & echo $$ $!; wait");
  const [, ids] = /^1:(.*)\n$/.exec(await host.next() ?? "")!;
  return ids!.split(" ").map(Number);
}

async function assertGone(pids: readonly number[]): Promise<void> {
  for (const pid of pids) assert.ok(!await isAlive(pid), `${pid} lives`);
}

Deno.test("awsocks exec listens, vsock-client connects: streams and status", async () => {
  await using socket = await socketFolder();
  const words = ["sh", "-c", "echo out; echo err >&2; exit 42"];
  await using host = startProgram(["exec", "--listen", socket.address, "--", ...words]);
  await using guest = client(socket.address, "--wait", "30");
  const [there, here] = await Promise.all([guest.finished, host.finished]);
  assert.deepEqual(here, { code: 42, stdout: "out\n", stderr: "err\n" });
  assert.deepEqual(there, { code: 42, stdout: "", stderr: "" });
});

Deno.test("vsock-client --listen, awsocks exec --connect: standard input", async () => {
  await using socket = await socketFolder();
  await using guest = client("--listen", socket.address);
  const bytes = crypto.getRandomValues(new Uint8Array(50_000));
  const input = Array.from({ length: 40 }, () => bytes);
  const host = await run(
    Deno.execPath(),
    ["run", "-A", "main.ts", "exec", "--connect", socket.address, "--wait", "30", "--", "wc", "-c"],
    { env: { HOME: "/nonexistent", DENO_DIR: denoDir() }, input },
  );
  assert.deepEqual({ ...host, stdout: host.stdout.trim() }, {
    code: 0,
    stdout: "2000000",
    stderr: "",
  });
  assert.equal((await guest.finished).code, 0);
});

Deno.test("awsocks exec takes a free port and says which", async () => {
  await using host = startProgram(
    [
      "exec",
      "--listen",
      "tcp:127.0.0.1:0",
      "--log-level",
      "info",
      "--persistent",
      "--",
      "echo",
      "*",
    ],
  );
  const [, port] = await host.saw(/address=tcp:127\.0\.0\.1:(\d+)/, "stderr");
  await using guest = client(`tcp:127.0.0.1:${port}`, "persistent");
  const { code, stdout } = await host.finished;
  assert.deepEqual([code, stdout], [0, "*\n"]);
  assert.deepEqual(await guest.finished, { code: 0, stdout: "", stderr: "" });
});

Deno.test("Ctrl-C at awsocks exec ends the command at the client", async () => {
  await using socket = await socketFolder();
  await using host = startProgram(
    ["exec", "--listen", socket.address, "--", "sleep 1000 & echo $$ $!; wait"],
  );
  await using guest = client(socket.address, "--wait", "30");
  const [, ids] = await host.saw(/^(\d+ \d+)$/m);
  host.signal("SIGINT");
  const [{ code, stderr }, there] = await Promise.all([host.finished, guest.finished]);
  assert.deepEqual([code, stderr], [130, ""]);
  assert.equal(there.code, 125);
  assert.match(there.stderr, /^vsock-client: No command was run to its end: The host hung up/);
  await assertGone(ids!.split(" ").map(Number));
});

Deno.test("awsocks exec ends when nobody reads its output any more", async () => {
  await using socket = await socketFolder();
  await using guest = client(socket.address, "--wait", "30");
  const script =
    `"$1" run -A main.ts exec --listen "$2" -- yes | head -n 1; echo \${PIPESTATUS[0]}`;
  const { stdout, stderr } = await run(
    "bash",
    ["-c", script, "-", Deno.execPath(), socket.address],
    {
      env: { HOME: "/nonexistent", DENO_DIR: denoDir() },
    },
  );
  assert.deepEqual([stdout, stderr], ["y\n141\n", ""]);
  assert.equal((await guest.finished).code, 125);
});

Deno.test("awsocks exec gives up waiting after --wait", async () => {
  for (
    const [how, reason] of [
      ["--listen", "Nobody connected to unix:.* within 1 s"],
      ["--connect", "Could not connect to unix:.*: there is no such socket"],
    ] as const
  ) {
    await using socket = await socketFolder();
    await using host = startProgram(["exec", how, socket.address, "--wait", "1", "--", "true"]);
    const { code, stderr } = await host.finished;
    assert.equal(code, 125);
    assert.match(stderr, new RegExp(`^awsocks: No command was run to its end: ${reason}`));
  }
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  Deno.test(`${signal} at vsock-client ends the command with it`, async () => {
    const { host, program } = await hostOfClient();
    await using _program = program;
    const pids = await startSleepers(host);
    program.signal(signal);
    const { code, stdout, stderr } = await program.finished;
    assert.deepEqual([code, stdout, stderr], [130, "", ""]);
    host.conn.close();
    await assertGone(pids);
  });
}

Deno.test("a host that is gone ends vsock-client and its command", async () => {
  for (const persistent of [[], ["persistent"]]) {
    const { host, program } = await hostOfClient(...persistent);
    await using _program = program;
    const pids = await startSleepers(host);
    host.conn.close();
    const { code, stderr } = await program.finished;
    assert.equal(code, 125);
    assert.match(stderr, /The host hung up while a command ran/);
    await assertGone(pids);
  }
});

Deno.test("a bad frame ends vsock-client and its command", async () => {
  const { host, program } = await hostOfClient("persistent");
  await using _program = program;
  const pids = await startSleepers(host);
  await host.conn.write(new Uint8Array([7, 0, 0]));
  const { code, stderr } = await program.finished;
  assert.equal(code, 125);
  assert.equal(
    stderr,
    "vsock-client: No command was run to its end: There is no frame of type 7\n",
  );
  assert.equal(await host.next(), null);
  host.conn.close();
  await assertGone(pids);
});

Deno.test("vsock-client --verbose tells, but not the commands", async () => {
  const { host, program } = await hostOfClient("--verbose");
  await using _program = program;
  await host.send(FrameType.Command, "exit 5 # my secret");
  assert.equal(await host.next(), "exit:5");
  host.conn.close();
  const { code, stderr } = await program.finished;
  assert.equal(code, 5);
  assert.match(stderr, /Connected with the host.*\n.*Command starts bytes=18\n.*ended status=5\n/);
  assert.doesNotMatch(stderr, /secret/);
});

function denoDir(): string {
  return Deno.env.get("DENO_DIR") ??
    `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`}/deno`;
}
