import assert from "node:assert/strict";
import fc from "fast-check";
import { Inbox } from "../../lib/ssm/inbox.ts";
import { type ClientMessage, createMessage } from "../../lib/ssm/mod.ts";
import { Outbox } from "../../lib/ssm/outbox.ts";
import { RttEstimator } from "../../lib/ssm/rtt.ts";

function output(sequenceNumber: number, size = 1): ClientMessage {
  return createMessage({
    messageType: "output_stream_data",
    sequenceNumber,
    payloadType: 1,
    payload: new Uint8Array(size),
  });
}

Deno.test("Inbox puts any order with any repetition into order, once each", () => {
  const arrivals = fc.integer({ min: 1, max: 40 }).chain((count) => {
    const all = Array.from({ length: count }, (_, i) => i);
    return fc.tuple(
      fc.shuffledSubarray(all, { minLength: count }),
      fc.array(fc.constantFrom(...all)),
    ).map(([order, repeats]) => ({ count, order: [...repeats, ...order] }));
  });
  fc.assert(fc.property(arrivals, ({ count, order }) => {
    const inbox = new Inbox();
    const seen: number[] = [];
    for (const sequenceNumber of order) {
      const arrival = inbox.accept(output(sequenceNumber));
      if (arrival.kind === "accepted") {
        seen.push(...arrival.messages.map((message) => message.sequenceNumber));
      }
    }
    assert.deepEqual(seen, Array.from({ length: count }, (_, i) => i));
    assert.equal(inbox.waitingBytes, 0);
  }));
});

Deno.test("Inbox keeps a bounded number of bytes and always takes the next in order", () => {
  const inbox = new Inbox(1000);
  assert.equal(inbox.accept(output(2, 600)).kind, "accepted");
  assert.equal(inbox.accept(output(3, 600)).kind, "dropped");
  assert.equal(inbox.accept(output(2, 600)).kind, "duplicate");
  assert.equal(inbox.accept(output(0, 5000)).kind, "accepted");
  const arrival = inbox.accept(output(1, 5000));
  assert.deepEqual(
    arrival.kind === "accepted" && arrival.messages.map((message) => message.sequenceNumber),
    [1, 2],
  );
  assert.equal(inbox.accept(output(3, 600)).kind, "accepted");
});

Deno.test("RttEstimator follows RFC 6298 within its bounds", () => {
  const rtt = new RttEstimator();
  assert.equal(rtt.timeout, 500);
  rtt.sample(100);
  assert.equal(rtt.smoothed, 100);
  assert.equal(rtt.timeout, 300);
  rtt.sample(100);
  rtt.sample(100);
  assert.equal(rtt.smoothed, 100);
  for (let i = 0; i < 100; i++) rtt.sample(1);
  assert.equal(rtt.timeout, 200);
  assert.equal(rtt.least, 1);
  for (let i = 0; i < 100; i++) rtt.sample(10_000);
  assert.equal(rtt.timeout, 2000);
});

const message = new Uint8Array([1, 2, 3]);

Deno.test("Outbox sends again after the time-out, later each time, and not before", () => {
  const outbox = new Outbox();
  outbox.add(0, message, 100, 0);
  assert.deepEqual(outbox.due(499), []);
  assert.deepEqual(outbox.due(500), [message]);
  assert.deepEqual(outbox.due(1400), []);
  assert.deepEqual(outbox.due(1500), [message]);
  assert.equal(outbox.retransmissions, 2);
  assert.equal(outbox.acknowledge(0, 1600), true);
  assert.equal(outbox.acknowledge(0, 1600), false);
  assert.equal(outbox.roundTrip, undefined, "no sample from a message sent twice");
  assert.equal(outbox.bytes, 0);
});

Deno.test("Outbox sends an eager message again as soon as its answer is overdue", () => {
  const outbox = new Outbox();
  outbox.add(0, message, 1, 0);
  outbox.acknowledge(0, 20);
  outbox.add(1, message, 1, 20, true);
  outbox.add(2, message, 1, 20);
  assert.deepEqual(outbox.due(69), []);
  assert.equal(outbox.due(70).length, 1);
  assert.equal(outbox.due(169).length, 0);
  assert.equal(outbox.due(170).length, 1);
});

