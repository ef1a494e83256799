import assert from "node:assert/strict";
import { type Conn, connPair, isAwsocksError } from "../../lib/core/mod.ts";
import { FrameType, runVsockClient, type VsockClientOptions } from "../../lib/exec/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";
import { FakeExecutor, FrameHost } from "./support.ts";

const { Command, Stdin } = FrameType;

/** A client on commands that the test plays, and its host. */
function start(options: VsockClientOptions = {}, wrap: (conn: Conn) => Conn = (conn) => conn) {
  const [near, far] = connPair();
  const executor = new FakeExecutor();
  const clock = new FakeClock();
  const result = runVsockClient(wrap(near), { executor, clock, ...options });
  result.catch(() => {});
  return { host: new FrameHost(far), executor, clock, result };
}

function fails(code: "exec-closed" | "exec-protocol-error") {
  return (error: unknown) => isAwsocksError(error, code) && error.message !== "";
}

Deno.test("single: one command, its output, its status, the end", async () => {
  const { host, executor, result, clock } = start();
  await host.send(Command, "uname");
  const command = await executor.command(0);
  assert.equal(command.text, "uname");
  command.print("Linux\n");
  assert.equal(await host.next(), "1:Linux\n"); // while it runs
  command.exit(3);
  assert.equal(await host.next(), "exit:3");
  assert.equal(await host.next(), null);
  host.conn.close();
  assert.deepEqual(await result, { commands: 1, status: 3 });
  assert.ok(command.released);
  assert.ok(!command.killed);
  assert.equal(clock.pending, 0);
});

Deno.test("single: a second command is not run", async () => {
  const { host, executor, result } = start();
  await host.send(Command, "one");
  await host.send(Command, "two");
  (await executor.command(0)).exit(0);
  assert.deepEqual(await host.rest(), ["exit:0"]);
  host.conn.close();
  assert.deepEqual(await result, { commands: 1, status: 0 });
  assert.equal(executor.started.length, 1);
});

Deno.test("single: a host that leaves without a command is an error", async () => {
  const { host, result } = start();
  host.conn.close();
  await assert.rejects(result, fails("exec-closed"));
});

Deno.test("persistent: commands until the host closes", async () => {
  const { host, executor, result } = start({ persistent: true });
  for (const status of [0, 7, 255]) {
    await host.send(Command, `exit ${status}`);
    (await executor.command(executor.started.length)).exit(status);
    assert.equal(await host.next(), `exit:${status}`);
  }
  host.conn.close();
  assert.deepEqual(await result, { commands: 3, status: 255 });
});

Deno.test("persistent: a host that leaves without a command is none", async () => {
  const { host, result } = start({ persistent: true });
  await host.conn.closeWrite();
  assert.deepEqual(await result, { commands: 0, status: undefined });
  assert.equal(await host.next(), null);
});

Deno.test("input reaches the command, and an empty frame is its end", async () => {
  const { host, executor, result } = start();
  await host.send(Command, "cat");
  await host.send(Stdin, "a");
  await host.send(Stdin, "bc");
  await host.send(Stdin);
  await host.send(Stdin, "too late");
  await host.send(Stdin);
  const command = await executor.command(0);
  await settle();
  const text = command.input.map((data) => data && new TextDecoder().decode(data));
  assert.deepEqual(text, ["a", "bc", null]);
  command.exit(0);
  assert.deepEqual(await host.rest(), ["exit:0"]);
  host.conn.close();
  await result;
});

Deno.test("input before a command and after its end is dropped", async () => {
  const { host, executor, result } = start({ persistent: true });
  await host.send(Stdin, "early");
  await host.send(Stdin);
  await host.send(Command, "one");
  const one = await executor.command(0);
  one.exit(0);
  assert.equal(await host.next(), "exit:0");
  await host.send(Stdin, "late");
  await host.send(Command, "two");
  await host.send(Stdin, "mine");
  const two = await executor.command(1);
  await settle();
  assert.deepEqual(one.input, []);
  assert.deepEqual(two.input, [new TextEncoder().encode("mine")]);
  two.exit(0);
  assert.equal(await host.next(), "exit:0");
  host.conn.close();
  await result;
});

Deno.test("a command that comes while another runs waits for it, and ends its input", async () => {
  const { host, executor, result } = start({ persistent: true });
  await host.send(Command, "one");
  await host.send(Stdin, "first");
  await host.send(Command, "two");
  await host.send(Stdin, "second");
  const one = await executor.command(0);
  await settle();
  assert.deepEqual(one.input, [new TextEncoder().encode("first"), null]);
  assert.equal(executor.started.length, 1);
  one.exit(1);
  const two = await executor.command(1);
  await settle();
  assert.deepEqual(two.input, [new TextEncoder().encode("second")]);
  two.exit(2);
  assert.equal(await host.next(), "exit:1");
  assert.equal(await host.next(), "exit:2");
  host.conn.close();
  assert.deepEqual(await result, { commands: 2, status: 2 });
});

