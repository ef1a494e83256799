import assert from "node:assert/strict";
import { type Conn, connPair, readAll, writeAll } from "../../lib/core/mod.ts";
import { BasicPortSession } from "../../lib/sandbox/agent/port_session.ts";
import type { SessionResult } from "../../lib/sandbox/agent/session_kind.ts";
import { AgentWorker } from "../../lib/sandbox/agent/worker.ts";
import { type Frame, frameOf } from "../../lib/sandbox/frame.ts";
import { DEFAULT_SWITCHES, type Switches } from "../../lib/sandbox/mod.ts";
import { Random } from "../../lib/sandbox/random.ts";
import { Flag, MessageType, PayloadType } from "../../lib/ssm/constants.ts";
import { createMessage } from "../../lib/ssm/message.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const encoder = new TextEncoder();
const text = (payload: Uint8Array) => new TextDecoder().decode(payload);

/** An agent with a TCP connection in memory, and a client that says what the test says. */
class Bench {
  readonly clock = new FakeClock();
  readonly sent: Frame[] = [];
  readonly worker: AgentWorker;
  /** The far end of the agent's TCP connection. */
  readonly server: Conn;
  readonly dialled: number[] = [];
  result: SessionResult | undefined;
  readonly done: Promise<void>;
  #sequence = 0;

  constructor(
    switches: Partial<Switches> = {},
    dial?: (port: number, signal: AbortSignal) => Promise<Conn>,
  ) {
    const [near, far] = connPair();
    this.server = far;
    const all = { ...DEFAULT_SWITCHES, ...switches };
    const properties = { portNumber: "22" };
    this.worker = new AgentWorker({
      sessionId: "sandbox-1",
      clock: this.clock,
      random: new Random(1),
      switches: all,
      agentVersion: "3.3.1142.0",
      properties,
      createSession: () =>
        new BasicPortSession({
          clock: this.clock,
          switches: all,
          properties,
          dial: dial ?? ((port) => {
            this.dialled.push(port);
            return Promise.resolve(near);
          }),
        }),
      transmit: (frame) => this.sent.push(frame),
      onDrain: () => {},
      onHandshake: () => {},
    });
    this.done = this.worker.run().then((result) => {
      this.result = result;
    });
  }

  output(payloadType: number) {
    return this.sent.map(({ message }) => message).filter((message) =>
      message.messageType === MessageType.OutputStreamData && message.payloadType === payloadType
    );
  }

  /** Sequence numbers that the agent acknowledged, in order. */
  get acknowledged(): number[] {
    return this.sent.filter(({ message }) => message.messageType === MessageType.Acknowledge)
      .map(({ message }) => JSON.parse(text(message.payload)).AcknowledgedMessageSequenceNumber);
  }

  async input(
    payloadType: number,
    payload: string | Uint8Array,
    sequenceNumber: number = this.#sequence++,
  ): Promise<void> {
    this.worker.receive(frameOf(createMessage({
      messageType: MessageType.InputStreamData,
      sequenceNumber,
      payloadType,
      payload: typeof payload === "string" ? encoder.encode(payload) : payload,
    })));
    await settle();
  }

  respond(fields: Record<string, unknown> = {}, sequenceNumber?: number): Promise<void> {
    const response = {
      ClientVersion: "1.2.707.0",
      ProcessedClientActions: [{ ActionType: "SessionType", ActionStatus: 1 }],
      ...fields,
    };
    return this.input(PayloadType.HandshakeResponse, JSON.stringify(response), sequenceNumber);
  }

  async message(messageType: string, payload: unknown = {}): Promise<void> {
    this.worker.receive(frameOf(createMessage({
      messageType,
      payload: encoder.encode(JSON.stringify(payload)),
    })));
    await settle();
  }

  acknowledge(...numbers: number[]): Promise<void[]> {
    return Promise.all(
      numbers.map((number) =>
        this.message(MessageType.Acknowledge, { AcknowledgedMessageSequenceNumber: number })
      ),
    );
  }

  /** The whole handshake, acknowledgements included. */
  async handshake(): Promise<void> {
    await settle();
    await this.acknowledge(0);
    await this.respond();
    await this.acknowledge(1);
  }

  async close(): Promise<void> {
    this.worker.close();
    this.server.close();
    await this.done;
    assert.equal(this.clock.pending, 0, "a timer is left");
  }
}

Deno.test("agent asks for a port session first, flagged SYN, with properties and no type", async () => {
  const bench = new Bench();
  await settle();
  const first = bench.sent[0]!.message;
  assert.equal(first.sequenceNumber, 0);
  assert.equal(first.flags, 1);
  assert.equal(
    text(first.payload),
    '{"AgentVersion":"3.3.1142.0","RequestedClientActions":[{"ActionType":"SessionType",' +
      '"ActionParameters":{"SessionType":"Port","Properties":{"portNumber":"22"}}}]}',
  );
  await bench.close();
});

