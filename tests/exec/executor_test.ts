import assert from "node:assert/strict";
import { createShellExecutor, type RunningCommand } from "../../lib/exec/mod.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { isAlive } from "./support.ts";

async function textOf(output: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of output) text += decoder.decode(piece, { stream: true });
  return text;
}

/** Runs a command to its end. */
async function run(command: RunningCommand, input = "") {
  const feeding = command.stdin.write(new TextEncoder().encode(input))
    .then(() => command.stdin.close());
  const [stdout, stderr, status] = await Promise.all([
    textOf(command.stdout),
    textOf(command.stderr),
    command.status,
    feeding,
  ]);
  command.release();
  return { stdout, stderr, status };
}

/** First line of a command's output, and the command. */
async function firstLine(output: AsyncIterable<Uint8Array>): Promise<string> {
  for await (const piece of output) return new TextDecoder().decode(piece).split("\n")[0]!;
  throw new Error("no output");
}

const CASES: readonly [command: string, input: string, stdout: string, status: number][] = [
  ["echo hello", "", "hello\n", 0],
  ["exit 3", "", "", 3],
  ["", "", "", 0],
  ["cat; exit 4", "in\n", "in\n", 4],
  ["printf 'a b|%s' \"$0\"", "", "a b|/bin/sh", 0],
  ["no-such-program-anywhere", "", "", 127],
  ["/etc/passwd", "", "", 126],
  ["kill -TERM $$", "", "", 143],
  ["kill -KILL $$", "", "", 137],
  ["sh -c 'kill -INT $$'; echo $?", "", "130\n", 0],
  ["yes | head -n 1", "", "y\n", 0],
  ["head -c 1", "x".repeat(300_000), "x", 0],
  ["wc -c | tr -d ' '", "x".repeat(300_000), "300000\n", 0],
  ["head -c 200000 /dev/zero | tr '\\0' y", "", "y".repeat(200_000), 0],
  ["(sleep 0.1; echo late) & echo early", "", "early\nlate\n", 0],
  ["echo é ünïcödé 世界", "", "é ünïcödé 世界\n", 0],
  ["cd /; pwd\necho second line", "", "/\nsecond line\n", 0],
  ["exec >&- 2>&-; sleep 0.05; exit 9", "", "", 9],
];

for (const [command, input, stdout, status] of CASES) {
  const name = command.length > 60 ? `${command.slice(0, 60)}…` : command;
  Deno.test(`createShellExecutor() runs ${JSON.stringify(name)}`, async () => {
    const outcome = await run(createShellExecutor().start(command), input);
    assert.equal(outcome.stdout, stdout);
    assert.equal(outcome.status, status);
  });
}

Deno.test("each command has a shell, a session and a process group of its own", async () => {
  const executor = createShellExecutor();
  const ids = "ps -o pid=,pgid=,sid= -p $$ | tr -s ' '";
  const [one, two] = await Promise.all([
    run(executor.start(`${ids}; X=1; cd /`)),
    run(executor.start(ids)),
  ]);
  for (const { stdout } of [one, two]) {
    const [pid, pgid, sid] = stdout.trim().split(" ");
    assert.equal(pgid, pid);
    assert.equal(sid, pid);
  }
  assert.notEqual(one.stdout, two.stdout);
  assert.equal((await run(executor.start('echo "[$X]"; pwd'))).stdout, `[]\n${Deno.cwd()}\n`);
});

Deno.test("the environment and the working directory are given on", async () => {
  const cwd = await Deno.realPath(await Deno.makeTempDir());
  try {
    const executor = createShellExecutor({ cwd, env: { EXEC_TEST: "a b" } });
    const { stdout } = await run(executor.start('pwd; echo "$EXEC_TEST"; echo "$PATH"'));
    assert.equal(stdout, `${cwd}\na b\n${Deno.env.get("PATH")}\n`);
  } finally {
    await Deno.remove(cwd);
  }
});

Deno.test("a shell or a directory that is not there is said at the start", () => {
  const shell = createShellExecutor({ shell: "/no/such/shell" });
  assert.throws(() => shell.start("true"), Deno.errors.NotFound);
  const cwd = createShellExecutor({ cwd: "/no/such/directory" });
  assert.throws(() => cwd.start("true"), Deno.errors.NotFound);
});