Deno.test("commands that came before a half-close are all run", async () => {
  const { host, executor, result } = start({ persistent: true });
  executor.prepare = (command) => {
    command.print(command.text);
    command.exit(0);
  };
  for (const text of ["one", "two", "three"]) await host.send(Command, text);
  await host.conn.closeWrite();
  assert.deepEqual(await host.rest(), ["1:one", "exit:0", "1:two", "exit:0", "1:three", "exit:0"]);
  assert.deepEqual(await result, { commands: 3, status: 0 });
});

Deno.test("a half-close is the end of input, and no reason to stop the command", async () => {
  const { host, executor, clock, result } = start();
  await host.send(Command, "cat");
  await host.conn.closeWrite();
  const command = await executor.command(0);
  await clock.advance(60_000);
  assert.deepEqual(command.input, [null]);
  command.print("still there");
  command.exit(0);
  assert.deepEqual(await host.rest(), ["1:still there", "exit:0"]);
  assert.deepEqual(await result, { commands: 1, status: 0 });
  assert.ok(!command.killed);
  assert.equal(clock.pending, 0);
});

Deno.test("a host that is gone ends a command that says nothing", async () => {
  for (const persistent of [false, true]) {
    const { host, executor, clock, result } = start({ persistent });
    await host.send(Command, "sleep 1000");
    const command = await executor.command(0);
    host.conn.close();
    await clock.advance(1000);
    await assert.rejects(result, fails("exec-closed"));
    assert.ok(command.killed);
    assert.equal(clock.pending, 0);
  }
});

Deno.test("a host that is gone while it is held back ends the command", async () => {
  let gone = false;
  const { host, executor, clock, result } = start({}, (conn) => ({
    ...conn,
    // As TCP: what is unread hides the end, only writing shows it.
    write: (data) =>
      gone ? Promise.reject(new Deno.errors.ConnectionReset("reset")) : conn.write(data),
  }));
  const never = Promise.withResolvers<void>();
  executor.prepare = (command) => command.block = never.promise;
  await host.send(Command, "sleep 1000");
  const flood = host.send(Stdin, new Uint8Array(4_000_000));
  flood.catch(() => {});
  const command = await executor.command(0);
  await clock.advance(30_000);
  assert.ok(!command.killed);
  gone = true;
  await clock.advance(6_000);
  await assert.rejects(result, fails("exec-closed"));
  assert.ok(command.killed);
  never.resolve();
  await assert.rejects(flood, Deno.errors.BrokenPipe);
  assert.equal(clock.pending, 0);
});

Deno.test("a connection that fails ends the command", async () => {
  const failure = Promise.withResolvers<number | null>();
  const { host, executor, result } = start({}, (conn) => {
    let reads = 0;
    return { ...conn, read: (into) => reads++ === 0 ? conn.read(into) : failure.promise };
  });
  await host.send(Command, "sleep 1000");
  const command = await executor.command(0);
  failure.reject(new Deno.errors.ConnectionReset("reset by peer"));
  await assert.rejects(result, fails("exec-closed"));
  assert.ok(command.killed);
});

Deno.test("a reset between commands is the host's way to close", async () => {
  const failure = Promise.withResolvers<number | null>();
  const { result } = start({ persistent: true }, (conn) => ({
    ...conn,
    read: () => failure.promise,
  }));
  failure.reject(new Deno.errors.ConnectionReset("reset by peer"));
  assert.deepEqual(await result, { commands: 0, status: undefined });
});

Deno.test("what a host may not send closes the connection and ends the command", async () => {
  const frames: Uint8Array[] = [
    ...[1, 2, 4, 5, 0x41, 255].map((type) => new Uint8Array([type, 0, 0])),
    new Uint8Array([1, 1, 0, 65]),
  ];
  for (const bytes of frames) {
    for (const running of [false, true]) {
      const { host, executor, result } = start({ persistent: true });
      if (running) {
        await host.send(Command, "sleep 1000");
        await executor.command(0);
      }
      await host.conn.write(bytes);
      assert.equal(await host.next(), null);
      await assert.rejects(result, fails("exec-protocol-error"), `${bytes}`);
      assert.equal(executor.started[0]?.killed, running ? true : undefined);
    }
  }
});

Deno.test("a connection that ends within a frame is an error", async () => {
  const { host, executor, result } = start();
  await host.send(Command, "cat");
  const command = await executor.command(0);
  await host.conn.write(new Uint8Array([3, 200, 0, 1, 2]));
  await host.conn.closeWrite();
  await assert.rejects(result, fails("exec-protocol-error"));
  assert.ok(command.killed);
});

