import assert from "node:assert/strict";
import { type Conn, connPair, writeAll } from "../../lib/core/mod.ts";
import { MuxPortSession } from "../../lib/sandbox/agent/mux_session.ts";
import type { SessionResult } from "../../lib/sandbox/agent/session_kind.ts";
import { POOL_BYTES } from "../../lib/sandbox/agent/smux_server.ts";
import { DEFAULT_SWITCHES, type Switches } from "../../lib/sandbox/mod.ts";
import { Command, encodeFrame, type Frame, FrameParser } from "../../lib/smux/frame.ts";
import { Flag, MessageType, PayloadType } from "../../lib/ssm/constants.ts";
import { createMessage } from "../../lib/ssm/message.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const { Syn, Fin, Psh, Nop } = Command;
const encoder = new TextEncoder();
const hex = (text: string) => Uint8Array.from(text.match(/../g)!, (byte) => parseInt(byte, 16));

type Seen = string;

interface BenchOptions {
  readonly switches?: Partial<Switches>;
  readonly keepAlive?: boolean;
  readonly check?: () => void;
}

/** An agent's session without its data channel: frames in, messages out. */
class Bench {
  readonly clock = new FakeClock();
  readonly session: MuxPortSession;
  readonly messages: { type: number; payload: Uint8Array }[] = [];
  /** Dials under way, oldest first. */
  readonly dials: PromiseWithResolvers<Conn>[] = [];
  result: SessionResult | undefined;
  readonly done: Promise<void>;
  readonly #parser = new FrameParser(1);
  #parsed = 0;

  constructor({ switches, keepAlive = false, check = () => {} }: BenchOptions = {}) {
    this.session = new MuxPortSession({
      clock: this.clock,
      switches: { ...DEFAULT_SWITCHES, ...switches },
      keepAlive,
      check,
      dial: (signal) => {
        const dial = Promise.withResolvers<Conn>();
        signal.addEventListener("abort", () => dial.reject(signal.reason));
        this.dials.push(dial);
        return dial.promise;
      },
    });
    this.done = this.session.run({
      send: (type, payload) => void this.messages.push({ type, payload }),
      paused: false,
      ready: () => Promise.resolve(),
    }).then((result) => {
      this.result = result;
    });
  }

  /** A message of the client; false when it is not taken at once. */
  async send(payload: Uint8Array, payloadType: number = PayloadType.Output): Promise<boolean> {
    const taken = this.session.handle(createMessage({
      messageType: MessageType.InputStreamData,
      payloadType,
      payload,
    }));
    await settle();
    return await Promise.race([taken, Promise.resolve(false)]);
  }

  frame(command: Command, id: number, payload?: Uint8Array): Promise<boolean> {
    return this.send(encodeFrame(1, command, id, payload));
  }

  /** Answers the oldest dial. @returns the destination's end */
  async connect(): Promise<Conn> {
    const [near, far] = connPair();
    this.dials.shift()!.resolve(near);
    await settle();
    return far;
  }

  async refuse(): Promise<void> {
    this.dials.shift()!.reject(new Error("connect: connection refused"));
    await settle();
  }

  /** What has come out since the last look: frames and flags, in order. */
  seen(): Seen[] {
    const seen: Seen[] = [];
    const name = (frame: Frame) => {
      const [word] = Object.entries(Command).find(([, value]) => value === frame.command)!;
      const text = frame.payload.byteLength > 0
        ? ` ${new TextDecoder().decode(frame.payload)}`
        : "";
      return `${word} ${frame.streamId}${text}`;
    };
    for (const { type, payload } of this.messages.slice(this.#parsed)) {
      if (type === PayloadType.Flag) seen.push(`flag ${payload[3]}`);
      else for (const frame of this.#parser.push(payload)) seen.push(name(frame));
    }
    this.#parsed = this.messages.length;
    return seen;
  }

  async close(): Promise<void> {
    this.session.stop();
    await this.done;
    assert.equal(this.clock.pending, 0);
  }
}

async function text(conn: Conn, bytes: number): Promise<string> {
  const buffer = new Uint8Array(bytes);
  const n = await conn.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, n ?? 0));
}

Deno.test("a mux session carries the exchange of the protocol's example", async () => {
  const bench = new Bench();
  await settle();
  const request = "474554202f20485454502f312e300d0a0d0a";
  assert.ok(await bench.send(hex(`01000000030000000102120003000000${request}`)));
  const server = await bench.connect();
  assert.equal(await text(server, 100), "GET / HTTP/1.0\r\n\r\n");
  await writeAll(server, encoder.encode("HTTP/1.0 200 OK\r\n\r\nhi"));
  server.close();
  await settle();
  const output = bench.messages.map(({ payload }) => payload.toHex()).join("");
  assert.equal(
    output,
    "0102150003000000485454502f312e3020323030204f4b0d0a0d0a68690101000003000000",
  );
  assert.ok(await bench.frame(Fin, 3));
  assert.ok(await bench.frame(Syn, 5));
  assert.equal(bench.dials.length, 1, "the next stream");
  await bench.close();
  assert.deepEqual(bench.result, { succeeded: true, output: "" });
});