Deno.test("input for a command that has ended is no error", async () => {
  const command = createShellExecutor().start("exec <&-; echo ready; sleep 0.05");
  await firstLine(command.stdout);
  await command.stdin.write(new Uint8Array(1_000_000));
  await command.stdin.write(new Uint8Array(1));
  await command.stdin.close();
  await command.stdin.close();
  await command.status;
  command.release();
});

Deno.test("kill() ends the whole group, and only the group", async () => {
  // Ended processes count until the system's first process has reaped them: a short grace.
  const executor = createShellExecutor({ grace: 300 });
  const other = executor.start("sleep 1000");
  const command = executor.start("sleep 1000 & sleep 1000 & echo $$ $!; wait");
  const pids = (await firstLine(command.stdout)).split(" ").map(Number);
  assert.equal(pids.length, 2);
  await command.kill();
  assert.equal(await command.status, 143);
  for (const pid of pids) assert.ok(!await isAlive(pid), `${pid} lives`);
  await command.kill();

  let ended = false;
  void other.status.then(() => ended = true);
  await Promise.resolve();
  assert.ok(!ended);
  await other.kill();
  assert.equal(await other.status, 143);
});

Deno.test("kill() takes SIGKILL for what SIGTERM does not end, after the grace", async () => {
  const clock = new FakeClock();
  const command = createShellExecutor({ clock, grace: 3000 })
    .start("trap '' TERM; echo ready; while :; do sleep 1; done");
  await firstLine(command.stdout);
  let killed = false;
  const killing = command.kill().then(() => killed = true);
  await clock.advance(2900);
  assert.ok(!killed);
  await clock.advance(200);
  await killing;
  assert.equal(await command.status, 137);
});

Deno.test("kill() ends stopped processes, and what outlives its shell", async () => {
  const executor = createShellExecutor({ grace: 300 });
  const stopped = executor.start("kill -STOP $$");
  const orphan = executor.start("(trap '' HUP; exec sleep 1000) & echo $!");
  const pid = Number(await firstLine(orphan.stdout));
  assert.equal(await orphan.status, 0);
  assert.ok(await isAlive(pid));
  await Promise.all([stopped.kill(), orphan.kill()]);
  assert.ok(!await isAlive(pid));
  assert.equal(await stopped.status, 143);
});

/** What the descriptors of this process lead to. */
async function openFiles(): Promise<string[]> {
  const files: string[] = [];
  for await (const { name } of Deno.readDir("/proc/self/fd")) {
    // The descriptor of the listing itself is gone by then.
    await Deno.readLink(`/proc/self/fd/${name}`).then((file) => files.push(file), () => {});
  }
  return files;
}

Deno.test("release() gives the pipes back even if a daemon still has them", async () => {
  const command = createShellExecutor({ grace: 50 }).start(
    "setsid sh -c 'echo $$; exec sleep 1000' & wait",
  );
  const pieces = command.stdout[Symbol.asyncIterator]();
  const { value } = await pieces.next();
  const daemon = Number(new TextDecoder().decode(value as Uint8Array));
  try {
    await command.kill();
    assert.ok(await isAlive(daemon)); // it has left the group
    assert.deepEqual(await pieces.next(), { value: undefined, done: true });
    // Tests beside this one open pipes of their own: only the daemon's must not be ours any more.
    const held = await Deno.readLink(`/proc/${daemon}/fd/1`);
    assert.match(held, /^pipe:/);
    assert.ok(!await openFiles().then((files) => files.includes(held)));
  } finally {
    Deno.kill(daemon, "SIGKILL");
  }
});

Deno.test("output that nobody reads stops the command", async () => {
  const file = await Deno.makeTempFile();
  try {
    const script = `i=0; while [ $i -lt 50 ]; do
      head -c 65536 /dev/zero; i=$((i + 1)); echo $i >"${file}"
    done`;
    const command = createShellExecutor().start(script);
    const pieces = command.stdout[Symbol.asyncIterator]();
    let taken = 0;
    let pulls = 0;
    for (;;) {
      // All that is ahead of us is the pipe (64 KiB), one read and one write of the command.
      const ahead = Number(await Deno.readTextFile(file)) * 65_536 - taken;
      assert.ok(ahead <= 4 * 65_536, `${ahead} bytes ahead after ${pulls} pulls`);
      const { value, done } = await pieces.next();
      if (done) break;
      pulls++;
      taken += value.byteLength;
    }
    assert.equal(taken, 50 * 65_536);
    assert.equal(await command.status, 0);
    command.release();
  } finally {
    await Deno.remove(file);
  }
});