Deno.test("a command that is too long closes the connection, the longest is run", async () => {
  const { host, executor, result } = start({ maxCommandBytes: 100, persistent: true });
  await host.send(Command, "x".repeat(100));
  (await executor.command(0)).exit(0);
  assert.equal(await host.next(), "exit:0");
  await host.send(Command, "x".repeat(101));
  assert.equal(await host.next(), null);
  await assert.rejects(result, fails("exec-protocol-error"));
  assert.equal(executor.started.length, 1);
});

Deno.test("a command that no process can be given has status 126", async () => {
  for (const bytes of [new Uint8Array([0x6c, 0xff]), new Uint8Array([0x6c, 0, 0x73])]) {
    const { host, executor, result } = start({ persistent: true });
    await host.send(Command, bytes);
    assert.match(await host.next() ?? "", /^2:vsock-client: The command /);
    assert.equal(await host.next(), "exit:126");
    host.conn.close();
    assert.deepEqual(await result, { commands: 1, status: 126 });
    assert.equal(executor.started.length, 0);
  }
});

Deno.test("a host that does not read stops the command's output, not memory", async () => {
  const { host, executor, result } = start();
  const piece = new Uint8Array(65_535).fill(0x79);
  executor.prepare = (command) => command.endless = piece;
  await host.send(Command, "yes");
  const command = await executor.command(0);
  await settle(50);
  const pulls = command.pulls;
  assert.ok(pulls > 0 && pulls <= 6, `${pulls} pieces`); // 256 KiB, and the one that waits
  await settle(50);
  assert.equal(command.pulls, pulls);
  for (let i = 0; i < 20; i++) assert.equal((await host.next())?.length, 2 + piece.byteLength);
  assert.ok(command.pulls > 19);
  host.conn.close();
  await assert.rejects(result, fails("exec-closed"));
  assert.ok(command.killed);
});

Deno.test("a command that does not read stops the host, not memory", async () => {
  const { host, executor, clock, result } = start();
  const release = Promise.withResolvers<void>();
  executor.prepare = (command) => command.block = release.promise;
  await host.send(Command, "sleep 1000");
  let sent = 0;
  const piece = new Uint8Array(65_535);
  const feeding = (async () => {
    for (; sent < 100; sent++) await host.send(Stdin, piece);
    await host.send(Stdin);
  })();
  const command = await executor.command(0);
  await settle(50);
  assert.ok(sent < 16, `${sent} pieces`); // 256 KiB here, 256 KiB in the connection, rests
  const before = sent;
  await settle(50);
  assert.equal(sent, before);
  release.resolve();
  await feeding;
  while (command.input.at(-1) !== null) await settle();
  const bytes = command.input.reduce((sum, data) => sum + (data?.byteLength ?? 0), 0);
  assert.equal(bytes, 100 * piece.byteLength);
  command.exit(0);
  assert.deepEqual(await host.rest(), ["exit:0"]);
  host.conn.close();
  await result;
  assert.equal(clock.pending, 0);
});

Deno.test("the signal ends the session and the command", async () => {
  for (const running of [false, true]) {
    const controller = new AbortController();
    const { host, executor, result } = start({ signal: controller.signal, persistent: true });
    if (running) {
      await host.send(Command, "sleep 1000");
      await executor.command(0);
    }
    controller.abort(new DOMException("Stopped", "AbortError"));
    await assert.rejects(result, { name: "AbortError" });
    assert.equal(executor.started[0]?.killed, running ? true : undefined);
    assert.equal(await host.next(), null);
  }
});

Deno.test("a signal that was aborted before lets nothing run", async () => {
  const { host, executor, result } = start({ signal: AbortSignal.abort(new Error("before")) });
  await assert.rejects(result, /before/);
  await assert.rejects(host.send(Command, "ls"), Deno.errors.BrokenPipe);
  assert.equal(executor.started.length, 0);
});

Deno.test("at the end a silent host is waited for 200 ms, a talking one for 5 s", async () => {
  {
    const { host, executor, clock, result } = start();
    await host.send(Command, "true");
    (await executor.command(0)).exit(0);
    assert.deepEqual(await host.rest(), ["exit:0"]);
    await clock.advance(199);
    assert.equal(clock.pending, 1);
    await clock.advance(1);
    assert.deepEqual(await result, { commands: 1, status: 0 });
  }
  {
    const { host, executor, clock, result } = start();
    await host.send(Command, "true");
    (await executor.command(0)).exit(0);
    assert.deepEqual(await host.rest(), ["exit:0"]);
    for (let i = 0; i < 49; i++) {
      await host.send(Stdin, "more");
      await clock.advance(100);
    }
    assert.equal(clock.pending, 1);
    await host.send(Stdin, "more");
    await clock.advance(200);
    assert.deepEqual(await result, { commands: 1, status: 0 });
  }
});