Deno.test("agent repeats its HandshakeRequest until it is acknowledged", async () => {
  const bench = new Bench();
  await bench.clock.advance(1000);
  const before = bench.output(PayloadType.HandshakeRequest).length;
  assert.ok(before >= 3 && before <= 6, `${before} requests in a second`);
  await bench.acknowledge(0);
  await bench.clock.advance(1000);
  assert.equal(bench.output(PayloadType.HandshakeRequest).length, before);
  await bench.close();
});

Deno.test("agent completes the handshake and then connects", async () => {
  const bench = new Bench();
  await bench.acknowledge(0);
  await bench.clock.advance(40);
  await bench.respond();
  assert.deepEqual(bench.acknowledged, [0]);
  const [complete] = bench.output(PayloadType.HandshakeComplete);
  assert.equal(complete?.sequenceNumber, 1);
  assert.equal(complete?.flags, 0);
  assert.equal(
    text(complete!.payload),
    '{"HandshakeTimeToComplete":40000000,"CustomerMessage":""}',
  );
  assert.deepEqual(bench.dialled, [22]);
  await bench.close();
});

Deno.test("agent gives up after 15 s without a HandshakeResponse, and says so after its grace", async () => {
  const bench = new Bench();
  await bench.clock.advance(15_000);
  assert.equal(bench.result, undefined, "the request is not acknowledged yet");
  await bench.clock.advance(2000);
  assert.deepEqual(bench.result, {
    succeeded: false,
    output: "\n----------ERROR-------\nEncountered error while initiating handshake. " +
      "Handshake timed out. Please ensure that you have the latest version of the session " +
      "manager plugin.",
  });
  await bench.close();
});

Deno.test("agent ends the session when the client did not do as asked", async () => {
  const bench = new Bench();
  await settle();
  await bench.acknowledge(0);
  await bench.respond({
    ProcessedClientActions: [{ ActionType: "SessionType", ActionStatus: 3, Error: "what?" }],
  });
  await bench.done;
  assert.match(bench.result!.output, /SessionType failed on client with status 3 error: what\?$/);
  assert.deepEqual(bench.dialled, []);
  await bench.close();
});

Deno.test("agent acknowledges and throws away data that comes before HandshakeComplete", async () => {
  const bench = new Bench();
  await settle();
  await bench.input(PayloadType.Output, "too early");
  await bench.handshake();
  await bench.input(PayloadType.Output, "in time");
  assert.deepEqual(bench.acknowledged, [0, 1, 2]);
  assert.equal(bench.worker.counters.discarded, 1);
  const buffer = new Uint8Array(100);
  assert.equal(text(buffer.subarray(0, (await bench.server.read(buffer))!)), "in time");
  await bench.close();
});

Deno.test("agent can be told to refuse early data instead, and to survive a second response", async () => {
  const bench = new Bench({ discardEarly: false, deadlock: false });
  await settle();
  await bench.handshake();
  await bench.respond();
  await bench.input(PayloadType.Output, "goes on");
  assert.deepEqual(bench.acknowledged, [0, 1, 2]);
  await bench.close();
  const early = new Bench({ discardEarly: false });
  await settle();
  await early.input(PayloadType.Output, "too early");
  assert.deepEqual(early.acknowledged, []);
  assert.equal(early.worker.counters.refused, 1);
  await early.close();
});

Deno.test("a repeated HandshakeResponse is acknowledged again, one with a new number is the end", async () => {
  const bench = new Bench();
  await bench.handshake();
  await bench.respond({}, 0);
  assert.deepEqual(bench.acknowledged, [0, 0]);
  await bench.respond();
  await bench.input(PayloadType.Output, "nobody reads this");
  await bench.clock.advance(60_000);
  assert.deepEqual(bench.acknowledged, [0, 0], "the agent's reader is dead-locked");
  assert.ok(bench.worker.backlog > 0);
  await bench.close();
});

Deno.test("agent refuses data while it is not ready, and the repetition un-sticks it", async () => {
  const bench = new Bench({ refuseFirst: 300 });
  await bench.handshake();
  await bench.input(PayloadType.Output, "a", 1);
  await bench.input(PayloadType.Output, "b", 2);
  assert.deepEqual(bench.acknowledged, [0, 2]);
  assert.ok(bench.worker.counters.refused > 0);
  await bench.clock.advance(300);
  assert.deepEqual(bench.acknowledged, [0, 2], "nothing happens by itself");
  await bench.input(PayloadType.Output, "a", 1);
  assert.deepEqual(bench.acknowledged, [0, 2, 1]);
  const buffer = new Uint8Array(2);
  await bench.server.read(buffer);
  assert.equal(text(buffer), "ab");
  await bench.close();
});

Deno.test("agent cuts output at 1024 bytes and waits when too much is unacknowledged", async () => {
  const bench = new Bench({ unacknowledged: 4 });
  await bench.handshake();
  await writeAll(bench.server, new Uint8Array(10_000));
  await settle();
  const sizes = () => bench.output(PayloadType.Output).map(({ payload }) => payload.byteLength);
  assert.deepEqual(sizes(), [1024, 1024, 1024, 1024]);
  await bench.acknowledge(2, 3);
  assert.deepEqual(sizes(), new Array(6).fill(1024));
  await bench.close();
});