Deno.test("Outbox grows its window with acknowledgements up to the bound and halves it on loss", () => {
  const outbox = new Outbox({ initial: 1000, max: 4000 });
  let sequence = 0;
  for (let now = 0; now < 100; now++) {
    const first = sequence;
    while (outbox.room(false) >= 100) outbox.add(sequence++, message, 100, now);
    assert.ok(outbox.bytes <= 4000);
    for (let i = first; i < sequence; i++) outbox.acknowledge(i, now + 1);
  }
  assert.equal(outbox.window, 4000);
  outbox.add(sequence, message, 100, 100);
  outbox.due(10_000);
  assert.equal(outbox.window, 2000);
});

Deno.test("Outbox does not grow its window while the round trip says that bytes queue", () => {
  const outbox = new Outbox({ initial: 1000, max: 1_000_000 });
  outbox.add(0, message, 1000, 0);
  outbox.acknowledge(0, 10);
  let sequence = 1;
  for (let now = 0; now < 100_000; now += 1000) {
    const first = sequence;
    while (outbox.room(false) >= 100) outbox.add(sequence++, message, 100, now);
    for (let i = first; i < sequence; i++) outbox.acknowledge(i, now + 900);
  }
  assert.ok(outbox.window < 20_000, `${outbox.window}`);
});

Deno.test("Outbox hands out everything in order after a reconnect", () => {
  const outbox = new Outbox();
  const all = Array.from({ length: 5 }, (_, i) => new Uint8Array([i]));
  all.forEach((bytes, i) => outbox.add(i, bytes, 1, 0));
  outbox.acknowledge(1, 1);
  assert.deepEqual(outbox.reconnected(10), [all[0], all[2], all[3], all[4]]);
});

Deno.test("Outbox forgets only what crossed a reconnect and was sent again several times", () => {
  const outbox = new Outbox();
  outbox.add(0, message, 1, 0);
  outbox.reconnected(1);
  outbox.add(1, message, 1, 1);
  for (let now = 10_000, i = 0; i < 3; i++, now += 10_000) outbox.due(now);
  assert.equal(outbox.acknowledge(1, 50_000), true);
  assert.deepEqual(outbox.forgetSilentDuplicates(1), [0]);
  assert.equal(outbox.size, 0);

  const refused = new Outbox();
  refused.add(0, message, 1, 0);
  for (let now = 10_000, i = 0; i < 5; i++, now += 10_000) refused.due(now);
  refused.add(1, message, 1, 60_000);
  refused.acknowledge(1, 60_001);
  assert.deepEqual(refused.forgetSilentDuplicates(1), [], "it may still be refused");
});

Deno.test("Outbox makes room beside what a silent agent must have processed, for no other agent", () => {
  const outbox = new Outbox({ initial: 1000, max: 1000 });
  for (let i = 0; i < 10; i++) outbox.add(i, message, 100, 0);
  outbox.reconnected(1);
  assert.equal(outbox.room(true), 0);
  for (let now = 10_000, i = 0; i < 3; i++, now += 10_000) outbox.due(now);
  assert.equal(outbox.room(false), 0);
  assert.equal(outbox.room(true), 1000);
  outbox.acknowledge(3, 50_000);
  assert.equal(outbox.room(true), 1000);
  outbox.add(10, message, 100, 50_000);
  assert.equal(outbox.room(true), 900);
  outbox.reconnected(60_000);
  assert.equal(outbox.room(true), 0, "another connection, another chance for each");
  for (let now = 70_000, i = 0; i < 3; i++, now += 10_000) outbox.due(now);
  outbox.add(11, message, 100, 110_000);
  outbox.acknowledge(11, 110_001);
  outbox.forgetSilentDuplicates(11);
  assert.deepEqual([outbox.size, outbox.bytes, outbox.room(true)], [0, 0, 1000]);
});
