import assert from "node:assert/strict";
import { AwsocksError, connPair, isAwsocksError, writeAll } from "../../lib/core/mod.ts";
import type { Call, Notice } from "../../lib/protocol/calls.ts";
import { ControlChannel } from "../../lib/protocol/control.ts";
import { anything, nothing, number, text } from "../../lib/protocol/fields.ts";
import { encodeMessage, type Message, readMessage } from "../../lib/protocol/message.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const ECHO: Call<string, string> = { name: "echo", params: text(), result: text(), limit: 1000 };
const WAIT: Call<void, void> = { name: "wait", params: nothing, result: nothing, limit: 1000 };
const TICK: Notice<number> = { name: "tick", params: number };

/** A channel and the bare stream at its other end. */
function channel(
  highWater?: number,
  spare?: () => { notice: Notice<unknown>; params: unknown } | undefined,
) {
  const [near, far] = connPair(highWater);
  const clock = new FakeClock();
  const ends: unknown[] = [];
  const control = new ControlChannel(near, {
    clock,
    peer: "guest",
    onEnd: (reason) => {
      ends.push(reason);
      control.end(new AwsocksError("tunnel-closed", "Over"));
    },
    ...(spare && { spare }),
  });
  const say = (message: Message) => writeAll(far, encodeMessage(message, 1_000_000));
  const hear = () => readMessage(far, 2_000_000);
  const close = () => {
    control.end(new AwsocksError("tunnel-closed", "Over"));
    far.close();
  };
  return { control, clock, ends, far, say, hear, [Symbol.dispose]: close };
}

Deno.test("calls are numbered, answers may come in any order", async () => {
  using c = channel();
  c.control.start();
  const first = c.control.call(ECHO, "a");
  const second = c.control.call(ECHO, "b");
  assert.deepEqual(await c.hear(), { type: "request", id: 1, name: "echo", params: "a" });
  assert.deepEqual(await c.hear(), { type: "request", id: 2, name: "echo", params: "b" });
  await c.say({ type: "response", id: 2, result: "B" });
  await c.say({ type: "response", id: 1, error: { code: "timeout", message: "Too late" } });
  assert.equal(await second, "B");
  await assert.rejects(first, { code: "timeout", message: "Too late" });
});

Deno.test("an answer of the wrong type is an error of the call", async () => {
  using c = channel();
  c.control.start();
  const call = c.control.call(ECHO, "a");
  await c.say({ type: "response", id: 1, result: 7 });
  await assert.rejects(call, { code: "tunnel-protocol-error" });
  assert.deepEqual(c.ends, []);
});

Deno.test("a call without an answer fails at its limit and is cancelled; a late answer is ignored", async () => {
  using c = channel();
  c.control.start();
  const call = c.control.call(ECHO, "a").catch((error) => error);
  await c.clock.advance(1000);
  const error: unknown = await call;
  assert.ok(isAwsocksError(error, "timeout"));
  assert.match(error.message, /The guest did not answer echo within 1 s/);
  await c.hear();
  assert.deepEqual(await c.hear(), { type: "cancel", id: 1 });
  await c.say({ type: "response", id: 1, result: "late" });
  await c.say({ type: "response", id: 77, result: "never asked" });
  await settle();
  assert.deepEqual(c.ends, []);
});

Deno.test("calls of the peer are answered, unknown ones too, and cancelled when it gives up", async () => {
  using c = channel();
  let aborted = false;
  c.control.handle(ECHO, (params) => Promise.resolve(params.toUpperCase()));
  c.control.handle(WAIT, (_, { signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        aborted = true;
        reject(signal.reason);
      });
    }));
  c.control.start();
  await c.say({ type: "request", id: 5, name: "wait" });
  await c.say({ type: "request", id: 6, name: "echo", params: "a" });
  assert.deepEqual(await c.hear(), { type: "response", id: 6, result: "A" });
  await c.say({ type: "cancel", id: 5 });
  const cancelled = await c.hear();
  assert.deepEqual([cancelled?.id, aborted], [5, true]);
  await c.say({ type: "request", id: 7, name: "echo", params: 9 });
  const malformed = await c.hear();
  assert.equal((malformed?.error as { code: string }).code, "tunnel-protocol-error");
  await c.say({ type: "request", id: 8, name: "fly" });
  const unknown = await c.hear();
  assert.match((unknown?.error as { message: string }).message, /no call fly/);
});