Deno.test("agent with pace sends one message a millisecond, however slow the client", async () => {
  const bench = new Bench({ pace: true });
  await bench.handshake();
  await writeAll(bench.server, new Uint8Array(100 * 1024));
  await bench.clock.advance(20);
  const { length } = bench.output(PayloadType.Output);
  assert.ok(length >= 20 && length <= 22, `${length} messages in 20 ms`);
  await bench.close();
});

Deno.test("pause_publication stops output until start, input or an acknowledgement", async () => {
  const bench = new Bench();
  await bench.handshake();
  const count = () => bench.output(PayloadType.Output).length;
  let expected = 0;
  const wakers = [
    () => bench.message(MessageType.StartPublication),
    () => bench.input(PayloadType.Output, "x"),
    () => bench.acknowledge(99),
  ];
  for (const wake of wakers) {
    await bench.message(MessageType.PausePublication);
    await writeAll(bench.server, new Uint8Array(10));
    await settle();
    // What was being read when the pause came is numbered and stored, but not sent.
    assert.equal(count(), expected);
    await wake();
    await bench.clock.advance(1200);
    await bench.acknowledge(...bench.output(PayloadType.Output).map((m) => m.sequenceNumber));
    assert.ok(count() > expected);
    expected = count();
  }
  await bench.close();
});

Deno.test("TerminateSession ends the session, its output first", async () => {
  const bench = new Bench();
  await bench.handshake();
  await writeAll(bench.server, encoder.encode("last words"));
  await settle();
  await bench.input(PayloadType.Flag, new Uint8Array([0, 0, 0, Flag.TerminateSession]));
  assert.equal(bench.result, undefined, "the output is not acknowledged");
  await bench.acknowledge(2);
  await bench.done;
  assert.deepEqual(bench.result, { succeeded: true, output: "" });
  assert.deepEqual(await readAll(bench.server), new Uint8Array());
  await bench.close();
});

Deno.test("DisconnectToPort closes the connection and with it the session", async () => {
  const bench = new Bench();
  await bench.handshake();
  await bench.input(PayloadType.Flag, new Uint8Array([0, 0, 0, Flag.DisconnectToPort]));
  await bench.done;
  assert.equal(bench.result?.output, "");
  await bench.close();
});

Deno.test("the server's end of input ends the session after at most 2 s", async () => {
  const bench = new Bench();
  await bench.handshake();
  await writeAll(bench.server, encoder.encode("bye"));
  await bench.server.closeWrite();
  await bench.clock.advance(1999);
  assert.equal(bench.result, undefined);
  await bench.clock.advance(1);
  assert.deepEqual(bench.result, { succeeded: true, output: "" });
  await bench.close();
});

Deno.test("a port that refuses ends the session with the agent's words", async () => {
  const bench = new Bench({}, () => Promise.reject(new Error("dial tcp 127.0.0.1:22: refused")));
  await bench.handshake();
  await bench.done;
  assert.deepEqual(bench.result, {
    succeeded: false,
    output: "Unable to connect to specified port: dial tcp 127.0.0.1:22: refused",
  });
  await bench.close();
});

Deno.test("a stopped worker leaves no connection behind, even one that was still being made", async () => {
  const dialling = Promise.withResolvers<Conn>();
  const bench = new Bench({}, () => dialling.promise);
  await bench.handshake();
  bench.worker.close();
  const [near, far] = connPair();
  dialling.resolve(near);
  await bench.done;
  assert.equal(await far.read(new Uint8Array(1)), null);
  await bench.close();
});

Deno.test("a destination that does not read holds back everything behind it", async () => {
  const bench = new Bench();
  await bench.handshake();
  const block = new Uint8Array(64 * 1024);
  for (let i = 0; i < 8; i++) await bench.input(PayloadType.Output, block);
  const before = bench.acknowledged.length;
  assert.ok(before < 9, "the pipe holds 256 KiB only");
  assert.ok(bench.worker.backlog > 0);
  const buffer = new Uint8Array(64 * 1024);
  for (let i = 0; i < 8; i++) {
    await bench.server.read(buffer);
    await settle();
  }
  assert.equal(bench.acknowledged.length, 9);
  assert.equal(bench.worker.backlog, 0);
  await bench.close();
});

Deno.test("garbage in a HandshakeResponse or an acknowledgement does not stop the agent", async () => {
  const bench = new Bench();
  await settle();
  await bench.input(PayloadType.HandshakeResponse, "{", 0);
  await bench.input(PayloadType.HandshakeResponse, "null", 0);
  assert.deepEqual(bench.acknowledged, []);
  bench.worker.receive(frameOf(createMessage({
    messageType: MessageType.Acknowledge,
    payload: encoder.encode("{"),
  })));
  await bench.message("never_heard_of");
  await bench.handshake();
  assert.deepEqual(bench.dialled, [22]);
  await bench.close();
});
