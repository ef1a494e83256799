import assert from "node:assert/strict";
import { type Frame, frameOf } from "../../lib/sandbox/frame.ts";
import { FaultPipe } from "../../lib/sandbox/gateway/fault_pipe.ts";
import { channelClosed, publication } from "../../lib/sandbox/gateway/service_messages.ts";
import { DEFAULT_SWITCHES, type Switches } from "../../lib/sandbox/mod.ts";
import { Random } from "../../lib/sandbox/random.ts";
import { createMessage, decodeMessage } from "../../lib/ssm/message.ts";
import { FakeClock } from "../support/fake_clock.ts";

function frame(sequenceNumber: number, bytes = 1): Frame {
  return frameOf(createMessage({
    messageType: "output_stream_data",
    sequenceNumber,
    payloadType: 1,
    payload: new Uint8Array(bytes),
  }));
}

function pipe(faults: Partial<Switches>, seed = 1) {
  const clock = new FakeClock();
  const got: number[] = [];
  const tube = new FaultPipe({
    clock,
    random: new Random(seed),
    switches: () => ({ ...DEFAULT_SWITCHES, ...faults }),
    deliver: ({ message }) => got.push(message.sequenceNumber),
  });
  const push = (count: number) => {
    for (let i = 0; i < count; i++) tube.push(frame(i));
  };
  return { clock, got, push, tube };
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

Deno.test("FaultPipe passes everything at once and in order without faults", () => {
  const { got, push, clock } = pipe({});
  push(100);
  assert.deepEqual(got, numbers(100));
  assert.equal(clock.pending, 0);
});

Deno.test("FaultPipe drops and doubles about as many as it should", () => {
  const lossy = pipe({ drop: 0.1 });
  lossy.push(1000);
  assert.equal(lossy.got.length, 1000 - lossy.tube.counters.dropped);
  assert.ok(lossy.tube.counters.dropped > 60 && lossy.tube.counters.dropped < 140);
  const doubling = pipe({ duplicate: 0.1 });
  doubling.push(1000);
  assert.equal(doubling.got.length, 1000 + doubling.tube.counters.duplicated);
  assert.equal(new Set(doubling.got).size, 1000);
});

Deno.test("FaultPipe reorders without loss, by three places at most", async () => {
  const { clock, got, push, tube } = pipe({ reorder: 0.2 });
  push(1000);
  await clock.advance(20);
  assert.deepEqual(got.toSorted((a, b) => a - b), numbers(1000));
  assert.notDeepEqual(got, numbers(1000));
  assert.ok(tube.counters.reordered > 100);
  assert.equal(clock.pending, 0);
});

Deno.test("FaultPipe delays without changing the order", async () => {
  const { clock, got, push, tube } = pipe({ delay: 0.5, delayTime: 10 });
  push(100);
  assert.ok(got.length < 100);
  assert.ok(tube.waitingBytes > 0);
  await clock.advance(1000);
  assert.deepEqual(got, numbers(100));
  assert.equal(tube.waitingBytes, 0);
});

Deno.test("FaultPipe keeps to its rate", async () => {
  const size = frame(0, 880).bytes.byteLength;
  assert.equal(size, 1000);
  const { clock, got, tube } = pipe({ rate: 10_000 });
  for (let i = 0; i < 20; i++) tube.push(frame(i, 880));
  await clock.advance(1000);
  assert.equal(got.length, 10);
  await clock.advance(1000);
  assert.deepEqual(got, numbers(20));
});

Deno.test("FaultPipe lets each message take its time, however many are on their way", async () => {
  const { clock, got, push } = pipe({ latency: 20 });
  push(100);
  await clock.advance(19);
  assert.deepEqual(got, []);
  await clock.advance(1);
  assert.deepEqual(got, numbers(100));
});

Deno.test("FaultPipe loses what it holds when it is cleared", async () => {
  const { clock, got, push, tube } = pipe({ reorder: 0.5, delay: 0.5 });
  push(50);
  const before = got.length;
  tube.clear();
  assert.equal(clock.pending, 0);
  assert.equal(tube.waitingBytes, 0);
  await clock.advance(1000);
  assert.equal(got.length, before);
});

Deno.test("FaultPipe never touches messages that nobody repeats", () => {
  const clock = new FakeClock();
  let delivered = 0;
  const tube = new FaultPipe({
    clock,
    random: new Random(1),
    switches: () => ({ ...DEFAULT_SWITCHES, drop: 1, duplicate: 1, reorder: 1, delay: 1 }),
    deliver: () => delivered++,
  });
  tube.push(publication("pause_publication", "plain", { messageId: crypto.randomUUID(), now: 1 }));
  assert.equal(delivered, 1);
  tube.push(frame(0));
  assert.equal(delivered, 1);
});

Deno.test("FaultPipe does the same again with the same seed", () => {
  const faults = { drop: 0.1, duplicate: 0.1, reorder: 0.1 };
  const run = (seed: number) => {
    const { got, push, tube } = pipe(faults, seed);
    push(300);
    tube.clear();
    return got;
  };
  assert.deepEqual(run(4), run(4));
  assert.notDeepEqual(run(4), run(5));
});

Deno.test("channel_closed has the fields of the real one", () => {
  const { bytes } = channelClosed({
    messageId: "11223344-5566-4788-99aa-bbccddeeff00",
    now: Date.UTC(2025, 0, 2, 3, 4, 5),
    sessionId: "sandbox-1",
    destinationId: "i-1",
    output: "why",
  });
  const message = decodeMessage(bytes);
  assert.equal(message.messageType, "channel_closed");
  assert.deepEqual(JSON.parse(new TextDecoder().decode(message.payload)), {
    MessageType: "channel_closed",
    MessageId: "11223344-5566-4788-99aa-bbccddeeff00",
    DestinationId: "i-1",
    SessionId: "sandbox-1",
    SchemaVersion: 1,
    CreatedDate: "2025-01-02T03:04:05.000Z",
    Output: "why",
  });
});

Deno.test("publications come with a plain or with an all-zero header", () => {
  const fields = { messageId: crypto.randomUUID(), now: 1_700_000_000_000 };
  // Schema version, creation date, sequence number and flags.
  const header = (bytes: Uint8Array) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return [view.getUint32(36), ...[40, 48, 56].map((at) => Number(view.getBigUint64(at)))];
  };
  const plain = publication("start_publication", "plain", fields).bytes;
  assert.deepEqual(header(plain), [1, fields.now, 0, 3]);
  const bare = publication("start_publication", "bare", fields).bytes;
  assert.deepEqual(header(bare), [0, 0, 0, 0]);
  for (const bytes of [plain, bare]) {
    assert.equal(bytes.byteLength, 120);
    assert.equal(decodeMessage(bytes).messageType, "start_publication");
  }
});