Deno.test("notices are heard in order; unknown ones are ignored, malformed ones end the channel", async () => {
  using c = channel();
  const heard: number[] = [];
  c.control.on(TICK, (value) => void heard.push(value));
  c.control.start();
  for (const params of [1, 2, 3]) await c.say({ type: "notice", name: "tick", params });
  await c.say({ type: "notice", name: "from-later", params: {} });
  await settle();
  assert.deepEqual([heard, c.ends], [[1, 2, 3], []]);
  await c.say({ type: "notice", name: "tick", params: "x" });
  await settle();
  assert.ok(isAwsocksError(c.ends[0], "tunnel-protocol-error"));
});

Deno.test("a message that is none ends the channel with the reason", async () => {
  const wrong: Message[] = [{}, { type: "shout" }, { type: "request", id: -1 }, {
    type: "request",
    id: "1",
  }];
  for (const message of wrong) {
    using c = channel();
    c.control.start();
    await c.say(message);
    await settle();
    assert.ok(isAwsocksError(c.ends[0], "tunnel-protocol-error"));
  }
  using c = channel();
  c.control.start();
  await c.far.closeWrite();
  await settle();
  assert.ok(isAwsocksError(c.ends[0], "tunnel-closed"));
});

Deno.test("a peer that asks for more than can run at a time is cut off", async () => {
  using c = channel();
  c.control.handle(WAIT, () => new Promise(() => {}));
  c.control.start();
  for (let id = 0; id < 65; id++) await c.say({ type: "request", id, name: "wait" });
  await settle();
  assert.ok(isAwsocksError(c.ends[0], "tunnel-protocol-error"));
  using again = channel();
  again.control.handle(WAIT, () => new Promise(() => {}));
  again.control.start();
  for (let i = 0; i < 2; i++) await again.say({ type: "request", id: 1, name: "wait" });
  await settle();
  assert.ok(isAwsocksError(again.ends[0], "tunnel-protocol-error"));
});

Deno.test("a peer that provokes answers and reads none is cut off within bounded memory", async () => {
  using c = channel(1);
  const big = "x".repeat(4000);
  c.control.handle(ECHO, (params) => Promise.resolve(params));
  c.control.start();
  let sent = 0;
  for (let id = 0; id < 5000 && c.ends.length === 0; id++) {
    await c.say({ type: "request", id, name: "echo", params: big }).catch(() => {});
    sent += big.length;
  }
  await settle();
  assert.ok(isAwsocksError(c.ends[0], "tunnel-protocol-error"), String(c.ends[0]));
  assert.match(String(c.ends[0]), /provokes more answers than it reads/);
  assert.ok(sent < 6_000_000, `${sent}`);
});

Deno.test("what may wait is asked for only when nothing else does", async () => {
  let spare = 0;
  using c = channel(1, () => spare-- > 0 ? { notice: TICK, params: 0 } : undefined);
  c.control.start();
  await settle();
  spare = 3;
  c.control.spareReady();
  await settle(); // one is on its way and held up
  c.control.notify(TICK, 1);
  c.control.notify(TICK, 2);
  const heard = [];
  for (let i = 0; i < 5; i++) heard.push((await c.hear())?.params);
  assert.deepEqual(heard.slice(-1), [0]);
  assert.ok(heard.indexOf(2) < 4, `${heard}`);
  assert.deepEqual(heard.filter((each) => each !== 0), [1, 2]);
});

Deno.test("an answer that is too long is an error to the peer, not the end", async () => {
  using c = channel(1 << 24);
  const HUGE: Call<unknown, unknown> = {
    name: "huge",
    params: anything,
    result: anything,
    limit: 1,
  };
  c.control.handle(HUGE, () => Promise.resolve("x".repeat(2_000_000)));
  c.control.start();
  await c.say({ type: "request", id: 1, name: "huge" });
  assert.match(JSON.stringify(await c.hear()), /longer than/);
  assert.deepEqual(c.ends, []);
});

Deno.test("the end of the channel is told to all that wait", async () => {
  const c = channel();
  let aborted: unknown;
  c.control.handle(
    WAIT,
    (_, { signal }) =>
      new Promise(() => signal.addEventListener("abort", () => aborted = signal.reason)),
  );
  c.control.start();
  await c.say({ type: "request", id: 1, name: "wait" });
  await settle();
  const call = c.control.call(ECHO, "a");
  c[Symbol.dispose]();
  await assert.rejects(call, { code: "tunnel-closed" });
  await assert.rejects(c.control.call(ECHO, "b"), { code: "tunnel-closed" });
  assert.ok(isAwsocksError(aborted, "tunnel-closed"));
  c.control.notify(TICK, 1);
});
