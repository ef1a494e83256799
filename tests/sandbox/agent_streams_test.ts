import assert from "node:assert/strict";
import { Incoming } from "../../lib/sandbox/agent/incoming.ts";
import { Outgoing } from "../../lib/sandbox/agent/outgoing.ts";
import { RoundTripEstimate } from "../../lib/sandbox/agent/rtt.ts";
import type { Frame } from "../../lib/sandbox/frame.ts";
import { Random } from "../../lib/sandbox/random.ts";
import { type ClientMessage, createMessage } from "../../lib/ssm/message.ts";
import { FakeClock } from "../support/fake_clock.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("RoundTripEstimate starts at 200 ms and takes 152.5 ms after a first sample of 40 ms", () => {
  const estimate = new RoundTripEstimate();
  assert.equal(estimate.timeout, 200);
  estimate.sample(40);
  assert.equal(estimate.timeout, 152.5);
});

Deno.test("RoundTripEstimate keeps a margin of 10 ms and a limit of 1 s", () => {
  const steady = new RoundTripEstimate();
  for (let i = 0; i < 500; i++) steady.sample(30);
  assert.ok(Math.abs(steady.timeout - 40) < 0.01, `${steady.timeout}`);
  const slow = new RoundTripEstimate();
  for (let i = 0; i < 20; i++) slow.sample(5000);
  assert.equal(slow.timeout, 1000);
});

function outgoing(resendTick = 100) {
  const clock = new FakeClock();
  const sent: Frame[] = [];
  const stream = new Outgoing({
    clock,
    random: new Random(1),
    resendTick,
    transmit: (frame) => sent.push(frame),
  });
  const numbers = () => sent.map((frame) => frame.message.sequenceNumber);
  return { clock, sent, stream, numbers };
}

Deno.test("Outgoing numbers from 0 and flags only the first message", () => {
  const { sent, stream, numbers } = outgoing();
  for (const text of ["a", "", "b", "c"]) stream.send(1, bytes(text));
  assert.deepEqual(numbers(), [0, 1, 2]);
  assert.deepEqual(sent.map((frame) => frame.message.flags), [1, 0, 0]);
  stream.close();
});

Deno.test("Outgoing repeats the oldest message only, byte for byte, and without end", async () => {
  const { clock, sent, stream, numbers } = outgoing();
  stream.send(1, bytes("a"));
  stream.send(1, bytes("b"));
  await clock.advance(200);
  assert.deepEqual(numbers(), [0, 1], "200 ms are not more than the time-out of 200 ms");
  await clock.advance(100);
  assert.deepEqual(numbers(), [0, 1, 0]);
  assert.equal(sent[2], sent[0]);
  await clock.advance(60_000);
  assert.equal(sent.length, 3 + 200);
  assert.deepEqual(new Set(numbers().slice(2)), new Set([0]));
  stream.acknowledge(0);
  await clock.advance(1100);
  assert.equal(numbers().at(-1), 1, "the next oldest follows");
  assert.equal(stream.retransmissions, sent.length - 2);
  stream.close();
  assert.equal(clock.pending, 0);
});

Deno.test("Outgoing stores but does not send while paused", async () => {
  const { clock, stream, numbers } = outgoing();
  stream.paused = true;
  stream.send(1, bytes("a"));
  stream.send(1, bytes("b"));
  await clock.advance(5000);
  assert.deepEqual(numbers(), []);
  stream.paused = false;
  await clock.advance(100);
  assert.deepEqual(numbers(), [0], "what was stored goes out one by one, as repetitions do");
  stream.close();
});

Deno.test("Outgoing.ready() and flushed() wait for acknowledgements", async () => {
  const { clock, stream } = outgoing();
  stream.send(1, bytes("a"));
  stream.send(1, bytes("b"));
  let ready = false;
  const waiting = stream.ready(2).then(() => ready = true);
  await clock.advance(10);
  assert.equal(ready, false);
  stream.acknowledge(1);
  await waiting;
  const flushed = stream.flushed(2000);
  stream.acknowledge(0);
  await flushed;
  stream.send(1, bytes("c"));
  let expired = false;
  const late = stream.flushed(2000).then(() => expired = true);
  await clock.advance(1999);
  assert.equal(expired, false);
  await clock.advance(1);
  await late;
  stream.close();
});

function message(sequenceNumber: number): ClientMessage {
  return createMessage({
    messageType: "input_stream_data",
    sequenceNumber,
    payloadType: 1,
    payload: bytes(String(sequenceNumber)),
  });
}

function incoming({ reacknowledge = true } = {}) {
  const acknowledged: number[] = [];
  const consumed: number[] = [];
  const state = { ready: true };
  const stream = new Incoming({
    reacknowledge,
    acknowledge: ({ sequenceNumber }) => acknowledged.push(sequenceNumber),
    consume: ({ sequenceNumber }) => {
      if (state.ready) consumed.push(sequenceNumber);
      return state.ready;
    },
  });
  const receive = async (...numbers: number[]) => {
    for (const number of numbers) await stream.receive(message(number));
  };
  return { acknowledged, consumed, receive, state, stream };
}

Deno.test("Incoming delivers in order and acknowledges what came early at once", async () => {
  const { acknowledged, consumed, receive } = incoming();
  await receive(0, 2, 3);
  assert.deepEqual(consumed, [0]);
  assert.deepEqual(acknowledged, [0, 2, 3]);
  await receive(1);
  assert.deepEqual(consumed, [0, 1, 2, 3]);
  assert.deepEqual(acknowledged, [0, 2, 3, 1]);
});

Deno.test("Incoming acknowledges duplicates, and old agents do not", async () => {
  const now = incoming();
  await now.receive(0, 1, 0, 1);
  assert.deepEqual(now.consumed, [0, 1]);
  assert.deepEqual(now.acknowledged, [0, 1, 0, 1]);
  assert.equal(now.stream.duplicates, 2);
  const old = incoming({ reacknowledge: false });
  await old.receive(0, 1, 0, 1);
  assert.deepEqual(old.acknowledged, [0, 1]);
});

Deno.test("Incoming does not acknowledge what is refused, and its repetition brings all behind it", async () => {
  const { acknowledged, consumed, receive, state } = incoming();
  state.ready = false;
  await receive(0, 1, 2);
  assert.deepEqual(acknowledged, [1, 2]);
  assert.deepEqual(consumed, []);
  state.ready = true;
  await receive(0);
  assert.deepEqual(consumed, [0, 1, 2]);
  assert.deepEqual(acknowledged, [1, 2, 0]);
});
