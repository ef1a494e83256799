import assert from "node:assert/strict";
import { AwsocksError, type Conn, connPair } from "../../lib/core/mod.ts";
import {
  createGuestLink,
  type Machine,
  type MachineExit,
  type MachineState,
} from "../../lib/vm/mod.ts";
import { ConsoleBuffer } from "../../lib/vm/console_log.ts";
import { createMemoryVsock, type VsockListener } from "../../lib/vsock/mod.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const PORT = 50_000;

/** A machine in memory. */
class FakeMachine implements Machine {
  readonly engine = "memory";
  readonly console = new ConsoleBuffer();
  state: MachineState = "stopped";
  starts = 0;
  closed = false;
  grace: number | undefined;
  startError: Error | undefined;
  readonly #vsock = createMemoryVsock();
  #exit = Promise.withResolvers<MachineExit>();

  get exited(): Promise<MachineExit> {
    return this.#exit.promise;
  }

  start(): Promise<void> {
    if (this.startError) return Promise.reject(this.startError);
    this.starts++;
    this.#exit = Promise.withResolvers();
    this.state = "running";
    return Promise.resolve();
  }

  stop({ grace }: { grace?: number } = {}): Promise<void> {
    this.grace = grace;
    this.end("stopped", { orderly: true, reason: "QEMU was ended by SIGTERM" });
    return Promise.resolve();
  }

  end(state: MachineState, exit: MachineExit): void {
    this.state = state;
    this.#exit.resolve(exit);
  }

  listen(port: number): Promise<VsockListener> {
    return this.#vsock.listenVsock({ kind: "vsock", cid: 2, port });
  }

  connect(): Promise<Conn> {
    return Promise.resolve(connPair()[0]);
  }

  /** Connects from the guest. */
  call(): Promise<Conn> {
    return this.#vsock.connectVsock({ kind: "vsock", cid: 2, port: PORT });
  }

  onEvent(): () => void {
    return () => {};
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

function linkOf(machine: FakeMachine) {
  const clock = new FakeClock();
  const link = createGuestLink({ machine, port: PORT, silence: 30_000, clock });
  return { clock, link, signal: new AbortController().signal };
}

const failed = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof AwsocksError);
  assert.equal(error.code, "vm-failed");
  assert.match(error.message, message);
  return true;
};

const crash: MachineExit = { orderly: false, reason: "QEMU was ended by SIGKILL" };

Deno.test("accept() starts the machine and hands out the guest's connections", async () => {
  const machine = new FakeMachine();
  const { link, signal } = linkOf(machine);
  for (let i = 0; i < 2; i++) {
    const accepted = link.accept({ signal });
    await settle();
    const guest = await machine.call();
    const host = await accepted;
    await guest.write(new Uint8Array([7]));
    const byte = new Uint8Array(1);
    assert.equal(await host.read(byte), 1);
    assert.equal(byte[0], 7);
    host.close();
    guest.close();
  }
  assert.equal(machine.starts, 1);
  await link.close();
  await link.close();
  assert.ok(machine.closed);
  assert.ok(machine.grace! > 0);
});

Deno.test("accept() fails with the machine's end and its last words, and starts it anew", async () => {
  const machine = new FakeMachine();
  const { link, signal } = linkOf(machine);
  const accepted = link.accept({ signal });
  await settle();
  machine.console.push("serial", new TextEncoder().encode("Out of memory\n"));
  machine.end("crashed", crash);
  await assert.rejects(accepted, failed(/ended: QEMU was ended by SIGKILL; .*: Out of memory$/));
  const again = link.accept({ signal });
  await settle();
  const guest = await machine.call();
  (await again).close();
  guest.close();
  assert.equal(machine.starts, 2);
  await link.close();
});

Deno.test("a guest that does not connect in time is stopped", async () => {
  const machine = new FakeMachine();
  const { clock, link, signal } = linkOf(machine);
  const accepted = link.accept({ signal });
  await settle();
  await clock.advance(29_999);
  assert.equal(machine.state, "running");
  const rejected = assert.rejects(accepted, failed(/its guest has not connected within 30 s/));
  await clock.advance(1);
  await rejected;
  assert.equal(machine.state, "stopped");
  await link.close();
});

Deno.test("silence counts from the end of the last connection", async () => {
  const machine = new FakeMachine();
  const { clock, link, signal } = linkOf(machine);
  const take = async () => {
    const accepted = link.accept({ signal });
    await settle();
    const guest = await machine.call();
    return { guest, host: await accepted };
  };
  const first = await take();
  const second = await take();
  await clock.advance(3_600_000);
  first.host.close();
  first.host.close(); // counts once
  await clock.advance(60_000);
  assert.equal(machine.state, "running");
  const waiting = assert.rejects(link.accept({ signal }), failed(/has not connected/));
  second.host.close();
  await clock.advance(29_999);
  assert.equal(machine.state, "running");
  await clock.advance(1);
  await waiting;
  for (const { guest } of [first, second]) guest.close();
  await link.close();
});

Deno.test("accept() gives up with its signal, and the machine runs on", async () => {
  const machine = new FakeMachine();
  const { link } = linkOf(machine);
  const abort = new AbortController();
  const accepted = link.accept({ signal: abort.signal });
  await settle();
  const reason = new AwsocksError("backend-closed", "The proxy is stopping");
  abort.abort(reason);
  await assert.rejects(accepted, reason);
  assert.equal(machine.state, "running");
  machine.end("crashed", crash); // nobody waits: no stray rejection
  await settle();
  await link.close();
});

Deno.test("a machine that does not start fails accept() as it is", async () => {
  const machine = new FakeMachine();
  machine.startError = new AwsocksError("vm-unavailable", "No QEMU");
  const { link, signal } = linkOf(machine);
  await assert.rejects(link.accept({ signal }), machine.startError);
  await link.close();
});
