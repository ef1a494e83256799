/** Small parts: the log's buffer, the keeper of time, the stream that is read ahead. */

import assert from "node:assert/strict";
import { connPair, readAll, writeAll } from "../../lib/core/mod.ts";
import type { GuestLogRecord } from "../../lib/protocol/mod.ts";
import { LogBuffer } from "../../lib/protocol/log_buffer.ts";
import { ReadAhead } from "../../lib/protocol/read_ahead.ts";
import { keepTime } from "../../lib/protocol/time_keeper.ts";
import { FakeClock, settle } from "../support/fake_clock.ts";

const line = (message: string): GuestLogRecord => ({
  time: 1,
  level: "info",
  room: "ssm",
  message,
});

Deno.test("LogBuffer drops the oldest lines and says how many", () => {
  const buffer = new LogBuffer();
  assert.equal(buffer.take(), undefined);
  for (let i = 0; i < 510; i++) buffer.push(line(`${i}`));
  assert.deepEqual(buffer.take(), { ...line("10"), dropped: 10 });
  assert.deepEqual(buffer.take(), line("11"));
  let taken = 0;
  while (buffer.take()) taken++;
  assert.equal(taken, 498);
});

Deno.test("LogBuffer bounds what it keeps of a line", () => {
  const buffer = new LogBuffer();
  const fields = Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [`field${i}`, "x".repeat(9000)]),
  );
  buffer.push({ ...line("x".repeat(100_000)), fields });
  assert.ok(JSON.stringify(buffer.take()).length < 20_000);
});

/** A clock whose wall can be set without its timers moving. */
class Wall extends FakeClock {
  offset = 0;
  override now(): number {
    return super.now() + this.offset;
  }
}

Deno.test("keepTime() tells the time at once, each minute, and after a jump of the clock", async () => {
  const clock = new Wall(0);
  const told: number[] = [];
  const timer = keepTime(clock, (now) => told.push(now));
  assert.deepEqual(told, [0]);
  await clock.advance(59_000);
  assert.equal(told.length, 1);
  await clock.advance(1000);
  assert.deepEqual(told, [0, 60_000]);
  clock.offset = 3_600_000; // the machine has slept for an hour
  await clock.advance(5000);
  assert.deepEqual(told, [0, 60_000, 3_665_000]);
  clock.offset = 0; // and somebody has set the clock back
  await clock.advance(5000);
  assert.equal(told.length, 4);
  await clock.advance(55_000);
  assert.equal(told.length, 4);
  timer.cancel();
  assert.equal(clock.pending, 0);
});

Deno.test("ReadAhead gives what it has read, then the rest", async () => {
  const [near, far] = connPair();
  const ahead = new ReadAhead(near);
  const bytes = crypto.getRandomValues(new Uint8Array(10_000));
  await writeAll(far, bytes);
  await far.closeWrite();
  await settle();
  const small = new Uint8Array(10);
  assert.equal(await ahead.read(small), 10);
  assert.deepEqual(small, bytes.slice(0, 10));
  assert.deepEqual(await readAll(ahead), bytes.slice(10));
  await writeAll(ahead, Uint8Array.of(1));
  await ahead.closeWrite();
  assert.deepEqual(await readAll(far), Uint8Array.of(1));
  ahead.close();
  assert.equal(ahead.broken.aborted, false);
});

Deno.test("ReadAhead notices an end while nothing is read: a failure aborts, an end of input waits", async () => {
  const [near] = connPair();
  const failing = Promise.withResolvers<number>();
  const broken = new ReadAhead({ ...near, read: () => failing.promise });
  failing.reject(new Error("reset"));
  await settle();
  assert.match(String(broken.broken.reason), /reset/);
  await assert.rejects(broken.read(new Uint8Array(1)), /reset/);

  const [other, far] = connPair();
  const ended = new ReadAhead(other);
  await far.closeWrite();
  await settle();
  assert.equal(ended.broken.aborted, false);
  assert.equal(await ended.read(new Uint8Array(1)), null);
  assert.equal(await ended.read(new Uint8Array(1)), null);
});