Deno.test("a mux session dials one stream after the other and flags a failure before its FIN", async () => {
  const bench = new Bench();
  await settle();
  for (const id of [3, 5, 7]) await bench.frame(Syn, id);
  await bench.frame(Psh, 7, encoder.encode("early"));
  assert.equal(bench.dials.length, 1, "the others wait");
  await bench.connect();
  assert.equal(bench.dials.length, 1);
  assert.deepEqual(bench.seen(), [], "there is no word of success");
  await bench.refuse();
  assert.deepEqual(bench.seen(), [`flag ${Flag.ConnectToPortError}`, "Fin 5"]);
  const third = await bench.connect();
  assert.equal(await text(third, 100), "early", "what came before the connection waited for it");
  await bench.close();
});

Deno.test("a FIN of the client cuts off the answer", async () => {
  const bench = new Bench();
  await settle();
  await bench.frame(Syn, 3);
  const server = await bench.connect();
  await bench.frame(Psh, 3, encoder.encode("question"));
  await bench.frame(Fin, 3);
  assert.equal(await text(server, 100), "question");
  assert.equal(await server.read(new Uint8Array(1)), null);
  await assert.rejects(writeAll(server, encoder.encode("answer")));
  assert.deepEqual(bench.seen(), ["Fin 3"]);
  await bench.frame(Psh, 3, encoder.encode("late"));
  await bench.frame(Syn, 3);
  assert.equal(bench.dials.length, 1, "the id of a closed stream may be used again");
  await bench.close();
});

Deno.test("a destination that reads nothing stops the whole session after 4 MiB", async () => {
  const bench = new Bench();
  await settle();
  await bench.frame(Syn, 3);
  const stalled = await bench.connect();
  await bench.frame(Syn, 5);
  const other = await bench.connect();
  const payload = new Uint8Array(65_528);
  let sent = 0;
  while (await bench.frame(Psh, 3, payload)) sent += payload.byteLength;
  // The pool, the connection's own 256 KiB, the socket before the multiplexer.
  assert.ok(sent >= POOL_BYTES, `${sent}`);
  assert.ok(sent < POOL_BYTES + 1024 * 1024, `${sent}`);
  // The message that did not go in is in the agent's hand: everything is behind it.
  void bench.frame(Psh, 5, encoder.encode("hello"));
  let heard = "";
  const listening = text(other, 100).then((words) => heard = words);
  await settle(50);
  assert.equal(heard, "", "a stream that has nothing to do with it stands still too");
  const sink = new Uint8Array(1024 * 1024);
  for (let read = 0; read < sent;) read += (await stalled.read(sink))!;
  await listening;
  assert.equal(heard, "hello", "once the destination reads, everything goes on");
  await bench.close();
});

Deno.test("a client's FIN does not free the pool of a destination that reads nothing", async () => {
  const bench = new Bench();
  await settle();
  await bench.frame(Syn, 3);
  const stalled = await bench.connect();
  await bench.frame(Syn, 5);
  await bench.connect();
  const payload = new Uint8Array(65_528);
  for (let sent = 0; sent < POOL_BYTES - 3 * payload.byteLength; sent += payload.byteLength) {
    assert.ok(await bench.frame(Psh, 3, payload));
  }
  await bench.frame(Fin, 3);
  assert.deepEqual(bench.seen(), [], "the agent has not got to the FIN");
  stalled.close();
  await settle();
  assert.deepEqual(bench.seen(), ["Fin 3"]);
  await bench.close();
});

Deno.test("a frame of another version ends the reading and nothing else", async () => {
  const bench = new Bench();
  await settle();
  await bench.send(hex("0200000003000000"));
  await bench.frame(Syn, 3);
  assert.equal(bench.dials.length, 0);
  assert.equal(bench.result, undefined, "the session hangs");
  await bench.close();
});

Deno.test("keep-alive sends a NOP every 10 s and ends a session that is silent for 30 s", async () => {
  const bench = new Bench({ keepAlive: true });
  await settle();
  await bench.clock.advance(10_000);
  assert.deepEqual(bench.seen(), ["Nop 0"]);
  await bench.frame(Nop, 0);
  await bench.clock.advance(20_000);
  assert.equal(bench.result, undefined);
  await bench.clock.advance(30_000);
  await bench.done;
  assert.deepEqual(bench.result, { succeeded: false, output: "" });
  await bench.close();
});

Deno.test("a mux session of a newer agent stays when it is silent", async () => {
  const bench = new Bench();
  await bench.clock.advance(600_000);
  assert.equal(bench.result, undefined);
  assert.deepEqual(bench.seen(), []);
  await bench.close();
});

Deno.test("a destination that may not be forwarded to ends the session with its text", async () => {
  const bench = new Bench({
    check: () => {
      throw new Error("lookup x on 10.0.0.2:53: no such host");
    },
  });
  await bench.done;
  assert.deepEqual(bench.result, {
    succeeded: false,
    output: "lookup x on 10.0.0.2:53: no such host",
  });
});

Deno.test("a TerminateSession flag ends a mux session, its streams and its connections", async () => {
  const bench = new Bench();
  await settle();
  await bench.frame(Syn, 3);
  const server = await bench.connect();
  await bench.send(new Uint8Array([0, 0, 0, Flag.TerminateSession]), PayloadType.Flag);
  await bench.done;
  assert.equal(await server.read(new Uint8Array(1)), null);
  assert.equal(bench.result?.succeeded, true);
});
