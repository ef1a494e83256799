import assert from "node:assert/strict";
import fc from "fast-check";
import { readUpdate, type WindowUpdate } from "../../lib/smux/mod.ts";
import { putUpdate } from "../../lib/smux/frame.ts";
import {
  INITIAL_WINDOW_BYTES,
  ReceiveWindow,
  SendWindow,
  WindowPool,
} from "../../lib/smux/window.ts";

/** What is left of an update on the wire. */
function wire(update: WindowUpdate): WindowUpdate {
  const payload = new Uint8Array(8);
  putUpdate(payload, 0, update);
  return readUpdate(payload);
}

const noPool = () => new WindowPool(0);

Deno.test("a sender starts with 256 KiB and stops at the window", () => {
  const window = new SendWindow();
  assert.equal(window.available, 262_144);
  window.sent(262_144);
  assert.equal(window.available, 0);
  assert.equal(window.update({ consumed: 100_000, window: 65_536 }), true);
  // 162,144 bytes are under way, more than the new window.
  assert.equal(window.available, 0);
  assert.equal(window.update({ consumed: 262_000, window: 65_536 }), true);
  assert.equal(window.available, 65_536 - 144);
});

Deno.test("an update for bytes that were never sent is a violation, an old one is not", () => {
  const window = new SendWindow();
  window.sent(1000);
  assert.equal(window.update({ consumed: 1001, window: 5000 }), false);
  assert.equal(window.update({ consumed: 1000, window: 5000 }), true);
  assert.equal(window.update({ consumed: 900, window: 1 }), true);
  assert.equal(window.available, 5000);
});

Deno.test("counters wrap at 4 GiB without a hitch", () => {
  for (const start of [2 ** 32 - 500_000, 2 ** 32 - 1, 2 ** 33 - 300_000, 2 ** 31 - 300_000]) {
    const sender = new SendWindow(start);
    const receiver = new ReceiveWindow(INITIAL_WINDOW_BYTES, noPool(), start);
    let moved = 0;
    while (moved < 2_000_000) {
      const n = Math.min(sender.available, 32_768);
      assert.ok(n > 0, `stuck at ${start + moved}`);
      sender.sent(n);
      assert.equal(receiver.receive(n), true);
      const update = receiver.consume(n);
      if (update) assert.equal(sender.update(wire(update)), true);
      moved += n;
    }
    assert.equal(sender.update(wire({ consumed: start + moved + 1, window: 1 })), false);
  }
});

Deno.test("a receiver tells at the first read and after each half of the window", () => {
  const window = new ReceiveWindow(65_536, noPool());
  window.receive(100_000);
  assert.deepEqual(window.consume(1), { consumed: 1, window: 65_536 });
  assert.equal(window.consume(32_767), undefined);
  assert.deepEqual(window.consume(1), { consumed: 32_769, window: 65_536 });
});

Deno.test("a window doubles with use, up to its maximum, while the pool has room", () => {
  const pool = new WindowPool(1_000_000);
  const window = new ReceiveWindow(1_000_000, pool);
  const sizes: number[] = [];
  for (let i = 0; i < 12; i++) {
    window.receive(200_000);
    const update = window.consume(200_000);
    if (update) sizes.push(update.window);
  }
  assert.deepEqual(sizes.slice(0, 4), [524_288, 1_000_000, 1_000_000, 1_000_000]);
  const other = new ReceiveWindow(1_000_000, pool);
  other.receive(200_000);
  // 262,144 are left in the pool.
  assert.equal(other.consume(200_000)?.window, 524_288);
  const third = new ReceiveWindow(1_000_000, pool);
  third.receive(200_000);
  assert.equal(third.consume(200_000)?.window, 262_144);
  window.release();
  window.release();
  third.receive(200_000);
  assert.equal(third.consume(200_000)?.window, 524_288);
});

Deno.test("a peer may fill what it was ever given, and not a byte more", () => {
  const never = new ReceiveWindow(65_536, noPool());
  // It may not know our window yet and assume the initial one.
  assert.equal(never.receive(262_144), true);
  assert.equal(never.receive(1), false);

  const told = new ReceiveWindow(65_536, noPool());
  told.receive(262_144);
  told.consume(262_144);
  assert.equal(told.receive(65_536), true);
  assert.equal(told.receive(1), false);
});

Deno.test("sender and receiver never deadlock and never overrun", () => {
  const step = fc.record({ send: fc.nat(300_000), read: fc.nat(300_000), deliver: fc.boolean() });
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 2_000_000 }),
    fc.integer({ min: 0, max: 2 ** 33 }),
    fc.array(step, { minLength: 5, maxLength: 60 }),
    (max, start, steps) => {
      const sender = new SendWindow(start);
      const receiver = new ReceiveWindow(max, new WindowPool(1_000_000), start);
      const updates: WindowUpdate[] = [];
      let waiting = 0;
      const move = (send: number, read: number) => {
        const n = Math.min(send, sender.available);
        sender.sent(n);
        assert.equal(receiver.receive(n), true);
        waiting += n;
        const taken = Math.min(read, waiting);
        if (taken === 0) return;
        waiting -= taken;
        const update = receiver.consume(taken);
        if (update) updates.push(wire(update));
      };
      const deliver = () => {
        for (const update of updates.splice(0)) assert.equal(sender.update(update), true);
      };
      for (const { send, read, deliver: now } of steps) {
        move(send, read);
        if (now) deliver();
      }
      // A reader that has taken everything, and whose updates have arrived, lets the sender go on.
      move(0, Infinity);
      deliver();
      assert.ok(sender.available > 0);
    },
  ));
});
